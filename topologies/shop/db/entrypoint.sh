#!/bin/bash
# Start PostgreSQL; on an empty data folder create the cluster first.
#
# The initialization runs against a temporary server that listens on the local socket only, so nobody outside
# takes it for the real one: TCP connections are accepted by the final server alone, which then is process 1.
#
#   POSTGRES_PASSWORD          of the superuser; required unless POSTGRES_HOST_AUTH_METHOD=trust
#   POSTGRES_USER              superuser, default postgres
#   POSTGRES_DB                database to create, default the user's name
#   POSTGRES_INITDB_ARGS       further arguments of initdb
#   POSTGRES_HOST_AUTH_METHOD  for connections over TCP, default scram-sha-256
#
# Each of the first four may be given as NAME_FILE, the path of a file that holds the value.
# /docker-entrypoint-initdb.d/ may hold *.sh, *.sql and *.sql.gz; they run once, in the order of their names.
set -Eeuo pipefail

# Set the variable $1 from the file that $1_FILE names, else leave it, else give it the default $2.
read_setting() {
    local name=$1 default=${2-} file="${1}_FILE"
    if [[ -n ${!name-} && -n ${!file-} ]]; then
        echo "error: $name and $file are both set" >&2
        exit 1
    fi
    if [[ -n ${!file-} ]]; then
        printf -v "$name" '%s' "$(<"${!file}")"
    else
        printf -v "$name" '%s' "${!name:-$default}"
    fi
    export "${name?}"
    unset "$file"
}

read_settings() {
    read_setting POSTGRES_PASSWORD
    read_setting POSTGRES_USER postgres
    read_setting POSTGRES_DB "$POSTGRES_USER"
    read_setting POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}"
    if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
        echo 'error: no password for the superuser: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE,' >&2
        echo '       or let everybody in by POSTGRES_HOST_AUTH_METHOD=trust' >&2
        exit 1
    fi
}

create_cluster() {
    local password_file=()
    if [[ -n $POSTGRES_PASSWORD ]]; then
        # A descriptor, so that the password is in no argument list and in no file.
        exec 3< <(printf '%s\n' "$POSTGRES_PASSWORD")
        password_file=(--pwfile=/dev/fd/3)
    fi
    # POSTGRES_INITDB_ARGS is split into words like a command line.
    local arguments
    eval "arguments=($POSTGRES_INITDB_ARGS)"
    # A known TZ spares initdb the search through the whole time zone database.
    TZ=${TZ:-UTC} initdb --username="$POSTGRES_USER" "${password_file[@]}" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 --no-sync --no-instructions "${arguments[@]}"
    exec 3<&-
    printf 'host all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >> "$PGDATA/pg_hba.conf"
}

run_sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --quiet --username "$POSTGRES_USER" "$@"
}

create_database() {
    [[ $POSTGRES_DB != postgres ]] || return 0
    run_sql --dbname postgres --set name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name";'
}

run_init_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh)
                echo "init: $script"
                # A script that is not executable is read into this shell.
                # shellcheck disable=SC1090
                if [[ -x $script ]]; then "$script"; else . "$script"; fi
                ;;
            *.sql)
                echo "init: $script"
                run_sql --dbname "$POSTGRES_DB" --file "$script"
                ;;
            *.sql.gz)
                echo "init: $script"
                gunzip --stdout "$script" | run_sql --dbname "$POSTGRES_DB"
                ;;
            */'*') ;;
            *) echo "init: $script ignored" ;;
        esac
    done
}

# pg_ctl would do the same and look only ten times a second.
start_temporary_server() {
    postgres "$@" -c listen_addresses= &
    temporary_server=$!
    until pg_isready --quiet --username "$POSTGRES_USER" --dbname postgres; do
        kill -0 "$temporary_server" || exit 1
        sleep 0.01
    done
}

stop_temporary_server() {
    kill -INT "$temporary_server" # fast: open sessions are ended
    wait "$temporary_server"
}

initialize() {
    read_settings
    create_cluster
    # "$@" holds postgres and its flags; the last occurrence of a flag wins, so nothing listens on TCP.
    start_temporary_server "${@:2}"
    create_database
    run_init_scripts
    stop_temporary_server
    unset POSTGRES_PASSWORD
    echo 'init: complete, starting the server'
}

main() {
    [[ ${1-} != -* ]] || set -- postgres "$@"
    if [[ ${1-} == postgres ]]; then
        if [[ $(id -u) == 0 ]]; then
            mkdir -p "$PGDATA"
            # A new volume has the image's owner already; a mounted folder may have any.
            find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
            exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
        fi
        chmod 0700 "$PGDATA"
        # Process 1 has no default signal actions: without this, a stop during the initialization would hang.
        trap 'exit 130' INT TERM
        [[ -s $PGDATA/PG_VERSION ]] || initialize "$@"
    fi
    exec "$@"
}

main "$@"
