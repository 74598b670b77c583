#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs test programs one after another; a quiet line for each that passes, the whole output of one that fails.
# Exit status 77 of a program means skipped, with the reason as its last line. Ends with "N passed, N failed, N skipped".
set -u
passed=0 failed=0 skipped=0
log=$(mktemp); trap 'rm -f "$log"' EXIT
for t in "$@"; do
	runner=(); case $t in *.py) runner=(python3 -B) ;; esac
	timeout "${TEST_TIMEOUT:-300}" "${runner[@]}" "$t" >"$log" 2>&1
	case $? in
	0) passed=$((passed + 1)); echo "ok      ${t##*/}" ;;
	77) skipped=$((skipped + 1)); echo "skipped ${t##*/}: $(tail -1 "$log")" ;;
	*) failed=$((failed + 1)); cat "$log"; echo "FAILED  ${t##*/}" ;;
	esac
done
[ -z "${TEST_TALLY:-}" ] || echo "$passed $failed $skipped" >>"$TEST_TALLY"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
