# SPDX-License-Identifier: GPL-3.0-or-later
"""Idle: memory of a held, silent tunnel

A gateway is left until its memory no longer changes, then devices dial in over TLS 1.2 ECDHE GCM and are left alone; the growth of
resident memory (Rss of smaps_rollup) by the number of tunnels counts. The reference is what each layer alone allocates, as
build/bench/idle_floor measures it: connection with TLS, tunnel, APF heap, device record. Kernel objects of both ends are apart.
"""
import os
import subprocess
import time

from lib import machine

QUICK = True
ORDER = 20
LIMIT, FEW_LIMIT = 6144, 12288  # at 1,000 tunnels the fixed parts of the program weigh


def floor(ctx):
    """Octets by layer, from the tab-separated lines of idle_floor."""
    done = subprocess.run([os.path.join(ctx.build, "bench", "idle_floor")], capture_output=True, text=True, check=True, timeout=300)
    return {key: float(value) for key, value in (line.split("\t")[:2] for line in done.stdout.splitlines())}


def measure(ctx, tunnels, settle):
    """(resident, anonymous, kernel objects) in octets a tunnel."""
    with ctx.gateway() as gateway:
        rss = gateway.settled()
        anon, kernel = gateway.anon(), machine.kernel_memory()["slab"]
        with ctx.fleet(gateway, tunnels, rate=500) as fleet:
            fleet.wait_ready(timeout=120 + tunnels / 50)
            time.sleep(settle)
            held = gateway.settled() - rss, gateway.anon() - anon, machine.kernel_memory()["slab"] - kernel
            if gateway.metric("causeway_tunnels") != tunnels:
                raise RuntimeError(f"{gateway.metric('causeway_tunnels'):.0f} of {tunnels} tunnels are held")
    ctx.log(f"{tunnels} tunnels: {held[0] / tunnels:.0f} octets resident each")
    return [octets / tunnels for octets in held]


def run(ctx):
    layers = floor(ctx)
    sum_of_layers = sum(layers[k] for k in ("conn_tls12", "sizeof_tunnel", "apf_heap", "sizeof_device"))
    reference = ("layers alone", [sum_of_layers], "octets")
    figures = []
    for tunnels, runs, limit in ((1000, 1, FEW_LIMIT),) if ctx.quick else ((1000, 3, FEW_LIMIT), (10000, 1, LIMIT)):
        resident, anonymous, kernel = zip(*(measure(ctx, tunnels, 5 if ctx.quick else 20) for _ in range(runs)))
        figures += [
            ctx.figure(f"resident a tunnel at {tunnels:,}", resident, "octets", reference=reference, target=("<=", limit)),
            ctx.figure(f"anonymous a tunnel at {tunnels:,}", anonymous, "octets", note="without the store's mapped pages"),
            ctx.figure(f"kernel a tunnel at {tunnels:,}", kernel, "octets", note="growth of Slab, both ends, whole machine: rough"),
        ]
    figures.append(ctx.figure("wolfSSL session alone", [layers["tls12_ecdhe_gcm"]], "octets"))
    return figures
