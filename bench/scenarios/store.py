# SPDX-License-Identifier: GPL-3.0-or-later
"""Store: 20,000 enrolments in a storm, acknowledged when they are on disk

20,000 unknown devices dial in at once; each is enrolled, and gets its answer when its record is on disk. Then the same devices come once
more, known this time: the reference (fewer where the descriptors of a process do not suffice). Twice with different devices. At the end the gateway is killed and started again: all
records must be there.
"""
import json
import signal
import time

from lib import processes

QUICK = False
ORDER = 50


def storm(ctx, gateway, count, seed):
    """(seconds from go until all are in, CPU seconds of the gateway)"""
    with ctx.fleet(gateway, count, seed=seed, extra=("--hold", "--backoff-max", "4")) as fleet:
        fleet.made()
        cpu, began = gateway.cpu_seconds(), time.monotonic()
        fleet.go()
        fleet.wait_ready(timeout=600, every=0.05)
        took, cpu = time.monotonic() - began, gateway.cpu_seconds() - cpu
    gateway.wait_empty()
    return took, cpu


def run(ctx):
    count, rounds = (2000, 1) if ctx.quick else (min(20000, processes.tunnels_limit()), 2)
    new, known, syncs = [], [], []
    with ctx.gateway(amt=False) as gateway:
        for n in range(rounds):
            commits, seconds = gateway.metric("causeway_store_commits_total"), gateway.metric("causeway_store_commit_seconds_sum")
            new.append(storm(ctx, gateway, count, 10 + n))
            commits = gateway.metric("causeway_store_commits_total") - commits
            syncs.append(((gateway.metric("causeway_store_commit_seconds_sum") - seconds) * 1000 / commits, count / commits))
            known.append(storm(ctx, gateway, count, 10 + n))
            ctx.log(f"{count} new: {new[-1][0]:.1f} s, known: {known[-1][0]:.1f} s; a commit takes {syncs[-1][0]:.2f} ms")
        failed = gateway.metric('causeway_enrolled_total{result="failed"}')
        gateway.child.send_signal(signal.SIGKILL)
        gateway.child.wait()
        gateway.start()
        found = gateway.metric("causeway_devices")
        size = gateway.metric("causeway_store_file_bytes")
        listed = len(json.loads(gateway.cli("device", "list", "--json")).get("devices", []))
    return [
        ctx.figure("time until all new devices are in", [t for t, _ in new], "s", reference=("known devices", [t for t, _ in known], "s"),
                   target=("<=", 1.2), of="ratio", note=f"{count:,} devices at once"),
        ctx.figure("CPU per 1,000 new devices", [c * 1000 / count for _, c in new], "CPU s",
                   reference=("known devices", [c * 1000 / count for _, c in known], "CPU s")),
        ctx.figure("enrolments that failed", [failed], "devices", target=("==", 0)),
        ctx.figure("records missing after a kill", [rounds * count - min(found, listed)], "records", target=("==", 0)),
        ctx.figure("one commit", [ms for ms, _ in syncs], "ms", note="with its sync to disk"),
        ctx.figure("enrolments in a commit", [n for _, n in syncs], "records", better="higher"),
        ctx.figure("store on disk a device", [size / (rounds * count)], "octets"),
    ]
