# SPDX-License-Identifier: GPL-3.0-or-later
"""1,000 watchers of all events, with slow ones among them: nobody else waits

Devices come and go, and 1,000 WatchDevices streams follow. The time from an event to its arrival at a watcher is compared between a
run where all read and one where ten of them read nothing, so that their windows fill: the 99th percentile of the others must stay.
"""
from lib import load

ORDER = 55
WATCHERS, SLOW = 1000, 10


def run(ctx):
    devices, runs, seconds = (40, 1, 4) if ctx.quick else (100, 3, 15)
    watchers = 200 if ctx.quick else WATCHERS
    quiet, slow, rate = [], [], []
    with ctx.gateway(workers=2) as gateway, ctx.fleet(gateway, devices, extra=("--churn", "2")) as fleet:
        fleet.wait_ready(devices // 2)

        def watch(n):
            return load.api(ctx, gateway, "watch", connections=watchers // 10, streams=10, slow=n, seconds=seconds, warm=3000)

        for _ in range(runs):
            for n, out in ((0, quiet), (SLOW, slow)):
                found = watch(n)
                if found["calls"] or not found["events"]:
                    raise RuntimeError(f"{found['calls']} watches ended, {found['events']} events came")
                out.append(found["latency_us"]["p99"] / 1000)
                rate.append(load.per_cpu(found, "events"))
                ctx.log(f"{n} slow: p99 {out[-1]:.1f} ms, {found['events']:,} events, {rate[-1]:,.0f} a CPU second")
    return [
        ctx.figure("delivery beside slow watchers", slow, "ms, 99th percentile", reference=("no slow watcher", quiet, "ms"),
                   target=("<=", 1.5), of="ratio", note=f"{watchers} watchers, {SLOW} read nothing"),
        ctx.figure("deliveries", rate, "events a CPU second", better="higher"),
    ]
