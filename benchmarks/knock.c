/* Knock at one service every millisecond until it gives its first right answer.
 *
 *     knock KIND IP PORT [ARGUMENT ...]
 *
 *     postgres USER DATABASE   the server asks for authentication (not: "the database system is starting up")
 *     redis                    PING is answered by +PONG
 *     amqp                     the protocol header is answered by a method frame
 *     http PATH                a GET is answered with 200
 *
 * Prints the moment of that answer (CLOCK_MONOTONIC, seconds) and how many knocks it took. knock.py does the same where
 * there is no compiler.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_NS = 1000000, CONNECT_US = 50000, ANSWER_S = 5, LIFETIME_S = 180, REQUEST_SIZE = 512 };

static unsigned char request[REQUEST_SIZE];
static size_t request_length;

static void write_postgres_startup(const char *user, const char *database) {
    unsigned char *body = request + 8;
    int length = snprintf((char *)body, REQUEST_SIZE - 10, "user%c%s%cdatabase%c%s%c", 0, user, 0, 0, database, 0);
    body[length] = 0; /* the end of the list of parameters */
    request_length = 8 + (size_t)length + 1;
    const unsigned int fields[2] = {htonl((unsigned int)request_length), htonl(196608)}; /* protocol 3.0 */
    memcpy(request, fields, sizeof fields);
}

static void write_request(const char *kind, char **arguments) {
    if (!strcmp(kind, "postgres")) {
        write_postgres_startup(arguments[0], arguments[1]);
    } else if (!strcmp(kind, "redis")) {
        request_length = (size_t)snprintf((char *)request, REQUEST_SIZE, "PING\r\n");
    } else if (!strcmp(kind, "amqp")) {
        memcpy(request, "AMQP\0\0\t\1", request_length = 8);
    } else {
        request_length = (size_t)snprintf((char *)request, REQUEST_SIZE, "GET %s HTTP/1.0\r\n\r\n", arguments[0]);
    }
}

static int is_right(const char *kind, const char *answer, ssize_t length) {
    if (length < 1) return 0;
    if (!strcmp(kind, "postgres")) return answer[0] == 'R';
    if (!strcmp(kind, "redis")) return length >= 5 && !memcmp(answer, "+PONG", 5);
    if (!strcmp(kind, "amqp")) return answer[0] == 1;
    return length >= 12 && !memcmp(answer + 8, " 200", 4);
}

static int knock(const char *kind, const struct sockaddr_in *address) {
    char answer[512];
    int right = 0, connection = socket(AF_INET, SOCK_STREAM, 0);
    /* Linux takes the limit for sending as the one for connecting, too: an address that is not up yet must not hold us. */
    const struct timeval connecting = {0, CONNECT_US}, answering = {ANSWER_S, 0};
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &connecting, sizeof connecting);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &answering, sizeof answering);
    if (!connect(connection, (const struct sockaddr *)address, sizeof *address) &&
        send(connection, request, request_length, MSG_NOSIGNAL) == (ssize_t)request_length)
        right = is_right(kind, answer, recv(connection, answer, sizeof answer, 0));
    close(connection);
    return right;
}

int main(int count, char **words) {
    if (count < 4) return 2;
    const struct timespec pause = {0, PAUSE_NS};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[3]))};
    struct timespec now;
    long knocks = 1;
    inet_pton(AF_INET, words[2], &address.sin_addr);
    write_request(words[1], words + 4);
    alarm(LIFETIME_S);
    for (; !knock(words[1], &address); knocks++) nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld.%06ld %ld\n", (long long)now.tv_sec, now.tv_nsec / 1000, knocks);
    return 0;
}
