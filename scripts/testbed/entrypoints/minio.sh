#!/bin/sh
# The contract of minio/minio: `server /data`, MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, S3 on port 9000.
# The S3 side is JuiceFS's gateway, which is MinIO's own gateway code.
set -eu
[ "${1:-}" != minio ] || shift
[ "${1:-}" = server ] || exec "$@"
data=/data
case "${2:-}" in /*) data=$2 ;; esac
export MINIO_ROOT_USER="${MINIO_ROOT_USER:-minioadmin}" MINIO_ROOT_PASSWORD="${MINIO_ROOT_PASSWORD:-minioadmin}"
mkdir -p "$data/.jfs"
meta="sqlite3://$data/.jfs/meta.db"
[ -s "$data/.jfs/meta.db" ] || juicefs format --storage file --bucket "$data/.jfs/blob/" --trash-days 0 "$meta" minio
exec juicefs gateway --multi-buckets --keep-etag --object-meta --object-tag --no-banner \
    --cache-dir /tmp/cache --log /tmp/gateway.log "$meta" 0.0.0.0:9000
