# SPDX-License-Identifier: GPL-3.0-or-later
"""Largest: how many tunnels this machine holds, up to 250,000, and what ends it

Climbs by 25,000 until 250,000 (BENCH_LARGEST), until less than a gibibyte of the machine's memory is left, or until something fails; devices and
gateway share the machine. The last step that was held counts, and the reason is in the note.
"""
import os

from lib import climb, machine, processes

DEFAULT = False
STEP, LEFT = 25000, 1 << 30


def run(ctx):
    top = int(os.environ.get("BENCH_LARGEST", "250000"))
    found, why = [], f"nothing: {top:,} are held, more were not tried"
    with climb.Climb(ctx, top) as up:
        for count in range(STEP, top + 1, STEP):
            used = (machine.memory_available(), found[-1]["available"] if found else None)
            if used[0] < LEFT:
                why = f"memory: {used[0] >> 20} MiB of the machine are left before the step to {count:,}"
                break
            try:
                found.append(up.to(count, settle=5))
            except processes.Broken as error:
                why = f"the step to {count:,}: {str(error)[:1000]}"
                break
    ctx.extra["steps"] = found
    last = found[-1]
    ctx.log(f"ended by {why}")
    return [
        ctx.figure("tunnels held", [last["tunnels"]], "tunnels", better="higher", note=f"ended by {why}"),
        ctx.figure("workers", [last["workers"]], "threads", note="each has a table of descriptors of its own where one is too small"),
        ctx.figure("resident a tunnel", [last["rss"]], "octets", reference=(f"at {found[0]['tunnels']:,}", [found[0]["rss"]], "octets")),
        ctx.figure("kernel a tunnel, both ends", [last["slab"] + last["tcp_buffers"]], "octets"),
        ctx.figure("simulated device", [last["fleet_rss"]], "octets", note="resident memory of the load source, by device"),
        ctx.figure("memory left", [last["available"] / 1048576], "MiB", better="higher"),
    ]
