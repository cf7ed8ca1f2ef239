#!/bin/sh
# Checks and installs what this folder holds. Needs a POSIX shell and sha256sum (or shasum), and no network.
set -eu

usage() {
  cat >&2 <<'TEXT'
Usage: sh install.sh verify                  check every file against SHA256SUMS
       sh install.sh install [FOLDER]        verify, then copy the executable (default /usr/local/bin)
       sh install.sh load [podman|docker]    verify, then load the image
TEXT
  exit 2
}

cd "$(dirname "$0")"

verify() {
  if command -v sha256sum >/dev/null; then
    sha256sum --quiet --check SHA256SUMS
  else
    shasum -a 256 --quiet --check SHA256SUMS
  fi
  echo "Every file is as it was packed"
}

case "${1-}" in
verify)
  verify
  ;;
install)
  folder=${2-/usr/local/bin}
  verify
  # A copy under another name and a rename: a program that is running is not disturbed.
  cp battlescope-migrate "$folder/.battlescope-migrate.$$"
  chmod 0755 "$folder/.battlescope-migrate.$$"
  mv "$folder/.battlescope-migrate.$$" "$folder/battlescope-migrate"
  echo "Installed $folder/battlescope-migrate"
  ;;
load)
  tool=${2-}
  if [ -z "$tool" ]; then
    if command -v podman >/dev/null; then tool=podman; else tool=docker; fi
  fi
  if [ ! -f image.tar ]; then
    echo "Cannot load the image: this bundle was packed without one" >&2
    exit 1
  fi
  verify
  "$tool" load --input image.tar
  ;;
*)
  usage
  ;;
esac
