# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway and simulated devices for a scenario. Each is a context manager that ends what it started, by pid."""
import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import time
import urllib.request

from lib import machine, shares

CIRA_USER, CIRA_PASSWORD = "bench", "Bench-Pass-1"
AMT_USER, AMT_PASSWORD = "admin", "Bench-Amt-1"
SUITE = "ECDHE-RSA-AES128-GCM-SHA256"
FILES = 1048576
START_S, STOP_S = 60, 90


class Broken(Exception):
    """A scenario cannot go on; the text says why."""


def raise_limits():
    """Before exec: as many descriptors as the system allows; the programs check for themselves what they need."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        if os.geteuid() == 0 and hard < FILES:
            hard = FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wait_for(what, check, seconds, every=0.1):
    """Calls check until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def merge(base, more):
    """base with the mappings of more laid over it, key by key."""
    made = dict(base)
    for key, value in more.items():
        made[key] = merge(made[key], value) if isinstance(value, dict) and isinstance(made.get(key), dict) else value
    return made


def descriptor_limit():
    """Descriptors that one process of ours may have: the hard limit, or more if we may raise it."""
    begin = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_limits()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (begin[0], limit))
    return limit


def tunnels_limit():
    """Tunnels that one worker of a gateway, and devices that one load source, can have with these descriptors; some are left for everything
    else. A gateway that may have more tunnels gives each worker a table of descriptors of its own."""
    return descriptor_limit() - 1500


class Process:
    """A child with its log; ended by pid. It has a session of its own: where the kernel groups processes by session (autogroup), the gateway
    and each load source then have a share of the processors as if they were on machines of their own."""

    def __init__(self, command, log, stdout=None, stdin=subprocess.DEVNULL, nice=0):
        def prepare():
            raise_limits()
            shares.of_new_process(nice)
        self.log_path = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(command, stdin=stdin, stdout=stdout or out, stderr=out,
                                          start_new_session=True, preexec_fn=prepare)
        self.pid = self.child.pid

    def alive(self):
        return self.child.poll() is None

    def log(self, octets=2000):
        return machine.read(self.log_path)[-octets:]

    def end(self, seconds=STOP_S):
        """SIGTERM, then SIGKILL; the exit status."""
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def cpu_seconds(self):
        return machine.cpu_seconds(self.pid)

    def user_seconds(self):
        return machine.user_seconds(self.pid)

    def thread_seconds(self):
        return machine.thread_seconds(self.pid)


class Gateway(Process):
    """causewayd with a folder of its own under workdir, on free loopback ports, with the group that ctx.fleet uses."""

    DEFAULTS = {"cira": {"listen": ["127.0.0.1:0"], "name": "localhost", "max_tunnels": tunnels_limit()}, "api": {"listen": ["127.0.0.1:0"]},
                "metrics": {"listen": "127.0.0.1:0"}, "log": {"level": "warn"}, "drain_timeout": "5s"}

    def __init__(self, build, folder, conf, group=True, amt=True):
        self.build, self.folder, self.data = build, folder, os.path.join(folder, "data")
        os.makedirs(folder, exist_ok=True)
        os.makedirs(self.data, mode=0o700, exist_ok=True)
        self.config = os.path.join(folder, "causeway.yaml")
        self.cira_password = self.secret("cira.password", CIRA_PASSWORD)
        self.amt_password = self.secret("amt.password", AMT_PASSWORD)
        self.settings = merge(self.DEFAULTS, conf)
        self.write_config(self.settings)
        self.start()
        if group:
            account = ("--amt-user", AMT_USER, "--amt-password-file", self.amt_password) if amt else ()
            self.cli("group", "create", "bench", "--cira-user", CIRA_USER, "--cira-password-file", self.cira_password, "--enroll", "accept",
                     *account)

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def write_config(self, settings):
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(settings, f)  # JSON is YAML

    def start(self):
        """Starts the daemon; also again after end()."""
        run_json = os.path.join(self.data, "run.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(run_json)
        super().__init__([os.path.join(self.build, "causewayd"), "--config", self.config, "--data", self.data],
                         os.path.join(self.folder, "causewayd.log"))
        wait_for("the gateway's start", lambda: os.path.exists(run_json) or not self.alive(), START_S)
        if not self.alive():
            raise Broken(f"the gateway did not start:\n{self.log()}")
        self.run = json.loads(machine.read(run_json))
        self.cira, self.api, self.metrics_url = self.run["cira"][0], self.run["api"][0], f"http://{self.run['metrics']}/metrics"
        self.ca = os.path.join(self.data, "root.crt")

    @property
    def token(self):
        return machine.read(os.path.join(self.data, "admin.token")).strip()

    def cli(self, *args):
        """Output of the command line; Broken if it fails."""
        done = subprocess.run([os.path.join(self.build, "causeway"), "--data", self.data, *args], capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode != 0:
            raise Broken(f"causeway {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def metrics(self):
        """Every series of /metrics: "name{labels}" -> value."""
        with urllib.request.urlopen(self.metrics_url, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return {m.group(1): float(m.group(2)) for m in (re.match(r"([^#].*) (\S+)$", line) for line in lines) if m}

    def metric(self, series):
        found = self.metrics()
        if series not in found:
            raise Broken(f"the gateway has no metric {series}")
        return found[series]

    def metric_sum(self, name):
        """A metric summed over its labels."""
        found = [v for k, v in self.metrics().items() if k == name or k.startswith(name + "{")]
        if not found:
            raise Broken(f"the gateway has no metric {name}")
        return sum(found)

    def wait_held(self, count, seconds=120):
        """Until the gateway counts so many tunnels that are ready (those of before included)."""
        wait_for(f"{count} ready tunnels in the gateway", lambda: self.metric("causeway_tunnels_ready_total") >= count, seconds, 0.5)

    def wait_empty(self, seconds=120):
        wait_for("the end of all tunnels", lambda: self.metric("causeway_tunnels") == 0, seconds, 0.5)

    def rss(self):
        return machine.memory(self.pid, "Rss")

    def anon(self):
        return machine.memory(self.pid, "Anonymous")

    def descriptors(self):
        return machine.descriptors(self.pid)

    def settled(self, seconds=120, step=3, within=65536):
        """Resident octets once two readings in a row differ by less than within (or the last one)."""
        now, end = self.rss(), time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(step)
            before, now = now, self.rss()
            if abs(now - before) < within:
                break
        return now

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Fleet(Process):
    """causeway-fleet against a gateway: TLS 1.2 ECDHE GCM, spread over 127.1.0.0/16 (20 devices an address). rate 0: all at once."""

    def __init__(self, gateway, count, rate=0, extra=(), seed=7, threads=1, tls="1.2", suites=SUITE, sources=None, control=None, net=1,
                 nice=0):
        number = getattr(gateway, "fleets", 0)
        gateway.fleets = number + 1
        base = os.path.join(gateway.folder, f"fleet-{number}")
        self.gateway, self.count, self.control, self.report = gateway, count, control or base + ".sock", None
        self.out_path = base + ".json"
        command = [os.path.join(gateway.build, "causeway-fleet"), "--connect", gateway.cira, "--count", str(count), "--seed", str(seed),
                   "--user", CIRA_USER, "--password-file", gateway.cira_password, "--amt-user", AMT_USER,
                   "--amt-password-file", gateway.amt_password, "--ca", gateway.ca, "--name", "localhost", "--rate", str(rate),
                   "--threads", str(threads), "--source-addresses", str(min(5000, max(1, count // 20)) if sources is None else sources),
                   "--source-net", str(net), "--control", self.control, "--json"]
        command += ["--tls", tls] if tls else []
        command += ["--suites", suites] if suites else []
        with open(self.out_path, "wb") as out:
            super().__init__([*command, *map(str, extra)], base + ".log", stdout=out, nice=nice)

    def made(self):
        """Until the devices of a fleet with --hold are there, with their memory, and wait for go()."""
        def answers():
            if not self.alive():
                raise Broken(f"the simulated devices ended:\n{self.log()}")
            with contextlib.suppress(OSError):
                return self.stats()
            return None
        wait_for("the simulated devices", answers, START_S, 0.02)

    def go(self):
        """They dial from now on."""
        self.order("go")

    def order(self, line):
        """One command on the control socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(self.control)
            s.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                piece = s.recv(65536)
                if not piece:
                    break
                answer += piece
        answer = answer.decode().strip()
        if not answer.startswith("ok"):
            raise Broken(f"the fleet answers {line!r} with {answer!r}")
        return answer[2:].strip()

    def stats(self):
        words = self.order("stats").split()
        return {words[i]: int(words[i + 1]) for i in range(0, len(words) - 1, 2)}

    def ready(self):
        """How many tunnels are up, as the devices see it; 0 before the program listens."""
        with contextlib.suppress(OSError, Broken):
            return self.stats()["ready_now"]
        return 0

    def wait_ready(self, n=None, timeout=300, every=0.1):
        """Until n (all) devices are up; returns the seconds that it took."""
        want, begin = n or self.count, time.monotonic()

        def enough():
            if not self.alive():
                raise Broken(f"the simulated devices ended:\n{self.log()}")
            return self.ready() >= want
        try:
            wait_for(f"{want} devices", enough, timeout, every)
        except Broken as error:
            raise Broken(f"{error}: {self.ready()} are up\n{self.log()}\n{self.gateway.log()}") from None
        return time.monotonic() - begin

    def guids(self):
        """GUIDs of its devices, in order (the same seed and count give the same)."""
        command = self.child.args
        seed = command[command.index("--seed") + 1]
        done = subprocess.run([command[0], "--list-guids", "--count", str(self.count), "--seed", seed], capture_output=True, text=True,
                              check=True)
        return done.stdout.split()

    def end(self, seconds=STOP_S):
        status = super().end(seconds)
        if self.report is None:
            try:
                self.report = json.loads(machine.read(self.out_path))
            except ValueError:
                self.report = {}
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Fleets:
    """Devices in as many load sources as their descriptors take; what endurance asks of a Fleet."""

    def __init__(self, gateway, count, **more):
        parts = -(-count // tunnels_limit())
        self.count, self.stack, self.parts = count, contextlib.ExitStack(), []
        self.plan = [lambda i=i: Fleet(gateway, count * (i + 1) // parts - count * i // parts, seed=100 + i, net=1 + i, **more) for i in range(parts)]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for make in self.plan:
                self.parts.append(stack.enter_context(make()))
            self.stack = stack.pop_all()
        self.of = {guid: part for part in self.parts for guid in part.guids()}
        return self

    def __exit__(self, *_):
        for part in self.parts:
            part.child.terminate()  # all at once; end() waits for each
        self.stack.close()

    def guids(self):
        return list(self.of)

    def order(self, command, guid, *words):
        """A command about one device."""
        return self.of[guid].order(" ".join((command, guid, *words)))

    def stats(self):
        found = [part.stats() for part in self.parts]
        return {k: sum(f[k] for f in found) for k in found[0]}

    def ready(self):
        return sum(part.ready() for part in self.parts)

    def wait_ready(self, n, timeout, every=1):
        wait_for(f"{n} devices", lambda: self.ready() >= n, timeout, every)

    def violations(self):
        """After their end."""
        return sum(part.report.get("violations", 0) for part in self.parts)
