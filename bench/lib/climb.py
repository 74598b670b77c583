# SPDX-License-Identifier: GPL-3.0-or-later
"""Climbing to many tunnels in steps, each with a load source of its own. Scenarios scale and largest."""
import contextlib
import time

from lib import machine

CHUNK = 50000  # devices in one load source


class Climb:
    """Devices on one gateway, more with each step; use as a context manager."""

    def __init__(self, ctx, gateway, rate=1500):
        self.ctx, self.gateway, self.rate, self.held = ctx, gateway, rate, 0
        self.fleets, self.stack = [], contextlib.ExitStack()
        self.empty_rss, self.empty_anon = gateway.settled(), gateway.anon()
        self.empty_kernel = machine.kernel_memory()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fleet in self.fleets:
            fleet.child.terminate()  # all at once; end() waits for each
        self.stack.close()

    def to(self, count, settle=10, patience=60):
        """Adds devices until count are held and memory no longer changes; octets for each tunnel as a dict."""
        began, cpu = time.monotonic(), self.gateway.cpu_seconds()
        while self.held < count:
            add = min(CHUNK, count - self.held)
            fleet = self.stack.enter_context(self.ctx.fleet(self.gateway, add, rate=self.rate, seed=100 + len(self.fleets),
                                                            extra=("--backoff-max", "10")))
            self.fleets.append(fleet)
            fleet.wait_ready(timeout=patience + add / 150, every=1)
            self.held += add
        took = time.monotonic() - began
        self.gateway.wait_held(count, 300)
        time.sleep(settle)
        rss, anon = self.gateway.settled(within=max(65536, count * 8)), self.gateway.anon()
        kernel = machine.kernel_memory()
        found = {"tunnels": count, "seconds": took, "cpu": self.gateway.cpu_seconds() - cpu,
                 "rss": (rss - self.empty_rss) / count, "anon": (anon - self.empty_anon) / count,
                 "slab": (kernel["slab"] - self.empty_kernel["slab"]) / count,
                 "tcp_buffers": (kernel["tcp_buffers"] - self.empty_kernel["tcp_buffers"]) / count,
                 "fleet_rss": sum(machine.rss(f.pid) for f in self.fleets) / count,
                 "available": machine.memory_available()}
        self.ctx.log(f"{count:,} tunnels: {found['rss']:.0f} octets resident each, {found['anon']:.0f} anonymous, kernel objects of both ends "
                     f"{found['slab']:.0f}, TCP buffers {found['tcp_buffers']:.0f}; devices {found['fleet_rss']:.0f}; "
                     f"{found['available'] >> 20} MiB of the machine left; took {took:.0f} s")
        return found

    def lost(self):
        """Tunnels lost since their start."""
        return sum(v for f in self.fleets for k, v in f.stats().items() if k.startswith("lost_"))
