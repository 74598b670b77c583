# SPDX-License-Identifier: GPL-3.0-or-later
"""Listing all devices by pages of 1,000, for a second of the gateway's CPU time

All devices have connected and enrolled once, in waves of at most 10,000, for each held one takes a descriptor; the last wave is still
there, and the facts of its devices are read. Two connections read lists from beginning to end, over and over.
"""
from lib import load, processes

ORDER = 54
WAVE = 10000


def calm(gateway):
    return gateway.metric("causeway_ready_waiting") + gateway.metric("causeway_ready_running") == 0


def run(ctx):
    devices, runs, seconds = (3000, 2, 2) if ctx.quick else (100000, 3, 8)
    with ctx.gateway(workers=2) as gateway:
        for first in range(0, devices, WAVE):
            wave = min(WAVE, devices - first)
            with ctx.fleet(gateway, wave, rate=0 if ctx.quick else 1000, threads=2, seed=100 + first // WAVE) as fleet:
                fleet.wait_ready(timeout=300)
                if first + wave == devices:
                    processes.wait_for("the end of reading facts", lambda: calm(gateway), 300)
                    listed = load.several(ctx, "ListDevices", runs, "devices",
                                          lambda: load.api(ctx, gateway, "list", connections=2, streams=1, page=1000, seconds=seconds))
    return [ctx.figure("ListDevices", listed, "devices a CPU second", better="higher", target=(">=", 1000000),
                       note=f"{devices:,} devices, {wave:,} of them connected")]
