#!/bin/sh
# Installs battlescope-migrate from its release page: one file, compared with the release's SHA256SUMS.
#
#   curl -fsSL https://github.com/battlescope/battlescope-migrate/releases/latest/download/install.sh | sh
#   curl -fsSL …/install.sh | sh -s -- --to /usr/local/bin
#
# Needs a POSIX shell, curl or wget, and sha256sum or shasum; root only when the folder does.
set -eu

releases=https://github.com/battlescope/battlescope-migrate/releases
# An installer that was published with a release says its version here.
version=latest
folder=${HOME:-}/.local/bin
signature=no

usage() {
  cat <<'TEXT'
Usage: sh install.sh [--version VERSION] [--to FOLDER] [--signature] [--from URL]

  --version VERSION  such as 0.1.0, or latest
  --to FOLDER        where the executable goes (default ~/.local/bin)
  --signature        also check who signed SHA256SUMS; needs cosign
  --from URL         a mirror of the release page
TEXT
}

fail() {
  echo "error: $1" >&2
  exit "${2:-1}"
}

# Prints the name of the executable for this machine.
name_of_executable() {
  system=$(uname -s)
  machine=$(uname -m)
  case $system in
  Linux) os=linux ;;
  Darwin) os=macos ;;
  *) fail "Cannot install on \"$system\": there are executables for Linux and macOS" ;;
  esac
  case $machine in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) fail "Cannot install on \"$machine\": there are executables for x86_64 and arm64" ;;
  esac
  echo "battlescope-migrate-$os-$arch"
}

# Writes a file of the release into the folder of the work.
download() {
  url=$page/$1
  if command -v curl >/dev/null; then
    # A redirect must not lead away from TLS.
    case $url in https:*) only=https ;; *) only=http,https ;; esac
    curl --fail --silent --show-error --location --proto "=$only" --output "$work/$1" "$url"
  elif command -v wget >/dev/null; then
    wget -q -t 3 -O "$work/$1" "$url"
  else
    fail "Cannot download \"$url\": there is neither curl nor wget here"
  fi || fail "Cannot download \"$url\": is there a release of that version, and can this machine reach it?"
}

sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 <"$1"
  else
    fail "Cannot check \"$1\": there is neither sha256sum nor shasum here"
  fi
}

verify_signature() {
  command -v cosign >/dev/null || fail "Cannot check the signature: there is no cosign here; leave --signature out"
  download SHA256SUMS.sigstore.json
  cosign verify-blob --bundle "$work/SHA256SUMS.sigstore.json" \
    --certificate-identity-regexp '^https://github\.com/battlescope/battlescope-migrate/\.github/workflows/release\.yml@refs/tags/v' \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com "$work/SHA256SUMS" ||
    fail "Cannot trust \"$page/SHA256SUMS\": it is not signed by the release workflow of battlescope-migrate"
}

verify() {
  listed=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$file\$/\1/p" "$work/SHA256SUMS")
  [ -n "$listed" ] || fail "Cannot check \"$file\": \"$page/SHA256SUMS\" does not list it"
  actual=$(sha256 "$work/$file")
  [ "${actual%% *}" = "$listed" ] || fail "Cannot install \"$file\": its SHA-256 is ${actual%% *}, not $listed as in SHA256SUMS; try again, or tell us"
}

# Prints what the executable says it is, so that one that does not run here is never installed.
try_out() {
  chmod 0755 "$work/$file"
  said=$("$work/$file" version 2>&1) || fail "Cannot run \"$file\" on this machine: $said
It needs glibc 2.27 or newer on Linux, which Alpine does not have: use the image there. And programs must be allowed to run in \"$folder\""
  said=$(echo "$said" | sed 1q)
  case $version in
  latest | "${said#battlescope-migrate }") ;;
  *) fail "Cannot install \"$file\" as version $version: it says that it is \"$said\"" ;;
  esac
  echo "$said"
}

# Everything is in a function, so that half a script that was cut off on its way does nothing.
main() {
  while [ $# -gt 0 ]; do
    case $1 in
    --version | --to | --from) [ $# -gt 1 ] || fail "Option $1 needs a value" 2 ;;
    esac
    case $1 in
    --version) version=${2#v} && shift ;;
    --to) folder=$2 && shift ;;
    --from) releases=${2%/} && shift ;;
    --signature) signature=yes ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "Unknown argument \"$1\"" 2 ;;
    esac
    shift
  done
  case $folder in
  /.local/bin) fail "Cannot tell where to install: HOME is not set; pass --to FOLDER" 2 ;;
  esac
  case $version in
  latest) page=$releases/latest/download ;;
  *) page=$releases/download/v$version ;;
  esac
  file=$(name_of_executable)

  mkdir -p "$folder" || fail "Cannot install into \"$folder\": it cannot be made; pass --to FOLDER"
  # In the folder itself: there it may run, and can be put in its place in one step. Nothing is left of it, whatever happens.
  work=$(mktemp -d "$folder/.battlescope-migrate.XXXXXX") ||
    fail "Cannot install into \"$folder\": it cannot be written to; pass --to FOLDER"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  echo "Downloading $page/$file" >&2
  download SHA256SUMS
  [ "$signature" = no ] || verify_signature
  download "$file"
  verify
  said=$(try_out)
  [ ! -d "$folder/battlescope-migrate" ] || fail "Cannot install \"$folder/battlescope-migrate\": there is a folder of that name"
  mv -f "$work/$file" "$folder/battlescope-migrate"
  echo "Installed $folder/battlescope-migrate: $said"
  case :$PATH: in
  *":$folder:"*) ;;
  *) echo "Add it to your PATH: export PATH=\"$folder:\$PATH\"" >&2 ;;
  esac
}

main "$@"
