#!/bin/sh
# What a team writes by hand: a database per worker, all migrations in each (side by side), the tests, and away with them.
# DATABASE_URL names the databases without their worker; the PG variables say where the server is.
set -eu
name=${DATABASE_URL##*/}
for worker in gw0 gw1 gw2 gw3; do
    createdb "${name}_$worker"
    DATABASE_URL="${DATABASE_URL}_$worker" python -m alembic upgrade head &
done
wait
code=0
python -m pytest -n 4 -q || code=$?
for worker in gw0 gw1 gw2 gw3; do
    dropdb "${name}_$worker"
done
exit $code
