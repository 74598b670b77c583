# SPDX-License-Identifier: GPL-3.0-or-later
"""MeshCentral beside us: from npm into a folder of its own, set up for AMT only, on loopback, ended by pid."""
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time

from lib import machine, processes

VERSION = "1.1.55"
INSTALL_S, START_S, COMMAND_S, STOP_S = 240, 90, 60, 15
ACCOUNT = "bench"
NAME = "mps.localhost"  # without a dot MeshCentral would not open its port for AMT
USER_LENGTH = 16


def free_ports(count):
    """Ports of loopback that nobody has at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def in_environment(command):
    """The command without what makes MeshCentral fetch more packages or node behave otherwise."""
    unset = [k for k in os.environ if re.match(r"(https?_proxy|NODE_OPTIONS|NODE_ENV)$", k, re.I)]
    return ["env", *(word for k in unset for word in ("-u", k)), *command]


def install(folder, log):
    """The package with its dependencies, without their install scripts; Broken if npm has it not."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        raise processes.Broken("npm or node is missing: tools/deps.sh peers")
    os.makedirs(folder)
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as f:
        f.write('{"private": true}\n')
    begin = time.monotonic()
    try:
        done = subprocess.run([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--no-update-notifier",
                               "--prefer-offline", "--logs-max=0", f"meshcentral@{VERSION}"], cwd=folder, capture_output=True, text=True,
                              timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise processes.Broken(f"npm did not install MeshCentral within {INSTALL_S} s") from None
    if done.returncode != 0:
        raise processes.Broken(f"npm could not install MeshCentral {VERSION}:\n{done.stderr[-1500:]}")
    log(f"MeshCentral {VERSION} from npm in {time.monotonic() - begin:.0f} s")


class MeshCentral(processes.Process):
    """The server, with one AMT-only device group. Has what processes.Fleet asks of a gateway."""

    def __init__(self, build, folder, log):
        install(folder, log)
        self.build, self.folder = build, folder
        self.data = os.path.join(folder, "meshcentral-data")
        self.main = os.path.join(folder, "node_modules", "meshcentral")
        self.web, redirect, mps = free_ports(3)
        self.cira, self.ca = f"127.0.0.1:{mps}", os.path.join(self.data, "root-cert-public.crt")
        self.account_password = secrets.token_urlsafe(12) + "-Aa1"
        self.configure(redirect, mps)
        for what in (["--createaccount", ACCOUNT, "--pass", self.account_password], ["--adminaccount", ACCOUNT]):
            self.node("meshcentral.js", *what)
        super().__init__(in_environment(["node", self.main]), os.path.join(folder, "meshcentral.log"))
        try:
            self.finish_start(mps, log)
        except BaseException:
            self.end()
            raise

    def finish_start(self, mps, log):
        begin = time.monotonic()
        processes.wait_for("MeshCentral's start", lambda: self.log(10 ** 6).count(" server running on ") >= 2 or not self.alive(), START_S)
        if not self.alive() or f":{mps}" not in self.log(10 ** 6):
            raise processes.Broken(f"MeshCentral does not listen for AMT:\n{self.log()}")
        group = self.node("meshctrl.js", "adddevicegroup", "--name", "bench", "--amtonly", "--url", f"wss://127.0.0.1:{self.web}",
                          "--loginuser", ACCOUNT, "--loginpass", self.account_password)
        found = re.search(r"mesh//(\S+)", group)
        if not found:
            raise processes.Broken(f"MeshCentral made no device group: {group}")
        # a device logs in with the first letters of its group's id, of which AMT cannot send all
        self.user = re.sub(r"[@$]", "X", found.group(1)[:USER_LENGTH])
        log(f"MeshCentral is up after {time.monotonic() - begin:.0f} s")

    def configure(self, redirect, mps):
        """AMT only: no agents, no scanners, no manager that talks to devices by itself, nothing that leaves loopback."""
        os.makedirs(self.data, mode=0o700)
        settings = {"cert": NAME, "WANonly": True, "port": self.web, "portBind": "127.0.0.1", "redirPort": redirect,
                    "redirPortBind": "127.0.0.1", "mpsPort": mps, "mpsPortBind": "127.0.0.1", "exactPorts": True, "selfUpdate": False,
                    "autoBackup": False, "amtManager": False, "amtScanner": False, "meshScanner": False, "noAgentUpdate": 1,
                    "agentTimeStampServer": False, "no2FactorAuth": True, "webrtcConfig": {"iceServers": []}}
        with open(os.path.join(self.data, "config.json"), "w", encoding="utf-8") as f:
            json.dump({"settings": settings, "domains": {"": {"title": "bench", "newAccounts": False, "geoLocation": False}}}, f)
        self.cira_password, self.amt_password = (os.path.join(self.folder, n) for n in ("cira.password", "amt.password"))
        for path in (self.cira_password, self.amt_password):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
                f.write(processes.CIRA_PASSWORD)

    def node(self, script, *args):
        done = subprocess.run(in_environment(["node", os.path.join(self.main, script), *args]), cwd=self.folder, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMMAND_S)
        if done.returncode != 0:
            raise processes.Broken(f"{script} {args[0]}: {done.stdout[-1000:]}")
        return done.stdout

    def pids(self):
        """The launcher and the server that it started."""
        found = [self.pid]
        for pid in found:
            found += [int(c) for c in machine.read(f"/proc/{pid}/task/{pid}/children").split()]
        return found

    def cpu_seconds(self):
        return sum(ran for pid in self.pids() for _, ran in machine.thread_seconds(pid).values())

    def rss(self):
        return sum(machine.memory(pid, "Rss") for pid in self.pids())

    def fleet_options(self):
        """For causeway-fleet, after Fleet's own: the last one counts. One source address: for every other one MeshCentral
        would ask the network's name server who that is."""
        return ["--user", self.user, "--name", NAME, "--source-addresses", "0"]

    def end(self, seconds=STOP_S):
        """The server ends with its launcher; what does not is ended by pid."""
        children = self.pids()[1:] if self.alive() else []
        status = super().end(seconds)
        end = time.monotonic() + seconds
        while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < end:
            time.sleep(0.1)
        for pid in children:
            if "meshcentral" in machine.read(f"/proc/{pid}/cmdline"):
                os.kill(pid, 9)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
