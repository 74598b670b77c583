# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end-to-end tests share: a real gateway and real simulated devices on free loopback ports, in a folder of their own.

Everything a test starts is stopped by its pid when the test ends, whatever happens. BUILD names the folder of the programs
(default build). A test file ends with `harness.main()`; exit status 77 with a reason as the last line means skipped.
"""
import atexit
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
CIRA_USER, CIRA_PASSWORD = "enrol", "Cira-Pass-9174"
AMT_USER, AMT_PASSWORD = "admin", "Amt-Pass-5521!"
# Slow under sanitizers and on busy machines: waiting longer never makes a test pass that should fail.
PATIENCE = float(os.environ.get("PATIENCE", "60"))


def skip(reason):
    print(reason)
    sys.exit(77)


def wait_for(what, check, seconds=None):
    """Calls check until it gives something true, and returns that."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.1)


def end_process(process, seconds=20):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Place:
    """A folder with a gateway's data, its configuration, and the programs that run on it."""

    def __init__(self, config="", name="localhost"):
        self.dir = tempfile.mkdtemp(prefix="causeway-e2e-")
        self.data = os.path.join(self.dir, "data")
        self.name = name
        self.extra = config
        self.daemon = None
        self.fleets = []
        self.logs = []
        os.mkdir(self.data, 0o700)
        self.cira_password_file = self.file("cira.password", CIRA_PASSWORD)
        self.amt_password_file = self.file("amt.password", AMT_PASSWORD)
        atexit.register(self.close)

    def path(self, name):
        return os.path.join(self.dir, name)

    def file(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def close(self):
        for fleet in self.fleets:
            end_process(fleet)
        end_process(self.daemon)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the gateway

    def config_text(self):
        return f"""
cira:
  listen: ["127.0.0.1:0"]
  name: {self.name}
api:
  listen: ["127.0.0.1:0"]
metrics:
  listen: "127.0.0.1:0"
log:
  level: debug
{self.extra}
"""

    def start(self, env=None, prefix=(), expect_running=True):
        config = self.file("causeway.yaml", self.config_text())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.data, "run.json"))
        log = open(self.path(f"causewayd-{len(self.logs)}.log"), "w", encoding="utf-8")
        self.logs.append(log.name)
        command = [*prefix, os.path.join(BUILD, "causewayd"), "--config", config, "--data", self.data]
        self.daemon = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})
        log.close()
        if expect_running:
            wait_for("run.json", lambda: self.run_json() or self.daemon.poll() is not None)
            if self.daemon.poll() is not None:
                raise AssertionError("the gateway ended:\n" + self.log())
        return self

    def run_json(self):
        try:
            with open(os.path.join(self.data, "run.json"), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def log(self):
        return "".join(open(p, encoding="utf-8", errors="replace").read() for p in self.logs)

    def stop(self, sig=signal.SIGTERM, seconds=60):
        self.daemon.send_signal(sig)
        return self.daemon.wait(seconds)

    @property
    def cira(self):
        return self.run_json()["cira"][0]

    @property
    def api(self):
        return self.run_json()["api"][0]

    @property
    def metrics(self):
        return self.run_json()["metrics"]

    @property
    def ca(self):
        return os.path.join(self.data, "root.crt")

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as f:
            return f.read().strip()

    def tls_context(self):
        context = ssl.create_default_context(cafile=self.ca)
        return context

    def metric(self, series):
        """The value of a series as /metrics shows it, 0 if it is not there."""
        import urllib.request
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(series + " "):
                    return float(line.rsplit(" ", 1)[1])
        return 0.0

    # ---- the command line

    def cli_start(self, *args, **kwargs):
        return subprocess.Popen([os.path.join(BUILD, "causeway"), "--data", self.data, *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def cli(self, *args, expect=0, input=None):
        """Runs the command line; returns its output. expect: the exit status, None for any (then the process is returned)."""
        done = subprocess.run([os.path.join(BUILD, "causeway"), "--data", self.data, *args], text=True, input=input,
                              capture_output=True, timeout=PATIENCE * 2, check=False)
        if expect is None:
            return done
        if done.returncode != expect:
            raise AssertionError(f"causeway {' '.join(args)}: exit status {done.returncode}, not {expect}\n"
                                 f"{done.stdout}{done.stderr}\ngateway:\n{self.log()[-3000:]}")
        return done.stdout if expect == 0 else done.stderr

    def cli_json(self, *args):
        return json.loads(self.cli(*args, "--json"))

    def group(self, name="fleet", enroll="accept", user=CIRA_USER, amt=True):
        extra = ["--amt-user", AMT_USER, "--amt-password-file", self.amt_password_file] if amt else []
        self.cli("group", "create", name, "--cira-user", user, "--cira-password-file", self.cira_password_file,
                 "--enroll", enroll, *extra)

    def devices(self, connected_only=False):
        found = self.cli_json("device", "list").get("devices", [])
        return [d for d in found if d.get("connected")] if connected_only else found

    # ---- simulated devices

    def fleet(self, count=1, *args, user=CIRA_USER, seed=1):
        log = open(self.path(f"fleet-{len(self.fleets)}.log"), "w", encoding="utf-8")
        command = [os.path.join(BUILD, "causeway-fleet"), "--connect", self.cira, "--count", str(count), "--seed", str(seed),
                   "--user", user, "--password-file", self.cira_password_file, "--amt-user", AMT_USER,
                   "--amt-password-file", self.amt_password_file, "--ca", self.ca, "--name", self.name, *args]
        fleet = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        fleet.log_path = log.name
        log.close()
        self.fleets.append(fleet)
        return fleet

    def wait_connected(self, count):
        return wait_for(f"{count} connected devices (gateway log:\n{self.log()[-2000:]})",
                        lambda: (lambda d: d if len(d) >= count else None)(self.devices(connected_only=True)))


class TestCase(unittest.TestCase):
    """A test whose places are closed after it."""

    def place(self, *args, **kwargs):
        place = Place(*args, **kwargs)
        self.addCleanup(place.close)
        return place


def main():
    for program in ("causewayd", "causeway", "causeway-fleet"):
        if not os.access(os.path.join(BUILD, program), os.X_OK):
            print(f"{BUILD}/{program} is not built: run make all")
            sys.exit(1)
    unittest.main(verbosity=2, failfast=False)
