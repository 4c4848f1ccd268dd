#!/bin/sh
# Runs SeaweedFS for tests: `seaweedfs.sh WEED FOLDER PORT…`. Ends when no test has held FOLDER/in-use for a while. A test that
# kills FOLDER/pid makes FOLDER/restart before.
set -u
weed=$1 folder=$2
shift 2
data=$folder/data-$$
mkdir -p "$data"
export TMPDIR="$data"
cd "$data"
# A bucket has volumes of its own: one each is enough, for many buckets.
printf '[master.volume_growth]\ncopy_1 = 1\n' > master.toml
start() {
    "$weed" server -dir "$data" -ip 127.0.0.1 -ip.bind 127.0.0.1 -master.telemetry=false -master.volumeSizeLimitMB 256 \
        -volume.max 5000 -master.port "$1" -master.port.grpc "$2" -volume.port "$3" -volume.port.grpc "$4" \
        -filer -filer.port "$5" -filer.port.grpc "$6" -filer.localSocket "$data/filer.sock" \
        -s3 -s3.port "$7" -s3.port.grpc "$8" -s3.port.iceberg 0 -s3.port.lance 0 -s3.config "$folder/s3.json" \
        >> "$folder/log" 2>&1 &
    pid=$!
    echo $pid > "$folder/pid"
}
: > "$folder/log"
start "$@"
idle=0
while [ $idle -lt 40 ]; do
    sleep 1
    if ! kill -0 $pid 2> /dev/null; then
        [ -e "$folder/restart" ] || break
        rm "$folder/restart"
        start "$@"
    fi
    if flock --nonblock --exclusive "$folder/in-use" true; then idle=$((idle + 1)); else idle=0; fi
done
flock --exclusive "$folder/in-use" sh -c "rm -f '$folder/state'; kill $pid 2> /dev/null"
wait $pid
rm -rf "$data"
case $folder in */seaweedfs-own-*) rm -rf "$folder" ;; esac
