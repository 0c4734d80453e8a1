FROM envspin-testbox:1 AS wanted
ARG COLOUR=red
ARG KEYS_PASSED
RUN echo "$COLOUR $KEYS_PASSED" > /arguments; cp /etc/hosts /build-hosts; grep /dev/shm /proc/mounts > /build-shm
HEALTHCHECK CMD false
FROM wanted
RUN echo too far > /arguments
