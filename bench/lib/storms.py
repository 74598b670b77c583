# SPDX-License-Identifier: GPL-3.0-or-later
"""A storm: devices that dial in all at once beside established tunnels that carry calls. Scenarios storm and storm_hostile."""
import os
import threading
import time

from lib import calls, machine, pauses, shares
from lib.figures import percentile

ESTABLISHED, CALLS_RATE = 1000, 200
QUIET_S, WARM_S, AFTER_S = 12, 4, 4
TUNNEL_LIMIT, HANDSHAKE_LIMIT, HANDSHAKES = 6144, 65536, 1024  # octets for each; the second bounds what a handshake may hold
REFUSED, DONE = "causeway_cira_refused_total", 'causeway_tls_handshakes_total{result="ok"}'


class Peak(threading.Thread):
    """Samples a process's resident memory until stop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.series, self.ended = pid, 0, [], threading.Event()
        self.start()

    def run(self):
        begin = time.monotonic()
        while not self.ended.wait(0.1):
            now = machine.rss(self.pid)
            self.peak = max(self.peak, now)
            self.series.append((round(time.monotonic() - begin, 2), now))

    def stop(self):
        self.ended.set()
        self.join()
        return self.peak


class Load:
    """CPU seconds of all that stands for other machines, and of the driver with what it has started and seen end."""

    def __init__(self, *processes):
        self.processes, self.begin = processes, 0.0
        self.begin = self.seconds()

    def seconds(self):
        times = os.times()
        mine = times.user + times.system + times.children_user + times.children_system
        return mine + sum(p.cpu_seconds() for p in self.processes) - self.begin


class Storm:
    """One storm. hostile: a function of (ctx, gateway) that gives clients that mean no good (hostile.Hostile), or None."""

    def __init__(self, ctx, devices, hostile=None, quiet_s=QUIET_S):
        self.devices = devices
        with ctx.gateway(cira={"max_handshakes": HANDSHAKES}) as gateway:
            shares.of_session(gateway.pid, shares.GATEWAY)
            empty = gateway.rss()
            with ctx.fleet(gateway, ESTABLISHED, rate=500, seed=1) as established:
                shares.always(established.pid)
                established.wait_ready()
                with calls.Calls(gateway, established.guids(), CALLS_RATE) as caller, pauses.Pauses(ctx.build, gateway.folder) as still:
                    time.sleep(WARM_S)
                    began = calls.now()
                    time.sleep(quiet_s)
                    self.quiet = caller.between(began, calls.now(), still.spans())
                    ctx.log(f"quiet: {self.quiet}")
                    before = established.stats()
                    self._storm(ctx, gateway, (established, caller), still, hostile)
                    after = established.stats()
                self.lost = sum(after[k] - before[k] for k in after if k.startswith("lost_"))
                self.limit = empty + (ESTABLISHED + devices) * TUNNEL_LIMIT + HANDSHAKES * HANDSHAKE_LIMIT
            self.alive = gateway.alive()

    def _storm(self, ctx, gateway, others, still, hostile):
        watch = Peak(gateway.pid)
        bad = hostile(ctx, gateway) if hostile else None
        try:
            with ctx.fleet(gateway, self.devices, seed=2, threads=2, extra=("--hold", "--backoff-max", "4"), nice=shares.MANY) as fleet:
                fleet.made()
                load = Load(fleet, *others, still, *([bad.fleet] if bad else []))
                cpu, refused, handshakes = gateway.cpu_seconds(), gateway.metric_sum(REFUSED), gateway.metric(DONE)
                own = fleet.cpu_seconds()
                began = calls.now()
                if bad:
                    bad.go()
                fleet.go()
                fleet.wait_ready(timeout=300, every=0.05)
                ended = calls.now()
                self.seconds = ended - began
                self.gateway_cpu, self.devices_cpu, self.load_cpu = gateway.cpu_seconds() - cpu, fleet.cpu_seconds() - own, load.seconds()
                self.refused, self.handshakes = gateway.metric_sum(REFUSED) - refused, gateway.metric(DONE) - handshakes
                time.sleep(AFTER_S)
                self.attempts = fleet.stats()["connects"]
                self.busy = others[1].between(began, ended, still.spans())
                self.still = pauses.seconds(still.spans(), began, ended)
            self.peak, self.series = watch.stop(), watch.series
        finally:
            watch.ended.set()
            if bad is not None:
                self.hostile_report = bad.end()
        ctx.log(f"storm: all in after {self.seconds:.1f} s ({self.attempts} attempts, {self.refused:.0f} refused, {self.handshakes:.0f} handshakes); {self.busy}")


def figures(ctx, storms, bare):
    """What storm and storm_hostile report, for one or more storms and the JSON of build/bench/handshake."""
    cores = len(os.sched_getaffinity(0))
    server_us = bare["tls12_full"]["server_us"]
    allowed = [(s.handshakes * us / 1e6 + s.load_cpu) / cores for s in storms for us in server_us]
    storms_ms = lambda which, p: [getattr(s, which).percentile(p) for s in storms]  # noqa: E731
    ctx.extra["memory"] = [s.series for s in storms]
    return [
        ctx.figure("p99 of calls in the storm", storms_ms("busy", 99), "ms", reference=("quiet p99", storms_ms("quiet", 99), "ms"),
                   target=("<=", 3), of="ratio", note=f"{CALLS_RATE} GetPowerState a second to {ESTABLISHED} established devices"),
        ctx.figure("p50 of calls in the storm", storms_ms("busy", 50), "ms", reference=("quiet p50", storms_ms("quiet", 50), "ms")),
        ctx.figure("p99 with calls that met a pause of the machine", [percentile(s.busy.all_ms, 99) for s in storms], "ms",
                   reference=("quiet p99 with them", [percentile(s.quiet.all_ms, 99) for s in storms], "ms")),
        ctx.figure("pauses of the machine in the storm", [s.still * 1000 for s in storms], "ms",
                   note="in which its host let it, or one of its processors, do nothing"),
        ctx.figure("calls that failed", [sum(s.busy.failed.values()) for s in storms], "calls", target=("==", 0)),
        ctx.figure("established tunnels lost", [s.lost for s in storms], "tunnels", target=("==", 0)),
        ctx.figure("time until all are in", [s.seconds for s in storms], "s",
                   reference=("bare handshakes and the load's own CPU on all cores", allowed, "s"), target=("<=", 1.2), of="ratio",
                   note="all handshakes that were made meanwhile; the load: devices, callers, hostile clients, the driver"),
        ctx.figure("peak memory of the gateway", [s.peak / 1048576 for s in storms], "MiB",
                   reference=("6 KiB a tunnel, 64 KiB a handshake", [s.limit / 1048576 for s in storms], "MiB"), target=("<=", 1), of="ratio"),
        ctx.figure("attempts a device", [s.attempts / s.devices for s in storms], "dials"),
        ctx.figure("cpu of the gateway per 1,000", [s.gateway_cpu * 1000 / s.devices for s in storms], "CPU s"),
        ctx.figure("handshakes a device", [s.handshakes / s.devices for s in storms], "handshakes"),
    ]
