# SPDX-License-Identifier: GPL-3.0-or-later
"""Listing all devices by pages of 1,000, for a second of the gateway's CPU time

The devices have connected and enrolled once and are gone again, or held if the machine has memory for both ends; what a list costs is
the same. Two connections read lists from beginning to end, over and over.
"""
from lib import load, processes

ORDER = 54


def run(ctx):
    devices, runs, seconds = (3000, 2, 2) if ctx.quick else (100000, 3, 8)
    with ctx.gateway(workers=2) as gateway:
        with ctx.fleet(gateway, devices, rate=0 if ctx.quick else 1000, threads=2) as fleet:
            fleet.wait_ready(timeout=900)
            processes.wait_for("all devices in the list", lambda: gateway.metric("causeway_tunnels_ready_total") >= devices, 300)
            listed = load.several(ctx, "ListDevices", runs, "devices",
                                  lambda: load.api(ctx, gateway, "list", connections=2, streams=1, page=1000, seconds=seconds))
    return [ctx.figure("ListDevices", listed, "devices a CPU second", better="higher", target=(">=", 1000000),
                       note=f"{devices:,} devices, connected")]
