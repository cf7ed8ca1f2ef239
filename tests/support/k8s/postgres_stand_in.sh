#!/usr/bin/env bash
# Makes the files of an image that stands in for PostgreSQL's official one, on machines that cannot pull that: the
# PostgreSQL of the tests, pg_isready from Debian, and as much of the official entry point as a compose file can see.
#
#   postgres_stand_in.sh POSTGRES_FOLDER FILE.tar
#
# It is for tests only.
set -euo pipefail
postgres=$1 archive=$2

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/packages"
cd "$work/packages"
packages=(libc6 libgcc-s1 libstdc++6 busybox-static postgresql-client-15)
# A fresh machine has no lists yet.
apt-get download "${packages[@]}" >"$work/apt.log" 2>&1 ||
  { apt-get update && apt-get download "${packages[@]}"; } >"$work/apt.log" 2>&1 ||
  { cat "$work/apt.log" >&2; exit 1; }

root="$work/root"
mkdir "$root"
for package in *.deb; do dpkg-deb -x "$package" "$root"; done
home="$root/usr/lib/postgresql/18"
cp -a "$postgres" "$home"
mv "$root/usr/lib/postgresql/15/bin/pg_isready" "$home/bin/"
rm -r "$root/usr/lib/postgresql/15" "$root/usr/share"
for tool in sh mkdir cat echo; do ln -s busybox "$root/bin/$tool"; done
install -d "$root/etc" "$root/usr/bin"
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >"$root/etc/passwd"
install -d -m 1777 "$root/tmp"
install -d -o 999 -g 999 "$root/var/lib/postgresql"
cat >"$root/usr/bin/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
data=/var/lib/postgresql/18/docker
if [ ! -f "$data/PG_VERSION" ]; then
  mkdir -p "$data"
  echo "$POSTGRES_PASSWORD" >/tmp/password
  initdb --pgdata="$data" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --no-sync
  echo "create database \"$POSTGRES_DB\"" | postgres --single -D "$data" postgres
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off
ENTRYPOINT
chmod 755 "$root/usr/bin/docker-entrypoint.sh"
tar -C "$root" -cf "$archive" .
