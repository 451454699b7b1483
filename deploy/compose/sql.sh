#!/bin/sh
# Starts the SQL endpoint of compose.yaml. Makes a certificate for localhost and the first user where
# there are none; put your own certificate.pem, key.pem and users.csv into the volume to use those.
set -eu
umask 077
cd /var/lib/lakehouse/secrets
if [ ! -s certificate.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
        -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,DNS:sql,IP:127.0.0.1' \
        -keyout key.pem -out certificate.pem 2>/dev/null
fi
if [ ! -s users.csv ]; then
    printf '%s\n' "$SQL_PASSWORD" |
        lakehouse serve user "$SQL_USER" --role owner --to users.csv
fi
unset SQL_PASSWORD
exec lakehouse serve sql --host 0.0.0.0 --port 5432 --certificate certificate.pem --key key.pem
