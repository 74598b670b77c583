#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs the named parts of the tests (unit, corpus, e2e) and ends with one line: "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
TEST_TALLY=$(mktemp); export TEST_TALLY
trap 'rm -f "$TEST_TALLY"' EXIT
status=0
make -j"$(nproc)" all tests replays || { echo "the build failed"; exit 1; }
for part in "$@"; do
	echo "== $part"
	make --no-print-directory "check-$part" || status=1
done
awk '{p += $1; f += $2; s += $3} END {printf "%d passed, %d failed, %d skipped\n", p, f, s}' "$TEST_TALLY"
exit $status
