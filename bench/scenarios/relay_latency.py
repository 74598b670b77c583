# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay over a path with a round trip of 200 ms

One device behind a path that keeps every packet for 100 ms each way; a stream through a channel, once from the device, whose window
the gateway grants and lets grow, and once to the device, which grants 4 MiB. Octets a second at the client, by the clock: the path
is the limit here, not the processor. The path lies between two network namespaces (bench/path.c), so that TCP's windows count as
much as APF's; with what the system's net.core.rmem_max and wmem_max are. Where no such path can be made (it needs root) a relay of our
own stands for it (lib/delay.py): then TCP sees two short paths, and the figure says so.
"""
import contextlib

from lib import delay, load, path

ORDER = 56
ROUND_TRIP_S = 0.2
SINK_AHEAD = ("--stream", "sink", "--window", str(4 << 20), "--adjust", "batched")


def streams(ctx, gateway, fleet, kind):
    found = []
    fleet.wait_ready()
    for _ in range(1 if ctx.quick else 3):
        one = load.api(ctx, gateway, kind, fleet, seconds=3 if ctx.quick else 5, warm=5000)
        found.append(one["octets"] / one["seconds"] / 1e6)
        ctx.log(f"{kind}: {found[-1]:.1f} MB/s")
    return found


@contextlib.contextmanager
def far_fleet(ctx, line, gateway, extra):
    """A device at the other end of the path."""
    with line.far():
        fleet = ctx.fleet(gateway, 1, extra=extra, sources=0)
    with fleet:
        yield fleet


@contextlib.contextmanager
def delayed_fleet(ctx, gateway, extra):
    """A device behind a relay that delays what it carries."""
    real = gateway.cira
    with delay.Delay(real, ROUND_TRIP_S / 2) as line:
        gateway.cira = line.address
        with ctx.fleet(gateway, 1, extra=extra) as fleet:
            yield fleet
        gateway.cira = real


def measure(ctx, gateway, device, note):
    figures = []
    for kind, extra in (("download", load.SOURCE), ("upload", SINK_AHEAD)):
        with device(gateway, extra) as fleet:
            found = streams(ctx, gateway, fleet, kind)
        gateway.wait_empty()
        figures.append(ctx.figure(kind, found, "MB/s", better="higher", target=(">=", 10), note=note))
    return figures


def run(ctx):
    try:
        line = path.Path(ctx.build, ROUND_TRIP_S / 2)
    except path.NoPath as why:
        ctx.log(f"no path between namespaces: {why}")
        with ctx.gateway(workers=1) as gateway:
            return measure(ctx, gateway, lambda *of: delayed_fleet(ctx, *of), f"round trip 200 ms above TCP only: {why}")
    with line, ctx.gateway(workers=1, cira={"listen": [f"{line.address}:0"]}) as gateway:
        return measure(ctx, gateway, lambda *of: far_fleet(ctx, line, *of), "round trip 200 ms")
