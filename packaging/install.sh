#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make install: puts everything in place under DESTDIR. Starts nothing and makes no user: systemd-sysusers and systemctl do.
#   packaging/install.sh BUILD DESTDIR PREFIX
set -euo pipefail
build=$1 dest=$2 prefix=$3
put() { install -D -m "$1" "$2" "$dest$3"; echo "  $dest$3"; }
for program in causewayd causeway causeway-fleet; do put 755 "$build/$program" "$prefix/bin/$program"; done
for page in packaging/man/*.[158]; do put 644 "$page" "$prefix/share/man/man${page##*.}/${page##*/}"; done
tmp=$(mktemp); trap 'rm -f "$tmp"' EXIT
sed "s|@BINDIR@|$prefix/bin|" packaging/systemd/causewayd.service >"$tmp"
put 644 "$tmp" /usr/lib/systemd/system/causewayd.service
put 644 packaging/systemd/causeway.sysusers /usr/lib/sysusers.d/causeway.conf
put 644 packaging/sysctl/60-causeway.conf /usr/lib/sysctl.d/60-causeway.conf
for shell in bash zsh fish; do
	"$build/causeway" completion "$shell" >"$tmp"
	case $shell in
	bash) put 644 "$tmp" "$prefix/share/bash-completion/completions/causeway" ;;
	zsh) put 644 "$tmp" "$prefix/share/zsh/site-functions/_causeway" ;;
	fish) put 644 "$tmp" "$prefix/share/fish/vendor_completions.d/causeway.fish" ;;
	esac
done
put 644 packaging/grafana/causeway.json "$prefix/share/causeway/grafana/causeway.json"
for file in causeway.rules.yml prometheus.example.yml; do put 644 "packaging/prometheus/$file" "$prefix/share/causeway/prometheus/$file"; done
for doc in README.md CHANGELOG.md LICENSE docs/ARCHITECTURE.md docs/METRICS.md docs/OPERATIONS.md; do put 644 "$doc" "$prefix/share/doc/causeway/${doc##*/}"; done
if [ ! -e "$dest/etc/causeway/causeway.yaml" ]; then put 640 packaging/causeway.yaml /etc/causeway/causeway.yaml; fi
