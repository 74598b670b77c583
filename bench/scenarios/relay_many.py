# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay: 100 channels together, against an empty TLS relay with 100 pairs

As in relay, with 100 devices. Each stream has a connection of its own, as 100 operators have; beside it, without a target, the same
channels as 25 streams on each of 4 connections.
"""
from lib import load

ORDER = 51
CHANNELS = 100


def run(ctx):
    runs, seconds, figures = (2, 2, []) if ctx.quick else (5, 4, [])
    with ctx.gateway(workers=1) as gateway:
        for kind, extra in (("download", load.SOURCE), ("upload", load.SINK)):
            reference, alone, shared = [], [], []
            with ctx.fleet(gateway, CHANNELS, extra=extra) as fleet:
                fleet.wait_ready()
                for _ in range(runs):
                    reference.append(ctx.tool("tls_relay", "--pairs", CHANNELS, "--seconds", seconds)["octets_per_cpu_s"] / 1e6)
                    alone += load.several(ctx, kind, 1, "octets", lambda: load.api(
                        ctx, gateway, kind, fleet, connections=CHANNELS, streams=1, seconds=seconds))
                    shared += load.several(ctx, f"{kind}, 4 connections", 1, "octets", lambda: load.api(
                        ctx, gateway, kind, fleet, connections=4, streams=CHANNELS // 4, seconds=seconds))
            gateway.wait_empty()
            against = ("empty TLS relay, 100 pairs", reference, "MB a CPU second")
            figures.append(ctx.figure(kind, [f / 1e6 for f in alone], "MB a CPU second", better="higher", reference=against,
                                      target=(">=", 0.8), of="ratio"))
            figures.append(ctx.figure(f"{kind}, 4 connections", [f / 1e6 for f in shared], "MB a CPU second", better="higher",
                                      reference=against, of="ratio"))
    return figures
