#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make run: a gateway with its embedded store and DEVICES (20) simulated devices, in the foreground until Ctrl-C.
# RUN_SECONDS=N ends it after N seconds, with status 0 only if every device was held to the end. Everything it makes is under
# build/run (RUN_DIR); a second start finds the same root certificate, devices and tokens there.
set -euo pipefail
cd "$(dirname "$0")/.."
devices=${DEVICES:-20}
dir=${RUN_DIR:-build/run}
data=$dir/data
fleet=; daemon=

stop() {
	trap - EXIT INT TERM
	for pid in $fleet $daemon; do kill "$pid" 2>/dev/null || true; done
	for pid in $fleet $daemon; do wait "$pid" 2>/dev/null || true; done
	rm -f "$dir/pids"
}
trap 'stop; exit 130' INT TERM
trap stop EXIT

fail() { echo "make run: $*" >&2; exit 1; }
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# The wanted port, or 0 (the kernel picks a free one) when another program has it.
pick() { if port_free "$1"; then echo "$1"; else echo "port $1 is in use here; taking another one" >&2; echo 0; fi; }
secret() { [ -s "$1" ] || (umask 077; printf 'C%s-1a' "$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n' | cut -c1-10)" >"$1"); }
guids() { build/causeway --data "$data" device list --filter connected=true --json 2>/dev/null | grep -o '"guid" *: *"[^"]*"' || true; }
connected() { guids | wc -l; }

mkdir -p "$data"
chmod 700 "$data"
secret "$dir/cira.password"
secret "$dir/amt.password"
cat >"$dir/causeway.yaml" <<EOF
cira:
  listen: ["0.0.0.0:$(pick 4433)"]
  name: ${CIRA_NAME:-localhost}
api:
  listen: ["0.0.0.0:$(pick 8443)"]
metrics:
  listen: "127.0.0.1:$(pick 9464)"
EOF

echo "starting the gateway (data in $data, log in $dir/causewayd.log)"
rm -f "$data/run.json"
build/causewayd --config "$dir/causeway.yaml" --data "$data" >"$dir/causewayd.log" 2>&1 &
daemon=$!
for _ in $(seq 600); do
	[ -s "$data/run.json" ] && break
	kill -0 "$daemon" 2>/dev/null || { tail -5 "$dir/causewayd.log" >&2; fail "the gateway did not start; its last lines are above"; }
	sleep 0.1
done
[ -s "$data/run.json" ] || fail "the gateway did not come up within a minute; see $dir/causewayd.log"
cira=$(sed -n 's/.*"cira":\["\([^"]*\)".*/\1/p' "$data/run.json")
api=$(sed -n 's/.*"api":\["\([^"]*\)".*/\1/p' "$data/run.json")

if ! build/causeway --data "$data" group show demo >/dev/null 2>&1; then
	build/causeway --data "$data" group create demo --cira-user demo --cira-password-file "$dir/cira.password" \
		--enroll accept --amt-user admin --amt-password-file "$dir/amt.password" >/dev/null || fail "the group could not be made"
fi
echo "starting $devices simulated devices (log in $dir/causeway-fleet.log)"
build/causeway-fleet --connect "$cira" --count "$devices" --seed 1 --user demo --password-file "$dir/cira.password" \
	--amt-user admin --amt-password-file "$dir/amt.password" --ca "$data/root.crt" --name "${CIRA_NAME:-localhost}" \
	>"$dir/causeway-fleet.log" 2>&1 &
fleet=$!
held=0
for _ in $(seq 300); do
	held=$(connected)
	[ "$held" -ge "$devices" ] && break
	kill -0 "$fleet" 2>/dev/null || { tail -5 "$dir/causeway-fleet.log" >&2; fail "the simulated devices stopped; see above"; }
	sleep 0.2
done
[ "$held" -ge "$devices" ] || fail "only $held of $devices devices connected; see $dir/causewayd.log and 'build/causeway --data $data device why'"

id=$(guids | sed -n '1s/.*"\([^"]*\)"$/\1/p')
cat <<EOF

$held devices held.

Type next, in another terminal, from this folder:

  build/causeway --data $data device list
  build/causeway --data $data device watch
  build/causeway --data $data power get $id
  build/causeway --data $data power set $id cycle

With curl:

  curl --cacert $data/root.crt -H "Authorization: Bearer \$(cat $data/admin.token)" -H 'Content-Type: application/json' \\
    -d '{"device":"$id"}' https://$api/causeway.v1.PowerService/GetPowerState

To connect a real device, set in its CIRA configuration:

  server ${CIRA_NAME:-localhost} port ${cira##*:} (start with CIRA_NAME=address, it has to equal the address that the device is given)
  user demo, password $(cat "$dir/cira.password"), root certificate $data/root.crt

Metrics: http://$(sed -n 's/.*"metrics":"\([^"]*\)".*/\1/p' "$data/run.json")/metrics        Ctrl-C stops everything.
EOF

if [ -z "${RUN_SECONDS:-}" ]; then
	wait "$daemon" || fail "the gateway stopped; see $dir/causewayd.log"
	exit 0
fi
sleep "$RUN_SECONDS"
held=$(connected)
echo "after $RUN_SECONDS s: $held of $devices devices held"
[ "$held" -ge "$devices" ] && kill -0 "$daemon" && kill -0 "$fleet"
