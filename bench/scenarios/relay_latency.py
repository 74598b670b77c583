# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay over a path with a round trip of 200 ms

One device behind a line that keeps every octet for 100 ms each way; a stream through a channel, once from the device, whose window
the gateway grants and lets grow, and once to the device, which grants 4 MiB. Octets a second at the client, by the clock: the path
is the limit here, not the processor. The line is a relay of our own (lib/delay.py), for not every kernel has tc netem: what is
measured are APF's windows, not TCP's.
"""
from lib import delay, load

ORDER = 56
ROUND_TRIP_S = 0.2


def run(ctx):
    runs, seconds, figures = (1, 3, []) if ctx.quick else (3, 5, [])
    with ctx.gateway(workers=1) as gateway:
        real = gateway.cira
        for kind, extra in (("download", load.SOURCE), ("upload", ("--stream", "sink", "--window", str(4 << 20), "--adjust", "batched"))):
            found = []
            with delay.Delay(real, ROUND_TRIP_S / 2) as line:
                gateway.cira = line.address
                with ctx.fleet(gateway, 1, extra=extra) as fleet:
                    fleet.wait_ready()
                    for _ in range(runs):
                        one = load.api(ctx, gateway, kind, fleet, seconds=seconds, warm=4000)
                        found.append(one["octets"] / one["seconds"] / 1e6)
                        ctx.log(f"{kind}: {found[-1]:.1f} MB/s")
            gateway.cira = real
            gateway.wait_empty()
            figures.append(ctx.figure(kind, found, "MB/s", better="higher", target=(">=", 10), note="round trip 200 ms"))
    return figures
