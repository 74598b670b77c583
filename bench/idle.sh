#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make bench-idle: what a held, silent tunnel costs. Starts a gateway and BENCH_TUNNELS (1000) simulated devices on loopback
# (TLS 1.2 ECDHE GCM), lets them settle and reads the process's memory before and after; BENCH_RUNS (3) times, the median counts.
# Prints a table, writes bench/results/idle.json, and fails when a tunnel costs more than BENCH_LIMIT (12288) octets.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${B:-build}
tunnels=${BENCH_TUNNELS:-1000} runs=${BENCH_RUNS:-3} limit=${BENCH_LIMIT:-12288} settle=${BENCH_SETTLE:-20} rate=${BENCH_RATE:-200}
results=bench/results/idle.json
work=$(mktemp -d) daemon='' fleet=''

stop() {
	local pid
	for pid in $fleet $daemon; do kill "$pid" 2>/dev/null || true; done
	for pid in $fleet $daemon; do wait "$pid" 2>/dev/null || true; done
	fleet='' daemon=''
}
trap 'stop; rm -rf "$work"' EXIT
fail() { echo "bench-idle: $*" >&2; exit 1; }

# A field of the gateway's memory in octets, read from smaps_rollup.
memory() { awk -v k="$1:" '$1 == k {print $2 * 1024}' "/proc/$daemon/smaps_rollup"; }
# Kernel objects of the whole machine (sockets, files, armed receives), in octets; both ends of every tunnel are here.
kernel_memory() { awk '/^Slab:/ {print $2 * 1024}' /proc/meminfo; }
metric() { curl -sf --max-time 10 "http://$metrics/metrics" | awk -v k="$1" '$1 == k {printf "%d", $2}'; }
# The gateway's resident memory once it stops changing: two readings 3 s apart that differ by less than 64 KiB.
settled() {
	local before now
	now=$(memory Rss)
	for _ in $(seq 40); do
		sleep 3
		before=$now now=$(memory Rss)
		[ $((now > before ? now - before : before - now)) -ge 65536 ] || return 0
	done
	fail "the gateway's memory does not settle"
}

start_gateway() { # folder
	mkdir -p "$1" && mkdir -m 700 "$1/data"
	printf 'cira:\n  listen: ["127.0.0.1:0"]\n  name: localhost\napi:\n  listen: ["127.0.0.1:0"]\nmetrics:\n  listen: "127.0.0.1:0"\n' \
		>"$1/causeway.yaml"
	echo 'Bench-Pass-1' >"$1/password"
	"$build/causewayd" --config "$1/causeway.yaml" --data "$1/data" >"$1/causewayd.log" 2>&1 &
	daemon=$!
	for _ in $(seq 600); do [ -s "$1/data/run.json" ] && break; sleep 0.1; done
	[ -s "$1/data/run.json" ] || { tail -5 "$1/causewayd.log" >&2; fail "the gateway did not start"; }
	cira=$(jq -r '.cira[0]' "$1/data/run.json")
	metrics=$(jq -r .metrics "$1/data/run.json")
	"$build/causeway" --data "$1/data" group create bench --cira-user bench --cira-password-file "$1/password" --enroll accept \
		--amt-user admin --amt-password-file "$1/password" >/dev/null
}

hold_devices() { # folder
	"$build/causeway-fleet" --connect "$cira" --count "$tunnels" --seed 7 --user bench --password-file "$1/password" \
		--amt-password-file "$1/password" --ca "$1/data/root.crt" --name localhost \
		--rate "$rate" --tls 1.2 --suites ECDHE-RSA-AES128-GCM-SHA256 >"$1/fleet.log" 2>&1 &
	fleet=$!
	for _ in $(seq 600); do
		[ "$(metric causeway_tunnels_ready_total)" -ge "$tunnels" ] && return 0
		kill -0 "$fleet" 2>/dev/null || { tail -5 "$1/fleet.log" >&2; fail "the simulated devices stopped"; }
		sleep 0.2
	done
	fail "only $(metric causeway_tunnels_ready_total) of $tunnels tunnels became ready"
}

# One run; appends "RSS ANONYMOUS KERNEL" per tunnel, in octets, to the list.
one_run() {
	local dir=$work/$1 rss anon kernel_slab
	start_gateway "$dir"
	metric causeway_tunnels >/dev/null
	settled
	rss=$(memory Rss) anon=$(memory Anonymous) kernel_slab=$(kernel_memory)
	hold_devices "$dir"
	sleep "$settle"
	settled
	[ "$(metric causeway_tunnels)" = "$tunnels" ] || fail "$(metric causeway_tunnels) of $tunnels tunnels are held"
	echo "$((($(memory Rss) - rss) / tunnels)) $((($(memory Anonymous) - anon) / tunnels)) $((($(kernel_memory) - kernel_slab) / tunnels)) $rss" >>"$work/runs"
	stop
}

median() { cut -d' ' -f"$1" "$work/runs" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
column() { cut -d' ' -f"$1" "$work/runs" | jq -cs .; }
floor_of() { awk -F'\t' -v k="$1" '$1 == k {print $2}' "$work/floor"; }

echo "the floor, layer by layer (about half a minute)"
"$build/bench/idle_floor" >"$work/floor"
for n in $(seq "$runs"); do
	echo "run $n of $runs: $tunnels tunnels"
	one_run "$n"
	awk -v n="$n" 'NR == n {printf "  %d octets resident each, %d of them anonymous\n", $1, $2}' "$work/runs"
done
rss=$(median 1) anon=$(median 2) kernel_slab=$(median 3) empty=$(median 4)
# What one tunnel cannot do without: connection with TLS, the tunnel with its session, the device in the registry.
sum=$(($(floor_of conn_tls12) + $(floor_of sizeof_tunnel) + $(floor_of apf_heap) + $(floor_of sizeof_device)))

printf '\n%8s  %s\n' octets "what, for each of $tunnels held tunnels (median of $runs runs)"
printf '%8d  %s\n' "$rss" "resident memory of the gateway" "$anon" "of that anonymous (without the store's mapped pages)" \
	"$kernel_slab" "kernel objects of both ends (growth of Slab in /proc/meminfo, of the whole machine: rough)"
printf '\n%8s  %s\n' octets "the floor: each layer alone, as malloc sees it"
awk -F'\t' '{printf "%8d  %s\n", $2, $3}' "$work/floor"
printf '%8d  %s\n' "$sum" "sum of connection with TLS 1.2, tunnel, APF heap and device record"
printf '%8d  %s\n' "$((rss - sum))" "the rest: allocator's slack, registry's tables, facts, events, attempts, fixed parts that grew"

mkdir -p "${results%/*}"
jq -n --arg commit "$(git describe --always --dirty 2>/dev/null || echo unknown)" --arg kernel "$(uname -sr)" \
	--arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" --argjson cores "$(nproc)" \
	--argjson memory_kib "$(awk '/MemTotal/ {print $2}' /proc/meminfo)" \
	--argjson tunnels "$tunnels" --argjson limit "$limit" --argjson rss "$rss" --argjson anon "$anon" --argjson kernel_slab "$kernel_slab" \
	--argjson empty "$empty" --argjson rss_runs "$(column 1)" --argjson anon_runs "$(column 2)" \
	--argjson floor "$(jq -Rn '[inputs / "\t" | {(.[0]): (.[1] | tonumber)}] | add' <"$work/floor")" \
	'{commit: $commit, machine: {cpu: $cpu, cores: $cores, memory_kib: $memory_kib, kernel: $kernel}, tls: "TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256",
	  tunnels: $tunnels, limit: $limit, octets_per_tunnel: {resident: $rss, anonymous: $anon, kernel_slab_both_ends: $kernel_slab},
	  runs: {resident: $rss_runs, anonymous: $anon_runs}, resident_without_tunnels: $empty, floor: $floor}' >"$results"
echo
echo "written to $results"
if [ "$rss" -gt "$limit" ]; then
	echo "FAILED: $rss octets a tunnel, the limit is $limit"
	exit 1
fi
echo "ok: $rss octets a tunnel, the limit is $limit"
