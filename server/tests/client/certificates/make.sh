#!/bin/sh
# Makes the certificates of the tests anew: an authority, and certificates by it that are right, expired, and for another name.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
cat > ca.conf << END
[ca]
default_ca = tests
[tests]
database = index
rand_serial = yes
default_md = sha256
policy = any
new_certs_dir = .
[any]
commonName = supplied
END
: > index
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout authority.key -out authority.pem \
    -subj "/CN=authority of the tests" -days 36500 2> /dev/null
leaf() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2> /dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" > "$1.ext"
    openssl ca -batch -notext -config ca.conf -cert authority.pem -keyfile authority.key -in "$1.csr" -out "$1.pem" \
        -extfile "$1.ext" -startdate "$3" -enddate "$4" 2> /dev/null
}
leaf right "DNS:localhost,IP:127.0.0.1" 20200101000000Z 21200101000000Z
leaf expired "DNS:localhost,IP:127.0.0.1" 20200101000000Z 20210101000000Z
leaf elsewhere "DNS:elsewhere.example" 20200101000000Z 21200101000000Z
mv authority.pem right.pem right.key expired.pem expired.key elsewhere.pem elsewhere.key "$here"
