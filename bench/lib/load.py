# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads of the API by build/bench/api_load, and figures a second of the gateway's CPU time."""
import os

# What a relay is asked to carry: devices that send without end or discard, with windows that no queue waits for.
SOURCE = ("--stream", "source")
SINK = ("--stream", "sink", "--window", "1048576", "--adjust", "batched")


def api(ctx, gateway, kind, fleet=None, **options):
    """What api_load printed; options as its own: connections=4, streams=100, seconds=3."""
    words = ["--api", gateway.api, "--ca", gateway.ca, "--token-file", os.path.join(gateway.data, "admin.token"), "--pid", gateway.pid]
    if fleet is not None:
        path = os.path.join(gateway.folder, "load.guids")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(fleet.guids()) + "\n")
        words += ["--devices", path]
    for name, value in options.items():
        words += [f"--{name}", value]
    return ctx.tool("api_load", kind, *words)


def per_cpu(found, key):
    """That many a second of the gateway's CPU time."""
    return found[key] / max(found["gateway_cpu_s"], 1e-9)


def several(ctx, name, runs, key, call):
    """runs times: call() -> what api_load printed; the figures a CPU second. Failed calls end the scenario."""
    figures, load = [], []
    for _ in range(runs):
        found = call()
        if found["failed"]:
            raise RuntimeError(f"{name}: {found['failed']} of {found['calls']} calls failed")
        figures.append(per_cpu(found, key))
        load.append(found["client_cpu_s"] / found["seconds"])
        ctx.log(f"{name}: {figures[-1]:,.0f} a CPU second, {found[key] / found['seconds']:,.0f} a second, load {load[-1]:.2f} cores")
    ctx.load_was_limit(name, sorted(load)[len(load) // 2], 1.0)
    return figures
