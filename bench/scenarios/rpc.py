# SPDX-License-Identifier: GPL-3.0-or-later
"""GetDevice over TLS, for a second of the gateway's CPU time

400 calls under way on 4 connections (gRPC, HTTP/2, TLS 1.3), one device after the other of those that are connected.
"""
from lib import load

QUICK = True
ORDER = 53


def run(ctx):
    devices, runs, seconds = (100, 3, 2) if ctx.quick else (1000, 7, 4)
    with ctx.gateway(workers=1) as gateway, ctx.fleet(gateway, devices, rate=300) as fleet:
        fleet.wait_ready()
        gateway.wait_held(devices)
        calls = load.several(ctx, "GetDevice", runs, "calls",
                             lambda: load.api(ctx, gateway, "get-device", fleet, connections=4, streams=100, seconds=seconds))
    return [ctx.figure("GetDevice", calls, "calls a CPU second", better="higher", target=(">=", 100000))]
