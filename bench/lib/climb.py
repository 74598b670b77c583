# SPDX-License-Identifier: GPL-3.0-or-later
"""Climbing to many tunnels in steps, each with a load source of its own. Scenarios scale and largest."""
import contextlib
import time

from lib import machine, processes

WARM = 100  # devices that come and go before memory is looked at
CHUNK = 50000  # devices in one load source, if its descriptors suffice


class Climb:
    """Devices on one gateway, more with each step; use as a context manager.

    A gateway's worker holds as many tunnels as a process may have descriptors, for each has a table of its own where that is less than needed:
    the gateway gets as many workers as the top takes. A load source has one table; several share the devices."""

    def __init__(self, ctx, top, rate=1500):
        self.ctx, self.top, self.rate, self.held = ctx, top, rate, 0
        self.gateway, self.fleets, self.stack = None, [], contextlib.ExitStack()
        self.workers = ctx.workers_for(top)
        self.kernel = machine.kernel_memory()

    def __enter__(self):
        self.gateway = self.stack.enter_context(self.ctx.gateway(workers=self.workers, cira={"max_tunnels": self.top + 1000}))
        with self.ctx.fleet(self.gateway, WARM, rate=200, net=99) as warm:  # so that what a gateway needs once is there
            warm.wait_ready()
        self.gateway.wait_empty()
        self.empty_rss, self.empty_anon = self.gateway.settled(), self.gateway.anon()
        self.ctx.log(f"{self.workers} workers, {processes.descriptor_limit():,} descriptors each; {self.empty_rss >> 20} MiB resident without tunnels")
        return self

    def __exit__(self, *_):
        for process in (*self.fleets, self.gateway):
            if process is not None:
                process.child.terminate()  # all at once; end() waits for each
        self.stack.close()

    def _add(self, count):
        """A load source with count devices, or as many as it can have."""
        add = min(CHUNK, processes.tunnels_limit(), count)
        fleet = self.stack.enter_context(self.ctx.fleet(self.gateway, add, rate=self.rate, seed=100 + len(self.fleets),
                                                        net=1 + len(self.fleets), extra=("--backoff-max", "10")))
        self.fleets.append(fleet)
        fleet.wait_ready(timeout=60 + add / 100, every=1)
        self.held += add

    def rss(self):
        return self.gateway.rss()

    def cpu_seconds(self):
        return self.gateway.cpu_seconds()

    def tunnels(self):
        return self.gateway.metric("causeway_tunnels")

    def to(self, count, settle=20):
        """Adds devices until count are held and memory no longer changes; octets for each tunnel as a dict."""
        began, cpu = time.monotonic(), self.cpu_seconds()
        while self.held < count:
            self._add(count - self.held)
        took = time.monotonic() - began
        self.gateway.wait_held(count, 300)
        time.sleep(settle)
        self.gateway.settled(within=262144)
        rss, anon, kernel = self.rss(), self.gateway.anon(), machine.kernel_memory()
        found = {"tunnels": count, "workers": self.workers, "seconds": took, "cpu": self.cpu_seconds() - cpu,
                 "rss": (rss - self.empty_rss) / count, "anon": (anon - self.empty_anon) / count,
                 "slab": (kernel["slab"] - self.kernel["slab"]) / count,
                 "tcp_buffers": (kernel["tcp_buffers"] - self.kernel["tcp_buffers"]) / count,
                 "fleet_rss": sum(machine.rss(f.pid) for f in self.fleets) / count,
                 "available": machine.memory_available()}
        self.ctx.log(f"{count:,} tunnels: {found['rss']:.0f} octets resident each, {found['anon']:.0f} anonymous, kernel objects of both ends "
                     f"{found['slab']:.0f}, TCP buffers {found['tcp_buffers']:.0f}; devices {found['fleet_rss']:.0f}; "
                     f"{found['available'] >> 20} MiB of the machine left; took {took:.0f} s")
        return found

    def lost(self):
        """Tunnels lost since their start."""
        return sum(v for f in self.fleets for k, v in f.stats().items() if k.startswith("lost_"))
