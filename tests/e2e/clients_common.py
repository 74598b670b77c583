# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with foreign clients share: a gateway with three simulated devices (one in reach, one that has gone, one that
answers too slowly), what every client has to see of them, and the npm packages.

A client program gets its job in the environment (see Rig.env) and prints one JSON document on standard output:
  states            power states in the order in which a watch showed them, from the snapshot on
  before            the state that GetPowerState returned before the cycle
  offline           {code, reason, hint, domain} of a power change on the device that has gone
  unauthenticated   code of a call without a token
  deadline_unary    code of a call with 1 s on the slow device
  deadline_stream   code of a watch with 2 s
"""
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import uuid

import harness

PROTO = os.path.join(harness.ROOT, "mgmtapi", "proto")
CLIENTS = os.path.join(harness.ROOT, "tests", "e2e", "clients")
NODE = os.path.join(harness.ROOT, "build", "e2e-node")
OFF = ("POWER_STATE_OFF_SOFT", "POWER_STATE_OFF_HARD", "POWER_STATE_CYCLING")
ON = "POWER_STATE_ON"
SLOW_MS = 6000


def clean_env(**more):
    """The environment without proxies, which clients would ask for loopback addresses, too."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {**env, **more}


class Rig(harness.Place):
    """The gateway and its devices; live, gone and slow are GUIDs."""

    def __init__(self):
        super().__init__()
        self.start()
        self.group()
        self.live = self._add(1)
        self.gone = self._add(2)
        self.slow = self._add(3, "--delay", str(SLOW_MS))
        harness.end_process(self.fleets[1])
        harness.wait_for("the device that goes", lambda: self.gone not in self._connected())

    def _connected(self):
        return {d["guid"] for d in self.devices(connected_only=True)}

    def _add(self, seed, *args):
        before = self._connected()
        self.fleet(1, *args, seed=seed)
        return harness.wait_for("a device to connect", lambda: next(iter(self._connected() - before), None))

    def env(self, **more):
        return clean_env(API=self.api, CA=self.ca, TOKEN=self.token, PROTO=PROTO, LIVE=self.live, GONE=self.gone,
                         SLOW=self.slow, REQUEST_ID=str(uuid.uuid4()), **more)

    def run_client(self, command, **more):
        """Runs a client program; its JSON document."""
        done = subprocess.run(command, env=self.env(**more), text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=harness.PATIENCE * 2, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 f"gateway:\n{self.log()[-3000:]}")
        return json.loads(done.stdout)


class ClientCase(harness.TestCase):
    """Checks of what a client saw. The devices are shared by the tests of a file."""

    rig = None

    @classmethod
    def setUpClass(cls):
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)

    def check_cycle(self, states):
        """The device was on, went off, and came back."""
        self.assertTrue(states, "the watch showed no state")
        self.assertEqual(states[0], ON, states)
        off = next((i for i, s in enumerate(states) if s in OFF), None)
        self.assertIsNotNone(off, f"never seen off: {states}")
        self.assertIn(ON, states[off:], f"never seen on again: {states}")

    def check_offline(self, error):
        self.assertEqual(error["code"], "FAILED_PRECONDITION", error)
        self.assertEqual(error["reason"], "DEVICE_OFFLINE", error)
        self.assertEqual(error["domain"], "causeway", error)
        self.assertGreater(len(error["hint"]), 10, error)

    def check_report(self, report):
        self.assertEqual(report["before"], ON)
        self.check_cycle(report["states"])
        self.check_offline(report["offline"])
        self.assertEqual(report["unauthenticated"], "UNAUTHENTICATED")
        self.assertEqual(report["deadline_unary"], "DEADLINE_EXCEEDED")
        self.assertEqual(report["deadline_stream"], "DEADLINE_EXCEEDED")


def node_packages():
    """Installs the exact versions of clients/package.json once into build/e2e-node; ends the test as skipped if they are not to be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        harness.skip("node or npm is not installed")
    os.makedirs(NODE, exist_ok=True)
    with open(os.path.join(CLIENTS, "package.json"), encoding="utf-8") as f:
        wanted = f.read()
    with open(os.path.join(NODE, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = os.path.join(NODE, "installed.json")
        with contextlib.suppress(FileNotFoundError), open(stamp, encoding="utf-8") as f:
            if f.read() == wanted:
                return
        shutil.rmtree(os.path.join(NODE, "node_modules"), ignore_errors=True)
        shutil.copy(os.path.join(CLIENTS, "package.json"), NODE)
        # Programs that packages want to run at installation are not needed: buf's is in a package of its own for each platform.
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock",
                               "--loglevel=error"], cwd=NODE, text=True, capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            reason = [line for line in done.stderr.splitlines() if line.strip()]
            harness.skip("npm cannot install the clients: " + (reason[0] if reason else f"exit status {done.returncode}"))
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(wanted)


def buf_program():
    """The buf of this machine's platform, without its launcher."""
    names = {"x86_64": "buf-linux-x64", "aarch64": "buf-linux-aarch64", "armv7l": "buf-linux-armv7"}
    program = os.path.join(NODE, "node_modules", "@bufbuild", names.get(os.uname().machine, "none"), "bin", "buf")
    return program if os.access(program, os.X_OK) else None
