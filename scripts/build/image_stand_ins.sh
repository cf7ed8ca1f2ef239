#!/usr/bin/env bash
# Makes local images under the names of the two that the Dockerfile builds on, for machines that cannot pull those: from
# packages of Debian 12, and the Deno that is given. The builder's image also carries what a build without a network
# needs: the program's packages, and the runtime that `deno task compile --runtime npm` uses.
#
#   scripts/build/image_stand_ins.sh DENO RUNTIME STORAGE…
#
# DENO is the program, RUNTIME the folder that scripts/build/npm_runtime.ts has filled, STORAGE podman's options that name a
# storage. The images are for tests only: keep them apart from the real ones.
set -euo pipefail
deno=$1 runtime=$2
podman=(podman "${@:3}")
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

builder=docker.io/denoland/deno:2.9.6
base=gcr.io/distroless/cc-debian12:nonroot
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# It becomes the root of the images, which any user must be able to enter.
chmod 755 "$work"

# What distroless "cc" holds; busybox is for the builder, as its shell.
packages=(base-files ca-certificates libc6 libgcc-s1 libstdc++6 netbase tzdata busybox-static)
mkdir "$work/packages"
cd "$work/packages"
# A fresh machine has no lists of packages yet.
apt-get download "${packages[@]}" >"$work/apt.log" 2>&1 ||
  { apt-get update && apt-get download "${packages[@]}"; } >"$work/apt.log" 2>&1 ||
  { cat "$work/apt.log" >&2; exit 1; }

root="$work/root"
mkdir "$root"
for package in *.deb; do
  case $package in
    busybox*) dpkg-deb -x "$package" "$work/busybox" ;;
    *) dpkg-deb -x "$package" "$root" ;;
  esac
done
rm -r "$root/usr/share/doc" "$root/usr/share/man"
find "$root/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
PASSWD
cat >"$root/etc/group" <<'GROUP'
root:x:0:
nobody:x:65534:
nonroot:x:65532:
GROUP
install -d -o 65532 -g 65532 -m 700 "$root/home/nonroot"
tar -C "$root" -c . | "${podman[@]}" import --quiet \
  --change "ENV PATH=$path" \
  --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
  --change 'WORKDIR /home/nonroot' --change 'USER 65532' - "$base"

install -D "$work/busybox/bin/busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
install -D "$deno" "$root/usr/bin/deno"
install -d "$root/var/cache/battlescope-migrate"
cp -r "$runtime" "$root/var/cache/battlescope-migrate/"
# What the build will ask for, so that Deno's cache answers.
cd "$checkout"
export DENO_DIR="$root/deno-dir"
"$deno" install --quiet --frozen
"$deno" bundle --quiet --frozen --output="$work/bundle.js" src/main.ts
tar -C "$root" -c . | "${podman[@]}" import --quiet \
  --change "ENV PATH=$path" --change 'ENV DENO_DIR=/deno-dir/' - "$builder"
