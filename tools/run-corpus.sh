#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Replays each fuzz target's corpus (tests/fuzz/corpus/NAME, and findings that were mended) through its replay program.
#   tools/run-corpus.sh BUILD
set -u
passed=0 failed=0
for program in "$1"/tests/fuzz/*_replay; do
	[ -x "$program" ] || continue
	name=${program##*/fuzz_}; name=${name%_replay}
	if [ ! -d "tests/fuzz/corpus/$name" ]; then
		echo "FAILED  fuzz_$name: no corpus in tests/fuzz/corpus/$name"; failed=$((failed + 1)); continue
	fi
	if out=$(timeout 120 "$program" "tests/fuzz/corpus/$name" 2>&1); then
		passed=$((passed + 1)); echo "ok      fuzz_$name: $out"
	else
		failed=$((failed + 1)); echo "$out"; echo "FAILED  fuzz_$name"
	fi
done
[ -z "${TEST_TALLY:-}" ] || echo "$passed $failed 0" >>"$TEST_TALLY"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
