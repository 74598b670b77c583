# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers: the same devices against MeshCentral and against us

MeshCentral comes from npm into a temporary folder, is set up for AMT only and listens on loopback; it needs no account beyond the
one that its own command makes there. The same causeway-fleet dials both, in turns, over TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256 with
an RSA-2048 certificate. Neither side has AMT credentials, so neither asks the devices anything: connect, hold, keep alive. CPU and
memory are those of all processes of a side. Open AMT's MPS is not among npm's packages and is not measured.

- first connects: devices that the server does not know and stores; again: the same devices, known now. All at once, up to READY.
- memory: growth of Rss from before the first connect until it no longer changes, by devices.
- keep-alive: CPU while the tunnels are held and silent but for one keep-alive in 30 s each, less that of the idle server.
"""
import time
from statistics import median

from lib import machine, meshcentral, processes

QUICK = False
DEFAULT = False
MACHINE_NETWORK = True  # npm fetches MeshCentral
DEADLINE_S = 240  # no further round begins after it
HOLD_S = 60
QUIET_S = 5


class Side:
    """One of the two servers and what was found about it."""

    def __init__(self, name, server, options=()):
        self.name, self.server, self.options = name, server, options
        self.cpu, self.rate, self.load = {"first": [], "again": []}, {"first": [], "again": []}, []

    def used(self):
        if isinstance(self.server, meshcentral.MeshCentral):
            return self.server.cpu_seconds()
        return sum(ran for _, ran in machine.thread_seconds(self.server.pid).values())

    def settled(self):
        """Resident octets once they no longer change; a garbage collector is given some time for it."""
        now = self.server.rss()
        for _ in range(8):
            time.sleep(2)
            before, now = now, self.server.rss()
            if abs(now - before) < 262144:
                break
        return now

    def connect(self, ctx, count, kind):
        """All devices dial in; returns the fleet, which holds its tunnels."""
        begin = self.used()
        fleet = ctx.fleet(self.server, count, extra=self.options)
        try:
            took = fleet.wait_ready(timeout=120, every=0.02)
        except BaseException:
            fleet.end()
            raise
        self.cpu[kind].append((self.used() - begin) * 1000 / count)
        self.rate[kind].append(count / took)
        self.load.append((fleet.cpu_seconds(), took))
        ctx.log(f"{self.name}, {kind}: {self.cpu[kind][-1]:.2f} CPU s per 1,000, {self.rate[kind][-1]:.0f} a second")
        return fleet


def hold(ctx, sides, count):
    """First connects, memory and keep-alives. Both sides hold their tunnels at the same time."""
    empty = {s: s.settled() for s in sides}
    idle = {s: s.used() for s in sides}
    time.sleep(QUIET_S)
    idle = {s: (s.used() - idle[s]) / QUIET_S for s in sides}
    fleets = {}
    try:
        for s in sides:
            fleets[s] = s.connect(ctx, count, "first")
        for s in sides:
            s.memory = (s.settled() - empty[s]) / count
            ctx.log(f"{s.name}: {s.memory:.0f} octets a tunnel")
        begin, used = time.monotonic(), {s: s.used() for s in sides}
        time.sleep(HOLD_S)
        took = time.monotonic() - begin
        for s in sides:
            s.keepalive = max((s.used() - used[s]) / took - idle[s], 0) * 100
            s.lost = count - fleets[s].ready()
            ctx.log(f"{s.name}: {s.keepalive:.3f} % of a core for {count} tunnels, {s.lost} lost")
    finally:
        for fleet in fleets.values():
            fleet.end()


def again(ctx, sides, count, rounds, begin):
    for _ in range(rounds):
        for s in sides:
            s.connect(ctx, count, "again").end()
        if time.monotonic() - begin > DEADLINE_S:
            ctx.log("no time for further rounds")
            break


def figures(ctx, us, them, count):
    name = f"MeshCentral {meshcentral.VERSION}"
    for s in (us, them):
        if median(c / t for c, t in s.load) >= 0.9:
            for kind in ("first", "again"):
                ctx.load_limited(f"rate, {kind}", f"the devices of {s.name} used their whole core")
    made = []
    for kind in ("again", "first"):
        made += [
            ctx.figure(f"cpu per 1,000 connects, {kind}", us.cpu[kind], "CPU s", reference=(name, them.cpu[kind], "CPU s"),
                       target=("<=", 1 / 3), of="ratio"),
            ctx.figure(f"rate, {kind}", us.rate[kind], "connects/s", better="higher", reference=(name, them.rate[kind], "connects/s"),
                       note="devices and server share the machine; MeshCentral has one thread for all" if kind == "again" else ""),
        ]
    return made + [
        ctx.figure("memory a tunnel", [us.memory], "octets", reference=(name, [them.memory], "octets"),
                   note=f"{count} tunnels, process memory, kernel's not counted"),
        ctx.figure("keep-alive", [us.keepalive], "% of a core", reference=(name, [them.keepalive], "% of a core"),
                   note=f"{count} tunnels, one in 30 s each, less the idle server; lost meanwhile: {us.lost} of ours, {them.lost} of theirs"),
    ]


def run(ctx):
    begin, (count, rounds) = time.monotonic(), (1000, 1) if ctx.quick else (5000, 3)
    with meshcentral.MeshCentral(ctx.build, ctx.workdir + "/meshcentral", ctx.log) as peer, ctx.gateway(group=False) as gateway:
        gateway.cli("group", "create", "bench", "--cira-user", processes.CIRA_USER, "--cira-password-file", gateway.cira_password,
                    "--enroll", "accept")
        sides = [Side("MeshCentral", peer, peer.fleet_options()), Side("Causeway", gateway)]
        hold(ctx, sides, count)
        again(ctx, sides, count, rounds, begin)
    return figures(ctx, sides[1], sides[0], count)
