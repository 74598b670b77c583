# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 under load, CRASH_ROUNDS (50) times: what a client was told is done is there after the next start, and nothing twice.

Workers change groups, devices and tokens, enrol new devices and cycle power, each over its own things, and note what was
acknowledged. An operation that was under way at the kill may have happened or not; all others must be as acknowledged.
"""
import http.client
import os
import random
import signal
import threading
import time

import apf_client as apf
import harness

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "50"))
OPEN = object()  # the operation was under way: both outcomes are right
GONE = object()
LOST = (OSError, http.client.HTTPException, ValueError)  # what a dying server looks like


class Worker:
    """Does one kind of change until told to stop or until the server is gone."""

    def __init__(self, place, name, rng):
        self.place, self.name, self.rng = place, name, rng
        self.state = {}     # thing -> what it was acknowledged to be, GONE, or OPEN
        self.requests = []  # request ids acknowledged in this round, with their method
        self.count = 0
        self.error = None

    def run(self, stop):
        self.requests = []
        self.error = None
        self.api = self.place.client(timeout=20)
        try:
            while not stop.is_set():
                self.step()
                self.count += 1
                time.sleep(0.005)
        except LOST:
            pass
        except harness.ApiError as error:
            if error.code != "unavailable":
                self.error = error
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.api.close()

    def change(self, thing, then, method, message):
        """One acknowledged change of `thing`; OPEN until the answer is there."""
        request = harness.new_guid()
        before = self.state.get(thing, GONE)
        self.state[thing] = OPEN
        try:
            answer = self.api.call(method, {**message, "requestId": request})
        except harness.ApiError as error:
            if error.code != "unavailable":
                self.state[thing] = before
            raise
        self.state[thing] = then
        self.requests.append((request, "causeway.v1." + method))
        return answer

    def settle(self, actual):
        """Compares what is there now with what was acknowledged; what was open becomes what it is."""
        for thing, wanted in list(self.state.items()):
            now = actual.get(thing, GONE)
            if wanted is OPEN:
                self.state[thing] = now
            elif now != wanted:
                raise AssertionError(f"{self.name}: {thing} was acknowledged as {'deleted' if wanted is GONE else wanted}, "
                                     f"is {'gone' if now is GONE else now}")
            if self.state[thing] is GONE:
                del self.state[thing]


class Groups(Worker):
    def step(self):
        there = [g for g, v in self.state.items() if v is not GONE]
        choice = self.rng.random()
        if len(there) < 3 or (choice < 0.4 and len(there) < 15):
            name = f"{self.name}-{self.rng.getrandbits(40):x}"
            self.change(name, "ENROLL_POLICY_HOLD", "GroupService/CreateGroup", {"group": {
                "name": name, "ciraUser": name, "ciraPassword": "Some-Password-1", "enroll": "ENROLL_POLICY_HOLD"}})
        elif choice < 0.7:
            name, policy = self.rng.choice(there), self.rng.choice(("ENROLL_POLICY_ACCEPT", "ENROLL_POLICY_HOLD", "ENROLL_POLICY_REJECT"))
            self.change(name, policy, "GroupService/UpdateGroup", {"group": {"name": name, "enroll": policy}, "updateMask": "enroll"})
        else:
            name = self.rng.choice(there)
            self.change(name, GONE, "GroupService/DeleteGroup", {"name": name})

    def actual(self, api):
        return {g["name"]: g["enroll"] for g in api.pages("GroupService/ListGroups", "groups")}


class Labels(Worker):
    guids = ()

    def step(self):
        guid, value = self.rng.choice(self.guids), f"{self.rng.getrandbits(40):x}"
        self.change(guid, value, "DeviceService/UpdateDevice", {"device": guid, "updateMask": "labels",
                                                                "labels": [{"key": "crash", "value": value}]})

    def actual(self, api):
        return {d["id"]: d["labels"][0]["value"] for d in api.pages("DeviceService/ListDevices", "devices") if d.get("labels")}


class Tokens(Worker):
    secrets = None

    def step(self):
        self.secrets = self.secrets if self.secrets is not None else {}
        there = [t for t, v in self.state.items() if v is not GONE]
        if len(there) < 3 or (self.rng.random() < 0.5 and len(there) < 15):
            description = f"{self.name}-{self.rng.getrandbits(40):x}"
            answer = self.change(description, "ROLE_VIEWER", "TokenService/CreateToken", {"description": description, "role": "ROLE_VIEWER"})
            self.secrets[description] = (answer["token"]["id"], answer["secret"])
        else:
            description = self.rng.choice([t for t in there if t in self.secrets] or there)
            if description in self.secrets:
                self.change(description, GONE, "TokenService/RevokeToken", {"id": self.secrets[description][0]})

    def actual(self, api):
        return {t["description"]: t["role"] for t in api.pages("TokenService/ListTokens", "tokens") if t.get("description")}

    def check_secrets(self):
        for description, (_, secret) in list((self.secrets or {}).items())[-8:]:
            try:
                self.place.call("ServerService/GetVersion", token=secret)
                works = True
            except harness.ApiError as error:
                if error.code != "unauthenticated":
                    raise
                works = False
            if works != (self.state.get(description, GONE) is not GONE):
                raise AssertionError(f"token {description}: works is {works}, acknowledged {self.state.get(description)}")


class Enrolments(Worker):
    """New devices that dial in, are let in (that is the acknowledgement), and leave."""

    def step(self):
        guid = harness.new_guid(self.rng.getrandbits(128))
        self.state[guid] = OPEN
        try:  # the kill may come at any moment, before the first message is sent, too
            with apf.Device(self.place.cira, timeout=20) as device:
                device.send(apf.version(guid), apf.service(apf.AUTH), apf.userauth(harness.CIRA_USER, harness.CIRA_PASSWORD))
                device.take(23)
                if device.take(1)[0] != apf.USERAUTH_SUCCESS:
                    raise AssertionError("a new device was refused")
        except (apf.Closed, TimeoutError) as error:
            raise ConnectionError from error
        self.state[guid] = "fleet"

    def actual(self, api):
        return {d["id"]: d["group"] for d in api.pages("DeviceService/ListDevices", "devices")}


class Power(Worker):
    """Cycles one device at a time; after the kill the same request ids are sent again."""

    fleet, guids = None, ()
    pending = ()
    told = untold = 0  # power cycles that were acknowledged, and that the kill cut off

    def run(self, stop):
        self.pending = []
        super().run(stop)

    def step(self):
        guid = self.guids[self.count % len(self.guids)]
        if "changing" in self.place.order(self.fleet, f"power {guid}") or any(p["guid"] == guid for p in self.pending):
            time.sleep(0.02)
            return
        one = {"guid": guid, "boots": self.place.boots(self.fleet, guid), "answer": None,
               "message": {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "requestId": harness.new_guid()}}
        self.pending.append(one)
        try:
            one["answer"] = self.api.call("PowerService/ChangePower", one["message"])
            self.requests.append((one["message"]["requestId"], "causeway.v1.PowerService/ChangePower"))
        except harness.ApiError as error:
            one["answer"] = error
            if error.code not in ("failed_precondition", "unavailable", "aborted", "deadline_exceeded"):
                raise
        if len(self.pending) >= len(self.guids):
            self.pending.pop(0)

    def repeat(self):
        """Sends everything of this round again, twice: at most one cycle each, exactly one if it was acknowledged."""
        for one in self.pending:
            answers = []
            for _ in range(2):
                try:
                    answers.append(self.place.call("PowerService/ChangePower", one["message"]))
                except harness.ApiError as error:
                    answers.append(error)
            cycles = self.place.boots(self.fleet, one["guid"]) - one["boots"]
            told = isinstance(one["answer"], dict)
            self.told, self.untold = self.told + told, self.untold + (not told)
            if cycles > 1 or (told and cycles != 1):
                raise AssertionError(f"{one['guid']} was cycled {cycles} times; first answer {one['answer']}, repeated {answers}")
            if told and answers != [one["answer"]] * 2:
                raise AssertionError(f"the answer of a repeated request changed from {one['answer']} to {answers}")
            if any(isinstance(a, dict) for a in answers) and cycles != 1:
                raise AssertionError(f"{one['guid']}: a repeated request says done, but there were {cycles} cycles")

    def actual(self, api):
        return {}


class Crash(harness.TestCase):
    def test_kill_under_load(self):
        cira, api = harness.free_ports(2)
        place = self.place(config="store:\n  map_size: 1GiB")
        place.cira_listen, place.api_listen = f"127.0.0.1:{cira}", f"127.0.0.1:{api}"
        place.start()
        place.group()
        fleet = place.fleet(6, "--backoff-max", "1", "--speed", "40", seed=10)
        guids = [d["id"] for d in place.wait_connected(6)]
        rng = random.Random(int(os.environ.get("CRASH_SEED", "1")))
        kinds = (Groups, Groups, Labels, Tokens, Enrolments, Power)
        workers = [kind(place, f"{kind.__name__.lower()}{i}", random.Random(rng.random())) for i, kind in enumerate(kinds)]
        for worker in workers:
            worker.fleet, worker.guids = fleet, guids[:3] if isinstance(worker, Power) else guids
        for guid in guids:
            place.cli("power", "get", guid)
        begin = time.monotonic()
        for number in range(ROUNDS):
            self.one_round(place, workers, rng, number)
        place.stop()
        counts = {w.name: w.count for w in workers}
        power = workers[-1]
        print(f"{ROUNDS} kills in {time.monotonic() - begin:.0f} s, {sum(counts.values())} changes: {counts}; power requests repeated after "
              f"the kill: {power.told} acknowledged, {power.untold} cut off or refused", flush=True)
        self.assertGreater(min(counts.values()), ROUNDS)
        self.assertGreater(power.told, ROUNDS // 2)

    def one_round(self, place, workers, rng, number):
        stop = threading.Event()
        threads = [threading.Thread(target=w.run, args=(stop,)) for w in workers]
        for t in threads:
            t.start()
        time.sleep(0.3 + 0.9 * rng.random())
        place.daemon.send_signal(signal.SIGKILL)
        place.daemon.wait()
        stop.set()
        for t in threads:
            t.join(60)
            self.assertFalse(t.is_alive(), "a worker hangs")
        for w in workers:
            self.assertIsNone(w.error, f"round {number}, {w.name}: {w.error!r}")
        place.start()
        self.check(place, workers, number)

    def check(self, place, workers, number):
        client = place.client()
        power = next(w for w in workers if isinstance(w, Power))
        wanted = {g for g in power.guids}
        harness.wait_for("the devices to be back", lambda: wanted <= {
            d["id"] for d in client.call("DeviceService/ListDevices", {"filter": "connected=true", "pageSize": 1000}).get("devices", [])})
        for guid in power.guids:  # waits until the tunnels take operations
            client.call("PowerService/GetPowerState", {"device": guid})
        try:
            for w in workers:
                w.settle({k: v for k, v in w.actual(client).items() if not isinstance(w, (Groups, Tokens)) or k.startswith(w.name)})
            audited = self.audit(client, sum(len(w.requests) for w in workers))
            for w in workers:
                for request, method in w.requests:
                    self.assertEqual(audited.get(request), (method, "OK"), f"audit of {w.name}'s {request}")
            for w in workers:
                if isinstance(w, Tokens):
                    w.check_secrets()
            power.repeat()
        except AssertionError as error:
            raise AssertionError(f"round {number}: {error}\n{place.log()[-3000:]}") from None
        client.close()

    @staticmethod
    def audit(client, least):
        """The newest records by request id: enough pages to hold this round's."""
        found, seen, last = {}, 0, None
        for record in client.pages("AuditService/ListAuditRecords", "records"):
            sequence = int(record["sequence"])
            if last is not None and sequence != last - 1:
                raise AssertionError(f"the audit trail jumps from {last} to {sequence}")
            last = sequence
            if record.get("requestId"):
                # an action has a record when it begins and one with its outcome; newest first
                found.setdefault(record["requestId"], (record["method"], record["outcome"]))
            seen += 1
            if seen > 4 * least + 2000:
                break
        return found


if __name__ == "__main__":
    harness.main()
