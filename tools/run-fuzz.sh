#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs each libFuzzer program for some seconds, starting from its corpus; new inputs stay under BUILD, findings are printed.
#   tools/run-fuzz.sh BUILD SECONDS
set -u
build=$1 seconds=$2 failed=0 n=0
for program in "$build"/tests/fuzz/*_fuzzer; do
	name=${program##*/fuzz_}; name=${name%_fuzzer}
	work=$build/fuzz-work/$name; mkdir -p "$work"
	if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix="$work/finding-" "$work" "tests/fuzz/corpus/$name" >"$work.log" 2>&1; then
		echo "ok      fuzz_$name: ${seconds}s, $(find "$work" -type f | wc -l) inputs"; n=$((n + 1))
	else
		tail -40 "$work.log"; echo "FAILED  fuzz_$name (log: $work.log)"; failed=$((failed + 1))
	fi
done
echo "$n passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
