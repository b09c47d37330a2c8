#!/bin/sh
# The contract of the official redis and valkey images: flags alone mean the server, which runs unprivileged.
set -eu
case "${1:-}" in -*) set -- valkey-server "$@" ;; esac
case "${1:-}" in
redis-server | valkey-server) shift ;;
*) exec "$@" ;;
esac
chown -R valkey:valkey /data
exec su -s /bin/sh valkey -c 'exec "$0" "$@"' -- valkey-server --protected-mode no "$@"
