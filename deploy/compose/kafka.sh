#!/bin/bash
# Starts one broker of compose.yaml from the files that the service "prepare" has written for it in /etc/hutong.
# Its storage is made at the first start, with the first users in it. Passwords are in files, on no command line.
set -euo pipefail
umask 077

etc=${KAFKA_ETC:-/etc/hutong}
data=${KAFKA_DATA:-/var/lib/kafka/data}
kafka=${KAFKA_HOME:-/opt/kafka}

if [ ! -e "$data/log/meta.properties" ]; then
  rm -rf "$data/new"
  # What the tool prints holds salted hashes of the passwords.
  if ! java "@$etc/format.arguments" > "$data/format.output" 2>&1; then
    grep -i -m 5 -e error -e exception "$data/format.output" >&2
    exit 1
  fi
  rm -f "$data/format.output"
  mv "$data/new" "$data/log"
fi
exec "$kafka/bin/kafka-server-start.sh" "$etc/server.properties"
