# SPDX-License-Identifier: GPL-3.0-or-later
"""200 tunnels that come and go while 50 API clients list, watch and command for CHURN_SECONDS (60). Run by churn.sh (make tsan).

No call may get lost: each is answered or fails with an error that such a life explains. Sizes: CHURN_TUNNELS, CHURN_CLIENTS.
"""
import collections
import glob
import os
import random
import sys
import threading
import time

import harness

SECONDS = float(os.environ.get("CHURN_SECONDS", "60"))
TUNNELS = int(os.environ.get("CHURN_TUNNELS", "200"))
CLIENTS = int(os.environ.get("CHURN_CLIENTS", "50"))
ACTIONS = ("POWER_ACTION_ON", "POWER_ACTION_POWER_CYCLE", "POWER_ACTION_FORCE_OFF", "POWER_ACTION_FORCE_RESTART")
# A device may be away, busy, or leave in mid-operation; a table may be full for a moment.
EXPLAINED = {"failed_precondition", "unavailable", "aborted", "deadline_exceeded", "resource_exhausted", "already_exists", "not_found"}


class Client(threading.Thread):
    def __init__(self, place, number, end, guids):
        super().__init__(daemon=True)
        self.place, self.number, self.end, self.guids = place, number, end, guids
        self.rng = random.Random(number)
        self.done, self.errors, self.problems, self.events = 0, collections.Counter(), [], 0

    def run(self):
        while time.monotonic() < self.end:
            api = self.place.client(timeout=120)
            try:
                (self.watch if self.number % 5 == 0 else self.command)(api)
            except harness.ApiError as error:
                self.errors[error.code] += 1
                if error.code not in EXPLAINED:
                    self.problems.append(repr(error))
            except Exception as error:  # pylint: disable=broad-except
                self.problems.append(f"client {self.number}: {error!r}")
            finally:
                api.close()

    def watch(self, api):
        """Watches for some seconds, leaves, and comes back."""
        until = min(self.end, time.monotonic() + self.rng.uniform(1, 8))
        for event in api.stream("DeviceService/WatchDevices", {"heartbeatInterval": "1s"}):
            self.events += event["kind"] != "DEVICE_EVENT_KIND_HEARTBEAT"
            if time.monotonic() > until:
                break
        self.done += 1

    def command(self, api):
        for _ in range(20):
            if time.monotonic() > self.end:
                return
            guid = self.rng.choice(self.guids)
            name = f"churn-{self.number}-{self.rng.getrandbits(32):x}"
            method, message = self.rng.choice((
                ("DeviceService/ListDevices", {"pageSize": 100, "filter": self.rng.choice(("", "connected=true", "power_state=on"))}),
                ("PowerService/GetPowerState", {"device": guid}),
                ("PowerService/ChangePower", {"device": guid, "action": self.rng.choice(ACTIONS), "requestId": harness.new_guid()}),
                ("DeviceService/UpdateDevice", {"device": guid, "labels": [{"key": "churn", "value": name}], "updateMask": "labels"}),
                ("DeviceService/ExplainDevice", {"device": guid}),
                ("TunnelService/ListTunnels", {"pageSize": 50}),
                ("TunnelService/DisconnectTunnel", {"device": guid}),
                ("GroupService/CreateGroup", {"group": {"name": name, "ciraUser": name, "ciraPassword": "x"}}),
                ("WsmanService/GetInstance", {"device": guid, "resource": "AMT_GeneralSettings"}),
                ("AuditService/ListAuditRecords", {"pageSize": 50}),
                ("ServerService/GetStatus", {})))
            try:
                api.call(method, message)
                if method == "GroupService/CreateGroup":
                    api.call("GroupService/DeleteGroup", {"name": name})
            except harness.ApiError as error:
                self.errors[error.code] += 1
                if error.code not in EXPLAINED:
                    self.problems.append(f"{method}: {error!r}")
            self.done += 1


def main():
    place = harness.Place(config="drain_timeout: 20s")
    place.start()
    place.group()
    steady = TUNNELS // 2
    place.fleet(TUNNELS, "--backoff-max", "2", "--speed", "20", "--profile", f"default:{steady - 20}", "--profile", "coalesced:10",
                "--profile", "octets:10", "--profile", "churn", seed=200)
    place.wait_connected(steady)
    guids = [d["guid"] for d in place.devices()]
    end = time.monotonic() + SECONDS
    clients = [Client(place, i, end, guids) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join(SECONDS + 240)
    problems = [p for c in clients for p in c.problems]
    problems += [f"client {c.number} got no answer and no error" for c in clients if c.is_alive()]
    accepted = place.metric("causeway_cira_accepted_total")
    status = place.stop(seconds=120)
    if status != 0:
        problems.append(f"the daemon ended with status {status}")
    fleet = place.fleets[0]
    harness.end_process(fleet, 60)
    if fleet.returncode not in (0, 1):  # 1: churning devices are away at the end
        problems.append(f"causeway-fleet ended with status {fleet.returncode}")
    reports = 0
    for path in glob.glob(os.path.join(place.dir, "*.log")):
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        found = text.count("WARNING: ThreadSanitizer") + text.count("ERROR: AddressSanitizer") + text.count("runtime error:")
        reports += found
        if found:
            at = max(text.find("WARNING: ThreadSanitizer"), 0)
            print(f"{os.path.basename(path)}:\n{text[at:at + 12000]}")
    errors = sum((c.errors for c in clients), collections.Counter())
    for p in problems[:20]:
        print(p)
    print(f"churn: {TUNNELS} tunnels ({accepted:.0f} connections), {CLIENTS} clients, {SECONDS:.0f} s: {sum(c.done for c in clients)} calls, "
          f"{sum(c.events for c in clients)} events, errors {dict(errors)}, {len(problems)} problems, {reports} reports")
    return 1 if problems or reports else 0


if __name__ == "__main__":
    sys.exit(main())
