#!/bin/sh
# Tell nginx the container's name server, then become nginx.
# nginx reads no resolv.conf, and without a resolver it would look api up once and keep that address for good.
set -eu

nameserver=$(sed -n 's/^nameserver \([^ ]*\).*/\1/p' /etc/resolv.conf | head -n 1)
case $nameserver in
    *:*) nameserver="[$nameserver]" ;;
esac
echo "resolver $nameserver valid=1s ipv6=off;" > /tmp/resolver.conf
exec nginx -g 'daemon off;'
