# SPDX-License-Identifier: GPL-3.0-or-later
"""WSMAN and power calls through tunnels, for a second of the gateway's CPU time

400 calls under way on 4 connections to simulated devices with digest authentication and kept channels. GetInstance is one request to
the device; GetPowerState is as many as the gateway needs, and the devices count those: requests a CPU second stand beside the calls.
"""
from lib import load

QUICK = True
ORDER = 52


def run(ctx):
    devices, runs, seconds = (300, 2, 2) if ctx.quick else (1000, 5, 4)
    with ctx.gateway(workers=1) as gateway, ctx.fleet(gateway, devices, rate=300, extra=("--window", "65536")) as fleet:
        fleet.wait_ready()
        gateway.wait_held(devices)
        calls = load.several(ctx, "GetInstance", runs, "calls",
                             lambda: load.api(ctx, gateway, "wsman-get", fleet, connections=4, streams=100, seconds=seconds))
        requests = []

        def power():
            before = gateway.metric_sum("causeway_wsman_calls_total"), gateway.cpu_seconds()
            found = load.api(ctx, gateway, "power-state", fleet, connections=4, streams=100, seconds=seconds)
            requests.append((gateway.metric_sum("causeway_wsman_calls_total") - before[0]) / (gateway.cpu_seconds() - before[1]))
            return found

        states = load.several(ctx, "GetPowerState", runs, "calls", power)
    return [
        ctx.figure("GetInstance", calls, "calls a CPU second", better="higher", target=(">=", 15000)),
        ctx.figure("GetPowerState", states, "calls a CPU second", better="higher"),
        ctx.figure("requests of GetPowerState", requests, "WSMAN requests a CPU second", better="higher", target=(">=", 15000)),
    ]
