# SPDX-License-Identifier: GPL-3.0-or-later
"""When the machine itself stood still (build/bench/pauses): its host stops a virtual machine now and then, for a quota that is used up or for a neighbour.

What waited then says nothing about the gateway; 100 ms of it make a twentieth of the calls of two seconds late. So percentiles are taken of calls that no such pause
touched, and how long the pauses were is a figure of its own. Without the right to real-time priority there are none to be seen."""
import os

from lib import machine
from lib.processes import Process

LONGEST_S = 3600


class Pauses(Process):
    def __init__(self, build, workdir):
        base = os.path.join(workdir, "pauses")
        self.out_path = base + ".txt"
        with open(self.out_path, "wb") as out:
            super().__init__([os.path.join(build, "bench", "pauses"), str(LONGEST_S)], base + ".log", stdout=out)

    def spans(self):
        """(begin, end) of each pause so far, in monotonic seconds; of any processor."""
        found = []
        for line in machine.read(self.out_path).splitlines():
            words = line.split()
            if len(words) == 3:
                found.append((float(words[1]), float(words[1]) + float(words[2]) / 1000))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def seconds(spans, begin, end):
    """How long of begin..end at least one processor stood still."""
    total, last = 0.0, begin
    for a, b in sorted(spans):
        a, b = max(a, last), min(b, end)
        if b > a:
            total, last = total + b - a, b
    return total
