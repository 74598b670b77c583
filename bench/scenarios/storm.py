# SPDX-License-Identifier: GPL-3.0-or-later
"""Storm: 10,000 devices dial in at once beside 1,000 tunnels that carry calls

1,000 devices are held and get GetPowerState calls at a steady pace on kept connections; some quiet seconds give the percentiles that count
as normal. Then 10,000 further devices dial in at once. Latencies count from the moment a call was due. Devices and clients stand for other
machines, but share this one's processors: the callers and the established devices, which work little, never wait for one (real-time
priority, if we may), and the devices of the storm, which work as much as the gateway, take what it leaves (its session has nice -10, theirs
10). The devices are made before, and dial when they are told. The time until all are in is judged against what bare handshakes, as many as were made
meanwhile, and the CPU of all that is not the gateway would take on all cores. What met a pause of the machine is not judged (lib/pauses.py).
"""
from lib import storms

QUICK = True
ORDER = 40


def run(ctx):
    bare = ctx.tool("handshake", "--count", 200, "--runs", 3)
    made = [storms.Storm(ctx, 3000, quiet_s=6)] if ctx.quick else [storms.Storm(ctx, 10000) for _ in range(3)]
    for s in made:
        ctx.load_was_limit("time until all are in", s.devices_cpu, s.seconds, threads=2)
    return storms.figures(ctx, made, bare)
