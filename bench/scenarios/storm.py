# SPDX-License-Identifier: GPL-3.0-or-later
"""Storm: 10,000 devices dial in at once beside 1,000 tunnels that carry calls

1,000 devices are held and get GetPowerState calls at a steady pace on kept connections; some quiet seconds give the percentiles that
count as normal. Then 10,000 further devices dial in at once. Latencies count from the moment a call was due. The clients and the
established devices stand for other machines and get a nicer share of the processors; the storm itself does not. The time until all
are in is judged against what bare handshakes and the devices' own CPU would take on all cores. The first refresh of each
device's facts is part of it.
"""
from lib import storms

QUICK = True
ORDER = 40


def run(ctx):
    bare = ctx.tool("handshake", "--count", 200, "--runs", 3)
    made = [storms.Storm(ctx, 3000, quiet_s=6)] if ctx.quick else [storms.Storm(ctx, 10000) for _ in range(3)]
    for s in made:
        ctx.load_was_limit("time until all are in", s.load_cpu, s.seconds)
    return storms.figures(ctx, made, bare)
