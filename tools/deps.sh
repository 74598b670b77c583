#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what is missing with apt, as root or through sudo, and says what it does. Does nothing when all is there.
#   tools/deps.sh SET...    sets: build (to compile and run), check (the tests), lint (make tidy), fuzz, peers (make bench-peers)
set -euo pipefail
cd "$(dirname "$0")/.."

build='gcc g++ make pkg-config autoconf automake libtool liburing-dev liblmdb-dev libmsgpack-dev|libmsgpack-c-dev
 libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev libnghttp2-dev libexpat1-dev libjansson-dev libyaml-dev
 zlib1g-dev libssl-dev ca-certificates openssl procps'
check='libcmocka-dev curl jq python3 python3-grpcio python3-protobuf python3-grpc-tools nodejs npm iproute2 util-linux systemtap-sdt-dev'
lint='clang-format-14|clang-format clang-tidy-14|clang-tidy python3'
peers='nodejs npm'
fuzz='clang libclang-rt-14-dev|libclang-rt-dev'

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '(none)')" ]; }

missing=()
# A word a|b means: a, or b where a has no package. Something already installed counts.
need() {
	local alt
	case $1 in
	nodejs|npm) ! command -v "${1/nodejs/node}" >/dev/null || return 0 ;;
	esac
	for alt in ${1//|/ }; do installed "$alt" && return 0; done
	missing+=("$1")
}

command -v dpkg-query >/dev/null || { echo "deps: this is not a Debian system; install by hand: $build" >&2; exit 0; }
for set in "${@:-build}"; do
	for word in ${!set}; do need "$word"; done
done
if [ ${#missing[@]} -gt 0 ]; then
	as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { echo "deps: as root, run: apt-get install ${missing[*]%%|*}" >&2; exit 1; }
		as_root=(sudo)
	fi
	echo "deps: apt-get update" >&2
	"${as_root[@]}" apt-get update -qq
	names=()
	for word in "${missing[@]}"; do
		for alt in ${word//|/ }; do
			if available "$alt"; then names+=("$alt"); break; fi
		done
	done
	echo "deps: apt-get install ${names[*]}" >&2
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${names[@]}" >/dev/null
fi
tools/wolfssl.sh >/dev/null
case " $* " in
*" check "*) tools/prometheus.sh >/dev/null || echo "deps: without prometheus the tests of the alert rules are skipped" >&2 ;;
esac
