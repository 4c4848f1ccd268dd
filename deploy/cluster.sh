#!/bin/bash
# Runs a lake of several servers on this machine, until Ctrl-C: PostgreSQL, SeaweedFS, NODES servers (3), and nginx in front.
#
#   deploy/cluster.sh LAKESHORE WEED FOLDER
#
# FOLDER keeps the database and the objects for the next run, and the logs. Its ports are open to every user of this machine, and
# SeaweedFS asks for a password at one of them only: for trials. nginx listens on 127.0.0.1:PORT (3000), and the
# rest on the ports after it.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
lakeshore=$(realpath "$1") weed=$(realpath "$2") folder=$(realpath -m "$3")
nodes=${NODES:-3} port=${PORT:-3000}
postgres_port=$((port + 20)) weed_port=$((port + 30))
access_key=lakeshore

programs=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -1)
[ -x "${programs:-}/initdb" ] || programs=$(dirname "$(command -v initdb)") || { echo "PostgreSQL is missing: make postgres"; exit 1; }
nginx=$(command -v nginx || echo /usr/sbin/nginx)
[ -x "$nginx" ] || { echo "nginx is missing: apt-get install nginx-light"; exit 1; }
[ -x "$weed" ] || { echo "SeaweedFS is missing: make seaweedfs"; exit 1; }

# Other users of this machine have neither the folder nor the passwords.
umask 077
mkdir -p "$folder"/{logs,objects,nginx}
chmod 700 "$folder"
[ -s "$folder/password" ] || head -c 24 /dev/urandom | base64 | tr -d '+/=\n' > "$folder/password"
secret_key=$(cat "$folder/password")
export PGPASSWORD=$secret_key
# PostgreSQL refuses to run as root, and its account has to reach its folder.
as_postgres=()
database=$folder/postgres
if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid postgres --regid postgres --clear-groups)
    database=/var/lib/postgresql/lakeshore-cluster-$port
fi

running=()
stop() {
    trap '' INT TERM EXIT
    echo "== stopping"
    # The servers before what they need.
    for ((at = ${#running[@]} - 1; at >= 0; at--)); do
        kill "${running[at]}" 2> /dev/null || true
        wait "${running[at]}" 2> /dev/null || true
    done
}
trap stop EXIT
trap 'exit 0' INT TERM

# Starts a program in a group of its own, so that Ctrl-C reaches it by `stop` alone, in order.
start() {
    local name=$1
    shift
    setsid "$@" > "$folder/logs/$name" 2>&1 < /dev/null &
    running+=($!)
}

# Waits until a command succeeds.
await() {
    local name=$1
    shift
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.2
    done
    echo "$name did not start: see $folder/logs/$name"
    exit 1
}

echo "== PostgreSQL on port $postgres_port"
if [ ! -f "$database/PG_VERSION" ] && ! "${as_postgres[@]}" test -f "$database/PG_VERSION"; then
    [ ${#as_postgres[@]} -eq 0 ] || install -d -o postgres -g postgres -m 700 "$database"
    password=$(mktemp)
    cat "$folder/password" > "$password"
    [ ${#as_postgres[@]} -eq 0 ] || chown postgres "$password"
    "${as_postgres[@]}" "$programs/initdb" --auth scram-sha-256 --pwfile "$password" --username lakeshore --encoding UTF8 \
        --pgdata "$database" > "$folder/logs/initdb" 2>&1 || { cat "$folder/logs/initdb"; exit 1; }
    rm "$password"
fi
start postgres "${as_postgres[@]}" "$programs/postgres" -D "$database" -p "$postgres_port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200
await postgres "$programs/pg_isready" -h 127.0.0.1 -p "$postgres_port"
psql=("$programs/psql" -h 127.0.0.1 -p "$postgres_port" -U lakeshore -d postgres -Atc)
[ "$("${psql[@]}" "SELECT count(*) FROM pg_database WHERE datname = 'lake'")" = 1 ] || "${psql[@]}" "CREATE DATABASE lake" > /dev/null

echo "== SeaweedFS on port $((weed_port + 6))"
cat > "$folder/s3.json" << END
{"identities": [{"name": "lakeshore", "credentials": [{"accessKey": "$access_key", "secretKey": "$secret_key"}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
END
export TMPDIR=$folder
start seaweedfs "$weed" server -dir "$folder/objects" -ip 127.0.0.1 -ip.bind 127.0.0.1 -master.telemetry=false \
    -master.volumeSizeLimitMB 1024 -volume.max 100 \
    -master.port "$weed_port" -master.port.grpc $((weed_port + 1)) -volume.port $((weed_port + 2)) -volume.port.grpc $((weed_port + 3)) \
    -filer -filer.port $((weed_port + 4)) -filer.port.grpc $((weed_port + 5)) -filer.localSocket "$folder/filer.sock" \
    -s3 -s3.port $((weed_port + 6)) -s3.port.grpc $((weed_port + 7)) -s3.port.iceberg 0 -s3.port.lance 0 -s3.config "$folder/s3.json"
await seaweedfs curl -sf "http://127.0.0.1:$((weed_port + 4))/"
# Refused where it is there already.
curl -s -o "$folder/logs/bucket" -X POST "http://127.0.0.1:$((weed_port + 4))/buckets/lake/" || true
await seaweedfs curl -sf "http://127.0.0.1:$((weed_port + 4))/buckets/lake/?limit=1"
# Its volumes come after its filer: those of an earlier run are read by what that has written.
ready=http://127.0.0.1:$((weed_port + 4))/buckets/lake/ready
[ ! -e "$folder/has-objects" ] || await seaweedfs curl -sf "$ready"
await seaweedfs curl -sf -X PUT --data-binary yes "$ready"
touch "$folder/has-objects"
# It answers 403 without a key, once it is there.
await seaweedfs curl -s -o "$folder/logs/s3" "http://127.0.0.1:$((weed_port + 6))/"

export AWS_ACCESS_KEY_ID=$access_key AWS_SECRET_ACCESS_KEY=$secret_key
export LAKESHORE_S3_ENDPOINT=http://127.0.0.1:$((weed_port + 6)) LAKESHORE_S3_REGION=us-east-1
upstreams=""
for number in $(seq "$nodes"); do
    echo "== server $number on port $((port + number))"
    # shellcheck disable=SC2086
    start "server-$number" "$lakeshore" serve --listen "127.0.0.1:$((port + number))" --data-dir "$folder/server-$number" \
        --metadata "postgres://lakeshore@127.0.0.1:$postgres_port/lake" --lake s3://lake/data --cluster \
        --trusted-proxy 127.0.0.1 ${ARGS:-}
    await "server-$number" curl -sf "http://127.0.0.1:$((port + number))/readyz"
    upstreams+="        server 127.0.0.1:$((port + number));"$'\n'
done

cat > "$folder/nginx/nginx.conf" << END
daemon off;
worker_processes 1;
pid $folder/nginx/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $folder/nginx; proxy_temp_path $folder/nginx; fastcgi_temp_path $folder/nginx;
    uwsgi_temp_path $folder/nginx; scgi_temp_path $folder/nginx;
    # Any request may go to any server. One that stops says so by /readyz, and refuses new connections.
    upstream lakeshore {
$upstreams        keepalive 32;
    }
    server {
        listen 127.0.0.1:$port;
        location / {
            proxy_pass http://lakeshore;
            proxy_http_version 1.1;
            client_max_body_size 0;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 120s;
            proxy_send_timeout 120s;
            proxy_set_header Connection "";
            proxy_set_header Host \$http_host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
        }
    }
}
END
start nginx "$nginx" -p "$folder/nginx" -c "$folder/nginx/nginx.conf"
await nginx curl -sf "http://127.0.0.1:$port/readyz"

grep -h "sign in once" "$folder"/logs/server-1 | sed "s/127.0.0.1:$((port + 1))/127.0.0.1:$port/" || true
echo "== serving at http://127.0.0.1:$port by $nodes servers; logs are in $folder/logs; end with Ctrl-C"
while wait -n -p ended "${running[@]}" || [ -n "${ended:-}" ]; do
    # Killed by hand, for example: the others go on.
    echo "== process $ended has ended: see $folder/logs"
    left=()
    for process in "${running[@]}"; do [ "$process" = "$ended" ] || left+=("$process"); done
    running=("${left[@]}") ended=""
    [ ${#running[@]} -gt 0 ] || exit 1
done
