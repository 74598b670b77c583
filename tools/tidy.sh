#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make tidy: format, layer rule, sizes, clang-tidy. Prints every finding; exit status 1 if there is one.
#   tools/tidy.sh "PREPROCESSOR FLAGS"        TIDY="format layers ..." runs only these parts
set -u
status=0
wanted() { case " ${TIDY:-format layers sizes banned spdx clang-tidy} " in *" $1 "*) ;; *) return 1 ;; esac; }
files=$(git ls-files '*.c' '*.h' | grep -v '^build/')
format=$(command -v clang-format-14 || true)
if [ -z "$format" ] && clang-format --version 2>/dev/null | grep -q ' version 14\.'; then format=clang-format; fi
if ! wanted format; then
	:
elif [ -n "$format" ]; then
	# shellcheck disable=SC2086
	if "$format" --dry-run -Werror $files; then echo "format: clean"; else echo "format: run '$format -i' on these files"; status=1; fi
else
	echo "format: skipped, clang-format 14 is not in this release (the result depends on the version)"
fi
! wanted layers || python3 tools/layers.py || status=1
! wanted sizes || python3 tools/sizes.py || status=1
banned='\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca)\s*\('
# shellcheck disable=SC2086
if ! wanted banned; then
	:
elif grep -nE "$banned" $files; then echo "banned: use the bounded functions"; status=1; else echo "banned functions: none"; fi
wanted spdx && for f in $(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.proto' Makefile); do
	head -4 "$f" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' || { echo "$f: no SPDX line"; status=1; }
done
tidy=$(command -v clang-tidy-14 || command -v clang-tidy || true)
if ! wanted clang-tidy; then
	:
elif [ -n "$tidy" ]; then
	echo '#define CAUSEWAY_VERSION "tidy"' >build/tidy-version.h # as a header: quotes do not survive so many shells
	# shellcheck disable=SC2086
	git ls-files 'core/*.c' 'wire/*.c' 'store/*.c' 'gateway/*.c' 'amt/*.c' 'mgmtapi/*.c' 'bench/*.c' |
		xargs -P "$(nproc)" -n 4 sh -c '"$0" --quiet "$@" -- -std=gnu11 -D_GNU_SOURCE -include build/tidy-version.h '"$1"' 2>/dev/null' "$tidy" >build/clang-tidy.log || true
	if grep -E '(warning|error):' build/clang-tidy.log; then status=1; else echo "clang-tidy: clean"; fi
else
	echo "clang-tidy: not installed"; status=1
fi
exit $status
