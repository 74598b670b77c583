# SPDX-License-Identifier: GPL-3.0-or-later
"""Climbing to many tunnels in steps, each with a load source of its own. Scenarios scale and largest."""
import contextlib
import time

from lib import machine, processes

CHUNK = 50000  # devices in one load source, if its descriptors suffice


class Climb:
    """Devices on one gateway, more with each step; use as a context manager.

    Where the descriptors of a process do not suffice for that many tunnels and may not be raised, further gateways take the rest: the figures
    are sums over all, and one_gateway is False."""

    def __init__(self, ctx, top, rate=1500):
        self.ctx, self.rate, self.held = ctx, rate, 0
        self.gateways, self.fleets, self.stack = [], [], contextlib.ExitStack()
        self.capacity = processes.tunnels_limit()
        self.one_gateway = top <= self.capacity
        self.kernel = machine.kernel_memory()
        self.empty_rss = self.empty_anon = 0
        if not self.one_gateway:
            ctx.log(f"a process may have {processes.descriptor_limit():,} descriptors here: {-(-top // self.capacity)} gateways share {top:,} tunnels")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (*self.fleets, *self.gateways):
            process.child.terminate()  # all at once; end() waits for each
        self.stack.close()

    def _add(self, count):
        """Devices on the newest gateway, or on another one if it is full. As many as fit; their number."""
        if self.held == len(self.gateways) * self.capacity:
            gateway = self.stack.enter_context(self.ctx.gateway())
            self.gateways.append(gateway)
            self.empty_rss += gateway.settled()
            self.empty_anon += gateway.anon()
        room = len(self.gateways) * self.capacity - self.held
        add = min(CHUNK, self.capacity, count, room)
        fleet = self.stack.enter_context(self.ctx.fleet(self.gateways[-1], add, rate=self.rate, seed=100 + len(self.fleets),
                                                        net=1 + len(self.fleets), extra=("--backoff-max", "10")))
        self.fleets.append(fleet)
        fleet.wait_ready(timeout=60 + add / 100, every=1)
        self.held += add

    def rss(self):
        return sum(g.rss() for g in self.gateways)

    def cpu_seconds(self):
        return sum(g.cpu_seconds() for g in self.gateways)

    def tunnels(self):
        return sum(g.metric("causeway_tunnels") for g in self.gateways)

    def to(self, count, settle=10):
        """Adds devices until count are held and memory no longer changes; octets for each tunnel as a dict."""
        began, cpu = time.monotonic(), self.cpu_seconds()
        while self.held < count:
            self._add(count - self.held)
        took = time.monotonic() - began
        for n, gateway in enumerate(self.gateways):
            gateway.wait_held(min(self.capacity, count - n * self.capacity), 300)
        time.sleep(settle)
        self.gateways[-1].settled(within=262144)
        rss, anon, kernel = self.rss(), sum(g.anon() for g in self.gateways), machine.kernel_memory()
        found = {"tunnels": count, "gateways": len(self.gateways), "seconds": took, "cpu": self.cpu_seconds() - cpu,
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
