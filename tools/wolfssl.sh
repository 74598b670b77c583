#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Builds the pinned wolfSSL once and prints the folder that holds include/ and lib/libwolfssl.a on stdout.
#   tools/wolfssl.sh [--path]      --path only prints where it would be, and fails if it is not built yet
# The cache is $CAUSEWAY_CACHE, else $XDG_CACHE_HOME/causeway, else ~/.cache/causeway. An archive that is already there
# under the name wolfssl-VERSION.tar.gz is used instead of a download, after the same SHA-256 check.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${CAUSEWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/causeway}
pins=third_party/wolfssl/pins
flags=(--disable-shared --enable-static --disable-examples --disable-crypttests
	--enable-intelasm --enable-sp=yes,4096 --enable-sp-asm --enable-curve25519
	--enable-tlsv10 --enable-oldtls --enable-sni --enable-alpn --enable-session-ticket --enable-supportedcurves
	--enable-certgen --enable-certext --enable-certreq --enable-keygen --enable-pkcs12 --enable-rc2 --enable-des3 --enable-md5
	--enable-aesgcm=small --disable-hashdrbg --disable-mlkem --enable-cryptocb)
# Random octets come from core/crypto.c (crypto_wolfssl_random), so that a record costs no DRBG run and a session holds no
# DRBG. The verify callback must see every peer's leaf certificate, good or bad, for pins and fingerprints.
# A peer that sends damaged records is to be told with an alert. The crypto callback is for core/tls_rsa.c alone.
cflags='-O2 -g -fPIC -DWOLFSSL_STATIC_RSA -DWOLFSSL_ALT_NAMES -DWOLFSSL_NO_GETPID -DWOLFSSL_ALWAYS_VERIFY_CB -DWOLFSSL_EXTRA_ALERTS -DWC_NO_DEFAULT_DEVID -DNO_WOLF_PRIVATE_KEY_ID'
cflags+=' -DCUSTOM_RAND_GENERATE_BLOCK=crypto_wolfssl_random'

say() { echo "wolfssl: $*" >&2; }

# x86-only switches go on other machines
case $(uname -m) in
x86_64) ;;
*) flags=("${flags[@]/--enable-intelasm/}"); flags=("${flags[@]/--enable-sp-asm/}") ;;
esac

# Its configure refuses options that it does not know, and the asynchronous crypto of releases before 5.8 is an empty file.
flags_for() { # version
	local own=" ${flags[*]} "
	case $1 in
	5.[0-7].*) own=${own/ --enable-asynccrypt / }; own=${own/ --disable-mlkem / } ;;
	esac
	echo "$own"
}

recipe() { echo "$1 $2 $(flags_for "$1") $cflags $(uname -m) $(cc -dumpversion 2>/dev/null || true)" | sha256sum | cut -c1-12; }

fetch() { # version sha256 -> archive in the cache, checked
	local file=$cache/wolfssl-$1.tar.gz mirror codename
	if [ -s "$file" ] && echo "$2  $file" | sha256sum -c --quiet - 2>/dev/null; then
		return 0
	fi
	command -v apt-get >/dev/null || return 1
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: $codename" | sort -u | head -1)
	[ -n "$mirror" ] || return 1
	say "fetching version $1 from apt's mirror"
	/usr/lib/apt/apt-helper download-file "${mirror%/}/pool/main/w/wolfssl/wolfssl_$1.orig.tar.gz" "$file.part" "SHA256:$2" >/dev/null 2>&1 || return 1
	mv "$file.part" "$file"
}

# "set -e" does not work in a function that is part of a condition, hence the chain
compile() ( # version prefix folder
	cd "$3" &&
	printf '#ifndef __ASSEMBLER__\nint crypto_wolfssl_random(unsigned char *out, unsigned int n);\n#endif\n' >random_prototype.h &&
	autoreconf -if &&
	# shellcheck disable=SC2046
	./configure --prefix="$2" $(flags_for "$1") CFLAGS="$cflags -include $3/random_prototype.h" &&
	make -j"$(nproc)" src/libwolfssl.la &&
	mkdir -p "$2.part/lib" "$2.part/include" &&
	cp src/.libs/libwolfssl.a "$2.part/lib/" &&
	cp -r wolfssl "$2.part/include/"
)

build() { # version prefix
	local work
	work=$(mktemp -d "$cache/build.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	tar -C "$work" -xf "$cache/wolfssl-$1.tar.gz" --strip-components=1
	say "building version $1 (about a minute); log: $cache/wolfssl-$1.log"
	compile "$1" "$2" "$work" >"$cache/wolfssl-$1.log" 2>&1 || { rm -rf "$2.part"; say "the build failed; the log's end:"; tail -20 "$cache/wolfssl-$1.log" >&2; return 1; }
	mv -T "$2.part" "$2" 2>/dev/null || rm -rf "$2.part" # somebody else was faster
	rm -rf "$work"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
first=
while read -r version sha; do
	case $version in ''|\#*) continue ;; esac
	prefix=$cache/wolfssl-$version-$(recipe "$version" "$sha")
	first=${first:-$version}
	if [ -s "$prefix/lib/libwolfssl.a" ]; then echo "$prefix"; exit 0; fi
	[ "${1:-}" != --path ] || continue
	if fetch "$version" "$sha"; then
		build "$version" "$prefix" || exit 1
		echo "$prefix"
		exit 0
	fi
	say "version $version cannot be had from apt's mirror"
done < <(if [ -n "${CAUSEWAY_WOLFSSL:-}" ]; then grep "^$CAUSEWAY_WOLFSSL " "$pins"; else cat "$pins"; fi)
[ "${1:-}" != --path ] || { say "not built yet; run: make deps"; exit 1; }
say "no source archive could be fetched. Put one of these files there yourself and run make deps again:"
grep -v '^#' "$pins" | while read -r version sha; do say "  $cache/wolfssl-$version.tar.gz   (SHA-256 $sha)"; done
exit 1
