#!/usr/bin/env bash
# Sends files with curl or wget: `bash send.sh PROGRAM < JOBS`.
#
# A job is a line of a kind (form, put, stream), an address, a key, a path and a file name, with tabs between. Each gets a
# line: the status and the body of the answer, or the error. wget has no forms of files, and sends no stream.
set -u
body=$(mktemp)
trap 'rm -f "$body"' EXIT

by_curl() {
  local arguments=(-sS -o "$body" -w '%{http_code}' -H "X-API-Key: $3" -H Expect:)
  case $1 in
    form)
      local name=${5//\\/\\\\}
      arguments+=(-F "file=@\"$4\";filename=\"${name//\"/\\\"}\"") ;;
    put) arguments+=(-T "$4") ;;
    stream) arguments+=(-T - -H 'Transfer-Encoding: chunked') ;;
  esac
  curl "${arguments[@]}" "$2" < "$4" 2>&1
}

by_wget() {
  local told
  told=$(wget -S -O "$body" --tries=1 --content-on-error --method=PUT --header "X-API-Key: $3" --body-file "$4" "$2" 2>&1)
  grep -oE '^ +HTTP/1.1 [0-9]{3}' <<< "$told" | tail -1 | grep -oE '[0-9]{3}$' || echo "failed $told"
}

while IFS=$'\t' read -r kind url key path name; do
  : > "$body"
  status=$("by_$1" "$kind" "$url" "$key" "$path" "$name")
  echo "$status $(tr '\n' ' ' < "$body")" | tr '\n' ' '
  echo
done
