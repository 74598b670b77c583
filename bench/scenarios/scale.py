# SPDX-License-Identifier: GPL-3.0-or-later
"""Scale: 10,000 to 100,000 idle tunnels on one gateway, then held

In steps to 100,000 devices (TLS 1.2 ECDHE GCM) on the same gateway; at each, what a tunnel costs: resident memory (growth of Rss by the
number of tunnels, since 100 devices came and went), and apart from it what the kernel of this machine holds for both ends (Slab, TCP buffers). Then all are
held for BENCH_SCALE_SECONDS (600) with 30 s keep-alive; the gateway's CPU of that time counts, as a share of one core. Tunnels that are
lost meanwhile are counted by the devices. Where the descriptors of a process do not suffice, the gateway's workers have tables of their own.
"""
import os
import time

from lib import climb, machine

ORDER = 80
STEPS = (10000, 25000, 50000, 100000)
LIMIT = 6144


def hold(ctx, up, seconds):
    """(percent of one core in parts of the time, lost tunnels, growth of resident octets a tunnel)"""
    shares, lost, rss = [], up.lost(), up.rss()
    part = min(60, seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began, cpu = time.monotonic(), up.cpu_seconds()
        time.sleep(part)
        shares.append((up.cpu_seconds() - cpu) * 100 / (time.monotonic() - began))
    ctx.log(f"held for {seconds} s: {sorted(shares)[len(shares) // 2]:.1f} % of a core (median of {len(shares)} parts)")
    return shares, up.lost() - lost, (up.rss() - rss) / up.held


def run(ctx):
    seconds = int(os.environ.get("BENCH_SCALE_SECONDS", "600"))
    top = int(os.environ.get("BENCH_SCALE_TUNNELS", STEPS[-1]))
    steps = sorted({n for n in STEPS if n < top} | {top})
    with climb.Climb(ctx, top) as up:
        found = [up.to(n) for n in steps]
        shares, lost, growth = hold(ctx, up, seconds)
        missing = top - up.tunnels()
        workers = up.workers
        sockets = machine.kernel_memory()["tcp_sockets"]
    ctx.extra["steps"] = found
    first = found[0]["rss"]
    figures = [ctx.figure(f"resident a tunnel at {f['tunnels']:,}", [f["rss"]], "octets",
                          note=f"{workers} workers",
                          reference=(f"at {found[0]['tunnels']:,}", [first], "octets"), target=("<=", LIMIT)) for f in found]
    spread = max(abs(f["rss"] / first - 1) for f in found) * 100
    last = found[-1]
    return figures + [
        ctx.figure("farthest from the first step", [spread], "%", target=("<=", 10)),
        ctx.figure("kernel objects a tunnel, both ends", [last["slab"]], "octets", note="growth of Slab of the whole machine; at the top"),
        ctx.figure("TCP buffers a tunnel, both ends", [last["tcp_buffers"]], "octets", note=f"{sockets:,} TCP sockets in use"),
        ctx.figure("CPU with 30 s keep-alive", shares, "% of a core", target=("<=", 15), note=f"{top:,} tunnels on {workers} workers, held for {seconds} s"),
        ctx.figure("tunnels lost while held", [lost + missing], "tunnels", target=("==", 0)),
        ctx.figure("growth of memory while held", [growth], "octets a tunnel"),
        ctx.figure("CPU of the climb per 1,000", [sum(f["cpu"] for f in found) * 1000 / top], "CPU s", note="connects, enrolment, facts"),
    ]
