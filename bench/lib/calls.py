# SPDX-License-Identifier: GPL-3.0-or-later
"""Paced API calls beside a scenario (build/bench/calls), and what they saw in a span of time."""
import os
import time

from lib import figures, machine, shares
from lib.processes import Broken, Process


class Samples:
    """Calls that were due in a span of time: latencies in ms (failed ones in full, too) and how many failed by status.

    ms: of calls that no pause of the machine touched (lib/pauses.py); all_ms: of all."""

    def __init__(self, lines, pauses=()):
        self.all_ms = [us / 1000 for _, us, _ in lines]
        self.ms = [us / 1000 for due, us, _ in lines if not any(a < due + us / 1e6 and due < b for a, b in pauses)]
        self.failed = {}
        for _, _, status in lines:
            if status != 200:
                self.failed[status] = self.failed.get(status, 0) + 1

    @property
    def count(self):
        return len(self.ms)

    def percentile(self, percent):
        return figures.percentile(self.ms, percent)

    def __str__(self):
        if not self.ms:
            return "no calls"
        paused = f", {len(self.all_ms) - len(self.ms)} more met a pause of the machine" if len(self.all_ms) > len(self.ms) else ""
        return (f"{self.count} calls, p50 {self.percentile(50):.1f} ms, p99 {self.percentile(99):.1f} ms, "
                f"max {max(self.ms):.1f} ms, {sum(self.failed.values())} failed{paused}")


class Calls(Process):
    """rate calls a second to the devices with these GUIDs in turn, over so many kept connections.

    preferred: it stands for other machines, which the load on this one must not slow down (shares.always)."""

    def __init__(self, gateway, guids, rate, connections=16, method=None, body=None, preferred=True):
        number = getattr(gateway, "callers", 0)
        gateway.callers = number + 1
        base = os.path.join(gateway.folder, f"calls-{number}")
        self.out_path = base + ".txt"
        with open(base + ".guids", "w", encoding="utf-8") as f:
            f.write("\n".join(guids))
        command = [os.path.join(gateway.build, "bench", "calls"), "--api", gateway.api, "--ca", gateway.ca, "--token-file",
                   os.path.join(gateway.data, "admin.token"), "--guids", base + ".guids", "--rate", str(rate), "--connections",
                   str(connections)]
        command += ["--method", method] if method else []
        command += ["--body", body] if body else []
        with open(self.out_path, "wb") as out:
            super().__init__(command, base + ".log", stdout=out)
        if preferred:
            shares.always(self.pid)

    def lines(self):
        """Every call that has ended: (due in monotonic s, latency in us, status)."""
        if not self.alive() and self.child.returncode != 0:
            raise Broken(f"calls ended with status {self.child.returncode}: {self.log()}")
        found = []
        for line in machine.read(self.out_path).splitlines():
            words = line.split()
            if len(words) == 3:
                found.append((int(words[0]) / 1000, int(words[1]), int(words[2])))
        return found

    def between(self, begin, end, pauses=()):
        """Samples of calls that were due from begin to end (time.monotonic())."""
        return Samples([c for c in self.lines() if begin <= c[0] < end], pauses)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def now():
    return time.monotonic()
