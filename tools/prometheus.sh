#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints the folder that holds the programs prometheus and promtool, for the tests of packaging/prometheus and packaging/grafana.
#   tools/prometheus.sh [--path]      --path fails instead of fetching them
# Programs in PATH are used. Otherwise the Debian package is unpacked into the cache ($CAUSEWAY_CACHE, else $XDG_CACHE_HOME/causeway, else
# ~/.cache/causeway) and not installed: no service is made, enabled or started, and no user is added.
set -euo pipefail
cache=${CAUSEWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/causeway}
dir=$cache/prometheus

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then dirname "$(command -v promtool)"; exit 0; fi
if [ -x "$dir/usr/bin/promtool" ]; then echo "$dir/usr/bin"; exit 0; fi
[ "${1:-}" != --path ] || { echo "prometheus: not there; run: make deps" >&2; exit 1; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "prometheus: this is not a Debian system" >&2; exit 1; }

mkdir -p "$cache"
exec 9>"$cache/prometheus.lock"
flock 9
if [ ! -x "$dir/usr/bin/promtool" ]; then # else somebody else was faster
	work=$(mktemp -d "$cache/prometheus.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo "prometheus: fetching the Debian package (unpacked into the cache, not installed)" >&2
	(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root prometheus >/dev/null)
	dpkg-deb -x "$work"/prometheus_*.deb "$work/root"
	[ -x "$work/root/usr/bin/promtool" ] || { echo "prometheus: the package has no promtool" >&2; exit 1; }
	rm -rf "$dir"
	mv "$work/root" "$dir"
fi
echo "$dir/usr/bin"
