# SPDX-License-Identifier: GPL-3.0-or-later
"""A long path between two network namespaces (build/bench/path): real TCP over a real delay, without `tc netem`. Needs root."""
import contextlib
import json
import os
import subprocess

from lib import network


class NoPath(Exception):
    """It cannot be made here; the text says why."""


class Path:
    """one_way_s in each direction. While it is open, this thread is on its near side; within far() it is on the other."""

    def __init__(self, build, one_way_s):
        self.child = subprocess.Popen([os.path.join(build, "bench", "path"), "--delay", str(round(one_way_s * 1000))], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        line = self.child.stdout.readline()
        if not line:
            raise NoPath(self.child.communicate()[1].strip())
        sides = json.loads(line)
        self.address = sides["near"]["address"]
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.near_ns, self.far_ns = (os.open(sides[side]["namespace"], os.O_RDONLY) for side in ("near", "far"))

    def __enter__(self):
        network.enter(self.near_ns)
        return self

    def __exit__(self, *_):
        network.enter(self.home)
        for fd in (self.home, self.near_ns, self.far_ns):
            os.close(fd)
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()
        self.child.stderr.close()

    @contextlib.contextmanager
    def far(self):
        """Processes that are started in here are at the far end."""
        network.enter(self.far_ns)
        try:
            yield
        finally:
            network.enter(self.near_ns)
