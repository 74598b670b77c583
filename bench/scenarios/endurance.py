# SPDX-License-Identifier: GPL-3.0-or-later
"""Endurance: tunnels with churn, calls, watches, certificate reloads and one drain and restart

BENCH_ENDURANCE_SECONDS (3600) with BENCH_ENDURANCE_TUNNELS (20000): 1 % of the devices a minute drop their tunnel and come back, calls are made
at a steady pace, watchers follow every device and some leave and return, a new certificate is put in place and loaded twelve times in the run (every
five minutes of an hour), and the gateway is drained and started anew once, after a twelfth of the time. Memory, descriptors and CPU are
sampled. Growth is judged from the last start on, without its first sixth (ten minutes of an hour): median of the last sixth against the
median of the first one after it. A descriptor that belongs to no connection counts as one of the gateway's own.
"""
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time

from lib import calls, processes
from lib.figures import median

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests", "e2e"))
import harness  # noqa: E402

DEFAULT = False
WATCHERS, CALLS_RATE, CHURN_PERCENT = 4, 50, 1
SILENCE_S = 30
RELOADS, RESTART_AT = 12, 1 / 12


class Certificates:
    """An authority and leaves for the gateway, with openssl."""

    def __init__(self, folder):
        self.folder, self.serial = folder, 0
        self.ca, self.cert, self.key = (os.path.join(folder, n) for n in ("ca.crt", "cira.crt", "cira.key"))
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Bench CA", "-days", "30")
        self.renew()

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def renew(self):
        self.serial += 1
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "new.key", "-out", "new.csr", "-subj", "/CN=localhost")
        self._openssl("x509", "-req", "-in", "new.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(self.serial), "-days", "10",
                      "-out", "new.crt")
        for name in ("crt", "key"):
            os.replace(os.path.join(self.folder, f"new.{name}"), os.path.join(self.folder, f"cira.{name}"))


class Place:
    """What harness.Api asks of a place."""

    def __init__(self, gateway):
        self.gateway, self.api, self.token = gateway, gateway.api, gateway.token

    def tls_context(self):
        return ssl.create_default_context(cafile=self.gateway.ca)


class Watcher(threading.Thread):
    """Follows all devices; leaves and returns with its token every stay_s. A watch that says nothing for SILENCE_S has been lost."""

    def __init__(self, gateway, stay_s):
        super().__init__(daemon=True)
        self.gateway, self.stay_s, self.events, self.cut, self.silent, self.ended = gateway, stay_s, 0, 0, 0, threading.Event()
        self.start()

    def run(self):
        token = ""
        while not self.ended.is_set():
            try:
                api = harness.Api(Place(self.gateway), timeout=SILENCE_S)
                until = time.monotonic() + self.stay_s
                for event in api.stream("DeviceService/WatchDevices", {"heartbeatInterval": "5s", "resumeToken": token}):
                    token = event.get("resumeToken", token)
                    self.events += event["kind"] != "DEVICE_EVENT_KIND_HEARTBEAT"
                    if time.monotonic() > until or self.ended.is_set():
                        break
            except TimeoutError:
                self.silent += 1
            except Exception:  # pylint: disable=broad-except
                self.cut += 1  # it was told: an error, or the end of the connection
                self.ended.wait(1)
            finally:
                api.close()


class Churn(threading.Thread):
    """Drops tunnels of random devices, half of them with a goodbye; they dial in again."""

    def __init__(self, fleet, guids, per_second):
        super().__init__(daemon=True)
        self.fleet, self.guids, self.wait_s, self.dropped, self.ended = fleet, guids, 1 / per_second, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(self.wait_s):
            try:
                self.fleet.order("drop", random.choice(self.guids), *random.choice(((), ("polite",))))
                self.dropped += 1
            except (OSError, processes.Broken):
                pass


class Run:
    """The whole of it, step by step."""

    def __init__(self, ctx, seconds, tunnels):
        self.ctx, self.seconds, self.tunnels = ctx, seconds, tunnels
        self.samples, self.broken_calls, self.lost = [], 0, 0
        self.reloads = self.reloads_seen = 0
        self.certificates = Certificates(ctx.workdir)
        cira, api = harness.free_ports(2)
        self.gateway = ctx.gateway(drain_timeout="10s", api={"listen": [f"127.0.0.1:{api}"]}, workers=ctx.workers_for(tunnels), cira={
            "listen": [f"127.0.0.1:{cira}"], "cert": self.certificates.cert, "key": self.certificates.key, "max_tunnels": tunnels + 1000})

    def reload(self):
        self.certificates.renew()
        self.reloads += 1
        self.gateway.child.send_signal(signal.SIGHUP)
        with open(self.certificates.cert, encoding="ascii") as f:
            want = ssl.PEM_cert_to_DER_cert(f.read())

        def served():
            try:
                host, port = self.gateway.cira.rsplit(":", 1)
                return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)), timeout=10)) == want
            except (OSError, ValueError):
                return False
        try:
            processes.wait_for("the new certificate", served, 20, 0.5)
            self.reloads_seen += 1
        except processes.Broken:
            self.ctx.log("the new certificate is not served")

    def restart(self, fleet):
        """Drains, starts again, waits for the devices; calls and tunnels of that time are on another account."""
        began = calls.now()
        self.account(fleet)
        status = self.gateway.end(120)
        self.drained_s = calls.now() - began
        self.gateway.start()
        fleet.wait_ready(self.tunnels - max(1, self.tunnels // 200), timeout=600)  # some are always away: churn
        self.lost_at = self.losses(fleet)
        self.away = (began - 1, calls.now() + 1)
        self.ctx.log(f"restart: drained in {self.drained_s:.1f} s with status {status}, all devices back after {self.away[1] - began:.0f} s")
        self.restart_status = status

    @staticmethod
    def losses(fleet):
        return sum(v for k, v in fleet.stats().items() if k.startswith("lost_") and k != "lost_local")

    def account(self, fleet):
        self.lost += self.losses(fleet) - self.lost_at

    def sample(self, began):
        m = self.gateway.metrics()
        self.samples.append({"s": round(time.monotonic() - began, 1), "rss": self.gateway.rss(), "anon": self.gateway.anon(),
                             "descriptors": self.gateway.descriptors(), "connections": m.get("causeway_connections", 0),
                             "tunnels": m.get("causeway_tunnels", 0), "cpu": self.gateway.cpu_seconds()})

    def go(self):
        ctx, gateway, seconds = self.ctx, self.gateway, self.seconds
        every = min(10, seconds / 60)
        with gateway, processes.Fleets(gateway, self.tunnels, rate=1000,
                                       extra=("--ca", self.certificates.ca, "--backoff-max", "10")) as fleet:
            fleet.wait_ready(self.tunnels, timeout=600)
            guids, self.lost_at = fleet.guids(), self.losses(fleet)
            ctx.log(f"{self.tunnels:,} devices are in; {seconds} s begin")
            churn = Churn(fleet, guids, self.tunnels * CHURN_PERCENT / 100 / 60)
            watchers = [Watcher(gateway, 45 + 30 * i if i % 2 else 2 * seconds) for i in range(WATCHERS)]
            with calls.Calls(gateway, guids, CALLS_RATE, preferred=False) as caller:
                began, restart_at, reload_at = time.monotonic(), seconds * RESTART_AT, seconds / RELOADS / 2
                while time.monotonic() - began < seconds:
                    time.sleep(every)
                    self.sample(began)
                    now = time.monotonic() - began
                    if restart_at and now >= restart_at:
                        restart_at = 0
                        self.restart(fleet)
                        self.restarted = time.monotonic() - began
                    if now >= reload_at:
                        reload_at += seconds / RELOADS
                        self.reload()
                for thread in (churn, *watchers):
                    thread.ended.set()
                self.account(fleet)
                self.still = fleet.ready()
            self.calls = caller.lines()
        self.churned, self.watchers, self.violations = churn.dropped, watchers, fleet.violations()

    def window(self, field, begin, end):
        return [s[field] for s in self.samples if begin <= s["s"] <= end]


def run(ctx):
    seconds = int(os.environ.get("BENCH_ENDURANCE_SECONDS", "3600"))
    tunnels = int(os.environ.get("BENCH_ENDURANCE_TUNNELS", "20000"))
    r = Run(ctx, seconds, tunnels)
    r.go()
    for s in r.samples:
        s["own"] = s["descriptors"] - s["connections"]
    sixth = seconds / 6
    first, last = (r.restarted + sixth, r.restarted + 2 * sixth), (seconds - sixth, seconds + 60)
    outside = [c for c in r.calls if not r.away[0] <= c[0] <= r.away[1]]
    answered = sum(c[2] > 0 for c in r.calls)
    per_core = [(b["cpu"] - a["cpu"]) * 100 / (b["s"] - a["s"]) for a, b in zip(r.samples, r.samples[1:]) if b["cpu"] > a["cpu"] and a["s"] > first[0]]
    ctx.extra.update(samples=r.samples, restarted=r.restarted, windows=[first, last], seconds=seconds, tunnels=tunnels,
                     statuses={str(k): sum(c[2] == k for c in r.calls) for k in sorted({c[2] for c in r.calls})})
    mib, within = 1048576, 1.02 if seconds >= 1200 else 1.05  # a short run has few samples of little memory
    return [
        ctx.figure("resident memory at the end", [v / mib for v in r.window("rss", *last)], "MiB",
                   reference=("after the settling time", [v / mib for v in r.window("rss", *first)], "MiB"), target=("<=", within), of="ratio",
                   note=f"{tunnels:,} tunnels, {seconds} s; medians of windows of {sixth:.0f} s"),
        ctx.figure("descriptors that belong to no connection", [median(r.window("own", *last)) - median(r.window("own", *first))], "descriptors",
                   target=("<=", 5), note="growth between the same windows"),
        ctx.figure("calls without answer or error", [sum(c[2] == -1 for c in r.calls)], "calls", target=("==", 0),
                   note=f"{len(r.calls):,} calls, {answered:,} answered"),
        ctx.figure("calls cut off outside the restart", [sum(c[2] == 0 for c in outside)], "calls", target=("==", 0)),
        ctx.figure("tunnels lost outside the restart", [r.lost], "tunnels", target=("==", 0), note=f"{r.churned:,} dropped on purpose"),
        ctx.figure("devices missing at the end", [max(0, tunnels - r.still)], "devices", target=("<=", max(20, tunnels // 100))),
        ctx.figure("certificates loaded but not served", [r.reloads - r.reloads_seen], "reloads", target=("==", 0), note=f"{r.reloads} reloads"),
        ctx.figure("status of the drained gateway", [r.restart_status], "exit status", target=("==", 0), note=f"drained in {r.drained_s:.1f} s"),
        ctx.figure("watches that fell silent", [sum(w.silent for w in r.watchers)], "watches", target=("==", 0),
                   note=f"{sum(w.events for w in r.watchers):,} events, {sum(w.cut for w in r.watchers)} ended with an error"),
        ctx.figure("protocol violations of the gateway", [r.violations], "violations", target=("==", 0)),
        ctx.figure("CPU", per_core, "% of a core", note=f"{CALLS_RATE} calls a second, {CHURN_PERCENT} % churn a minute, {WATCHERS} watchers"),
    ]
