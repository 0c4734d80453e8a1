#!/bin/bash
# Succeed when the server answers an AMQP 0-9-1 greeting with its Start method.
# A health check once a second must be cheap: rabbitmq-diagnostics boots a second Erlang for each.
set -euo pipefail

exec 3<> /dev/tcp/127.0.0.1/5672
printf 'AMQP\0\0\11\1' >&3
frame_type=$(timeout 2 head --bytes=1 <&3)
[[ $frame_type == $'\1' ]]
