#!/bin/bash
# Compares `lakeshore push` and `get` with `rclone copy` to and from rclone's WebDAV server, in turn: a new folder, the same
# with 1 % changed, and the download. Prints seconds and the bytes over the loopback device.
#
#   make bench-push                       20,000 files, 2 GiB, two rounds
#   FILES=2000 BYTES=209715200 make bench-push

set -euo pipefail

binary=${LAKESHORE_BIN:?the release binary}
files=${FILES:-20000}
bytes=${BYTES:-$((2 << 30))}
rounds=${ROUNDS:-2}
work=$(mktemp -d "${BENCH_DIR:-/tmp}/lakeshore-push-XXXXXX")
servers=()
trap 'kill "${servers[@]}" 2> /dev/null || true; rm -rf "$work"' EXIT

carried() { awk '$1 == "lo:" { print $2 }' /proc/net/dev; }

# Arguments: the step, the program, then the command.
measure() {
	local what=$1 who=$2 before begun
	shift 2
	sync -f "$work"
	before=$(carried)
	begun=$EPOCHREALTIME
	"$@" > "$work/said" 2>&1 || { cat "$work/said"; exit 1; }
	awk -v what="$what" -v who="$who" -v begun="$begun" -v ended="$EPOCHREALTIME" -v before="$before" -v after="$(carried)" \
		'BEGIN { printf "%-10s %-10s %8.2f s %10.1f MB\n", what, who, ended - begun, (after - before) / 1e6 }' | tee -a "$work/figures"
}

# A free port.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_listening() {
	for _ in $(seq 100); do
		(exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null && return
		sleep 0.1
	done
	echo "nothing listens on port $1" >&2
	exit 1
}

echo "== making $files files, $((bytes >> 20)) MiB in all"
python3 - "$work/export" "$files" "$bytes" <<'PYTHON'
import os, sys
folder, files, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for index in range(files):
    part = os.path.join(folder, f"dt={index % 50:02}")
    os.makedirs(part, exist_ok=True)
    # Between half and one and a half times the mean.
    size = total // files // 2 + (total // files) * (index % 101) // 100
    with open(os.path.join(part, f"part-{index:05}.parquet"), "wb") as file:
        file.write(os.urandom(size))
PYTHON

change() { find "$work/export" -type f | sort | awk 'NR % 100 == 0' | while read -r file; do echo "round $1" >> "$file"; done; }

for round in $(seq "$rounds"); do
	echo "== round $round"
	lakeshore_port=$(free_port)
	"$binary" serve --listen "127.0.0.1:$lakeshore_port" --data-dir "$work/data" 2> "$work/server" &
	servers=($!)
	rclone_port=$(free_port)
	mkdir -p "$work/dav"
	rclone serve webdav --addr "127.0.0.1:$rclone_port" "$work/dav" 2> "$work/dav-server" &
	servers+=($!)
	until_listening "$lakeshore_port"
	until_listening "$rclone_port"
	LAKESHORE_API_KEY=$("$binary" key create --name bench --role admin --data-dir "$work/data")
	export LAKESHORE_API_KEY LAKESHORE_SERVER=http://127.0.0.1:$lakeshore_port XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state
	push=("$binary" push "$work/export" /data/export --full --quiet)
	# As many at once as push sends at once here, and no second thoughts about small files.
	rclone=(rclone --config /dev/null --transfers 16 --checkers 16)
	remote=":webdav:export"
	rclone+=(--webdav-url "http://127.0.0.1:$rclone_port")

	measure first lakeshore "${push[@]}"
	measure first rclone "${rclone[@]}" copy "$work/export" "$remote"
	change "$round"
	measure changed rclone "${rclone[@]}" copy "$work/export" "$remote"
	measure changed lakeshore "${push[@]}"
	measure back lakeshore "$binary" get /data/export "$work/back-lakeshore" --jobs 16 --quiet
	measure back rclone "${rclone[@]}" copy "$remote" "$work/back-rclone"
	for back in lakeshore rclone; do
		diff -rq "$work/export" "$work/back-$back" || { echo "what $back brought back differs" >&2; exit 1; }
	done
	kill "${servers[@]}"
	wait "${servers[@]}" || true
	rm -rf "$work/data" "$work/dav" "$work"/back-* "$work/cache" "$work/state"
done

echo "== time of rclone to that of lakeshore (above 1: lakeshore is faster)"
awk '{ seconds[$1, $2] += $3; carried[$1, $2] += $5; what[$1] }
	END { for (one in what) printf "%-10s %.2f in time, %.2f in bytes\n", one, seconds[one, "rclone"] / seconds[one, "lakeshore"], carried[one, "rclone"] / carried[one, "lakeshore"] }' \
	"$work/figures"
