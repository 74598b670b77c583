# SPDX-License-Identifier: GPL-3.0-or-later
"""ctx: what a scenario's run(ctx) gets. See bench/README.md."""
import json
import os
import subprocess
import sys
import time

from lib import figures, machine, processes

# A load source that used more than this of the one core that each of its threads has was the limit, not the gateway.
LOAD_FULL = 0.9


class Context:
    def __init__(self, scenario, build, workdir, quick=False, results=None):
        self.scenario, self.build, self.workdir, self.quick, self.results = scenario, build, workdir, quick, results
        self.extra = {}  # goes to the scenario's JSON as it is: series for plots
        self._limited, self._gateways, self._begin = {}, 0, time.monotonic()

    def log(self, text):
        print(f"  {time.monotonic() - self._begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    def figure(self, name, runs, unit, better="lower", reference=None, target=None, of="value", note=""):
        """One figure of the scenario; see figures.Figure. Return a list of these from run()."""
        made = figures.Figure(name, list(runs), unit, better, reference, target, of, note)
        made.load_limited = self._limited.get(name)
        return made

    def load_limited(self, figure_name, why):
        """Says that the load source, not the gateway, set this figure. Before or after ctx.figure."""
        self._limited[figure_name] = why
        self.log(f"{figure_name}: the load was the limit: {why}")

    def load_was_limit(self, figure_name, cpu_s, seconds, threads=1):
        """load_limited if a load source of so many threads used cpu_s in seconds; True then."""
        if seconds > 0 and cpu_s / seconds >= LOAD_FULL * threads:
            self.load_limited(figure_name, f"it used {cpu_s / seconds:.2f} cores with {threads} threads")
            return True
        return False

    def apply_limits(self, made):
        for f in made:
            f.load_limited = self._limited.get(f.name)

    def gateway(self, group=True, amt=True, **conf):
        """A gateway on free loopback ports; conf: keys of causewayd.yaml, e.g. workers=1, cira={"max_tunnels": 10}.

        group=False: without the group that fleets use; amt=False: a group without an AMT account, so that it asks no device for facts."""
        self._gateways += 1
        return processes.Gateway(self.build, os.path.join(self.workdir, f"gateway-{self._gateways}"), conf, group, amt)

    @staticmethod
    def workers_for(tunnels):
        """Workers of a gateway that is to hold so many: at least one for each core, and what their descriptors take."""
        return max(len(os.sched_getaffinity(0)), -(-tunnels // processes.tunnels_limit()))

    def fleet(self, gateway, count, rate=0, extra=(), **more):
        """Simulated devices; see processes.Fleet."""
        return processes.Fleet(gateway, count, rate, extra, **more)

    def process(self, command, name):
        """Any other load source, with its log in workdir; end it with .end()."""
        return processes.Process(command, os.path.join(self.workdir, f"{name}.log"))

    def tool(self, name, *args, timeout=600):
        """What build/bench/NAME printed, as JSON."""
        done = subprocess.run([os.path.join(self.build, "bench", name), *map(str, args)], capture_output=True, text=True, timeout=timeout,
                              check=False, preexec_fn=processes.raise_limits)
        if done.returncode != 0:
            raise processes.Broken(f"{name} {' '.join(map(str, args))}: status {done.returncode}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def baseline(self, seconds=1.0):
        """Share of the machine that is busy now, while nothing of ours runs: 0 is idle. For notes about noise."""
        begin = machine.busy_seconds()
        time.sleep(seconds)
        end = machine.busy_seconds()
        return (end[0] - begin[0]) / max(end[1] - begin[1], 1e-9)
