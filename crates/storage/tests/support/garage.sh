#!/bin/sh
# Runs garage for tests: `garage.sh GARAGE FOLDER PORT…`. Ends when no test has held FOLDER/in-use for a while.
set -u
program=$1 folder=$2
garage() { "$program" -c "$folder/garage.toml" "$@"; }
rm -rf "$folder/data" "$folder/ready"
mkdir -p "$folder/data"
: > "$folder/log"
garage server >> "$folder/log" 2>&1 &
pid=$!
for _ in $(seq 100); do
    if node=$(garage node id --quiet 2>> "$folder/log") && garage status >> "$folder/log" 2>&1; then break; fi
    sleep 0.1
done
{
    garage layout assign --zone test --capacity 100G "${node%%@*}"
    garage layout apply --version 1
    garage key import --yes -n test "$ACCESS_KEY" "$SECRET_KEY" && touch "$folder/ready"
} >> "$folder/log" 2>&1
idle=0
while [ $idle -lt 40 ] && kill -0 $pid 2> /dev/null; do
    sleep 1
    if flock --nonblock --exclusive "$folder/in-use" true; then idle=$((idle + 1)); else idle=0; fi
done
flock --exclusive "$folder/in-use" sh -c "rm -f '$folder/state' '$folder/ready'; kill $pid 2> /dev/null"
wait $pid
rm -rf "$folder/data"
