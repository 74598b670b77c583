# SPDX-License-Identifier: GPL-3.0-or-later
"""Power from the command line and the API: what people see, what is refused, and what is not done twice."""
import json
import threading
import time

import harness

ON, OFF = "POWER_STATE_ON", ("POWER_STATE_OFF_SOFT", "POWER_STATE_OFF_HARD")


class Watch:
    """causeway device watch --json in the background; events are collected as they come."""

    def __init__(self, test, gateway, *args):
        self.process = gateway.cli_start("device", "watch", "--json", *args)
        self.events = []
        test.addCleanup(self.end)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        harness.wait_for("the watch's sync marker", lambda: self.of("SYNC"))

    def end(self):
        harness.end_process(self.process)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, kind, guid=None):
        return [e for e in list(self.events) if e["kind"] == "DEVICE_EVENT_KIND_" + kind and
                (guid is None or e["device"]["guid"] == guid)]

    def states(self, guid):
        return [e["device"]["powerState"] for e in self.of("POWER", guid)]


class Power(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = harness.Place().start()
        cls.gateway.group()
        cls.fleet = cls.gateway.fleet(8, "--speed", "4", "--profile", "no-agent:1", seed=5)
        cls.gateway.wait_connected(8)
        lines = cls.order(f"state {d['guid']}" for d in cls.gateway.devices())
        cls.lame = next(g for g, line in lines.items() if "no-agent" in line)
        cls.guids = [g for g in lines if g != cls.lame]

    @classmethod
    def order(cls, commands):
        return {c.split()[1]: cls.gateway.order(cls.fleet, c) for c in commands}

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def boots(self, guid):
        return self.gateway.boots(self.fleet, guid)

    def state(self, guid):
        return self.gateway.cli_json("power", "get", guid)["powerState"]

    def agent_is_up(self, guid):
        harness.wait_for("the host's agent", lambda: "POWER_ACTION_GRACEFUL_SHUTDOWN" in self.gateway.call(
            "PowerService/GetPowerCapabilities", {"device": guid})["actions"])

    def test_cycle_is_seen_by_a_watcher(self):
        guid = self.guids[0]
        watch = Watch(self, self.gateway)
        before = self.boots(guid)
        self.gateway.cli("power", "set", guid, "cycle")

        def off_then_on():
            states = watch.states(guid)
            off = next((i for i, state in enumerate(states) if state in OFF), len(states))
            return ON in states[off:]
        harness.wait_for("off, then on", off_then_on, 30)
        self.assertEqual(self.boots(guid), before + 1)

    def test_every_action(self):
        guid, state = self.guids[1], self.state
        steps = [("off", OFF), ("on", (ON,)), ("reset", (ON,)), ("soft-off", OFF), ("on", (ON,)), ("nmi", (ON,)),
                 ("sleep", ("POWER_STATE_SLEEP_DEEP", "POWER_STATE_SLEEP_LIGHT")), ("on", (ON,)),
                 ("hibernate", ("POWER_STATE_HIBERNATE",)), ("on", (ON,)), ("graceful-restart", (ON,)), ("graceful-off", OFF),
                 ("on", (ON,)), ("cycle", (ON,))]
        for action, wanted in steps:
            if action in ("sleep", "hibernate", "graceful-off", "graceful-restart"):
                self.agent_is_up(guid)
            before = self.boots(guid)
            self.gateway.cli("power", "set", guid, action)
            after = self.boots(guid)
            self.assertIn(state(guid), wanted, action)
            self.assertEqual(after - before, wanted == (ON,), action)

    def test_names_and_states_of_get(self):
        guid = self.guids[2]
        self.assertEqual(self.state(guid), ON)
        self.assertIn("on", self.gateway.cli("power", "get", guid).lower())
        self.assertIn("on", self.gateway.cli("power", "get", guid.upper()).lower())

    def test_action_that_does_not_exist(self):
        said = self.gateway.cli("power", "set", self.guids[2], "explode", expect=None)
        self.assertEqual(said.returncode, 2)
        self.assertIn("graceful-off", said.stderr)

    def test_unknown_and_offline_devices(self):
        said = self.gateway.cli("power", "get", harness.new_guid(), expect=None)
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("device", said.stderr)
        unknown = said.returncode
        away = self.gateway.fleet(1, seed=77)
        guid = harness.wait_for("the new device", lambda: [
            d["guid"] for d in self.gateway.devices(True) if d["guid"] not in [*self.guids, self.lame]])[0]
        harness.end_process(away)
        harness.wait_for("it to be away", lambda: guid not in [d["guid"] for d in self.gateway.devices(True)])
        for command in (("get",), ("set",)):
            said = self.gateway.cli("power", *command, guid, *(["on"] if command == ("set",) else []), expect=None)
            self.assertNotIn(said.returncode, (0, 2, unknown))
            self.assertRegex(said.stderr, "not connected|offline")
        with self.assertRaises(harness.ApiError) as caught:
            self.gateway.call("PowerService/ChangePower", {"device": guid, "action": "POWER_ACTION_ON"})
        self.assertEqual((caught.exception.code, caught.exception.reason), ("failed_precondition", "DEVICE_OFFLINE"))

    def test_graceful_is_refused_where_it_is_not_offered(self):
        before = self.boots(self.lame)
        said = self.gateway.cli("power", "set", self.lame, "graceful-off", expect=None)
        self.assertNotEqual(said.returncode, 0)
        self.assertRegex(said.stderr, "(?i)graceful|offer|operating system")
        self.assertEqual(self.state(self.lame), ON)
        self.gateway.cli("power", "set", self.lame, "cycle")
        self.assertEqual(self.boots(self.lame), before + 1)

    def test_request_id_repeated_does_nothing_more(self):
        guid = self.guids[3]
        before = self.boots(guid)
        message = {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "requestId": harness.new_guid()}
        first = self.gateway.call("PowerService/ChangePower", message)
        self.assertEqual(self.boots(guid), before + 1)
        for _ in range(3):
            self.assertEqual(self.gateway.call("PowerService/ChangePower", message), first)
        self.assertEqual(self.boots(guid), before + 1)
        with self.assertRaises(harness.ApiError) as caught:
            self.gateway.call("PowerService/ChangePower", {**message, "action": "POWER_ACTION_FORCE_OFF"})
        self.assertEqual((caught.exception.code, caught.exception.reason), ("invalid_argument", "REQUEST_ID_REUSED"))

    def test_request_id_used_by_many_at_once(self):
        guid = self.guids[4]
        before = self.boots(guid)
        message = {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "requestId": harness.new_guid()}
        outcomes = []

        def one():
            try:
                outcomes.append(json.dumps(self.gateway.call("PowerService/ChangePower", message)))
            except harness.ApiError as error:
                outcomes.append(error)
        threads = [threading.Thread(target=one) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(outcomes), 8)
        good = {o for o in outcomes if isinstance(o, str)}
        self.assertEqual(len(good), 1, outcomes)
        for error in (o for o in outcomes if not isinstance(o, str)):
            self.assertIn(error.code, ("aborted", "unavailable", "failed_precondition"), error)
        self.assertEqual(self.boots(guid), before + 1)

    def test_delay_and_cancel(self):
        guid = self.guids[5]
        before = self.boots(guid)
        answer = self.gateway.call("PowerService/ChangePower", {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "delay": "600s"})
        self.assertIn("dueTime", answer)
        pending = self.gateway.call("PowerService/GetPowerCapabilities", {"device": guid})["pending"]
        self.assertEqual(pending["action"], "POWER_ACTION_POWER_CYCLE")
        self.gateway.call("PowerService/CancelPendingPower", {"device": guid})
        with self.assertRaises(harness.ApiError) as caught:
            self.gateway.call("PowerService/CancelPendingPower", {"device": guid})
        self.assertEqual((caught.exception.code, caught.exception.reason), ("not_found", "NOTHING_PENDING"))
        self.gateway.call("PowerService/ChangePower", {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "delay": "1s"})
        harness.wait_for("the delayed cycle", lambda: self.boots(guid) == before + 1, 20)

    def test_batch(self):
        guids = self.guids[:3]
        before = {g: self.boots(g) for g in guids}
        operation = self.gateway.call("PowerService/BatchChangePower", {"devices": guids, "action": "POWER_ACTION_POWER_CYCLE",
                                                                        "parallel": 2})
        done = self.gateway.call("OperationService/WaitOperation", {"id": operation["id"], "timeout": "60s"})
        self.assertEqual((done["state"], done["progressDone"], done["progressTotal"]), ("OPERATION_STATE_DONE", 3, 3))
        self.assertEqual(sorted(r["device"] for r in done["results"]), sorted(guids))
        self.assertEqual({r.get("code", 0) for r in done["results"]}, {0})
        for guid, count in before.items():
            self.assertEqual(self.boots(guid), count + 1)

    def test_batch_from_the_command_line(self):
        before = {g: self.boots(g) for g in self.guids[:3]}
        said = self.gateway.cli("power", "batch", "cycle", *self.guids[:3], expect=None)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertRegex(said.stdout + said.stderr, "3")
        failing = self.gateway.cli("power", "batch", "graceful-off", self.lame, self.guids[6], expect=None)
        self.assertEqual(failing.returncode, 1, failing.stderr)
        self.assertIn(self.lame, failing.stdout + failing.stderr)
        for guid, count in before.items():
            self.assertEqual(self.boots(guid), count + 1)

    def test_state_is_remembered_with_its_age(self):
        guid = self.guids[6]
        self.state(guid)
        answer = self.gateway.call("PowerService/GetPowerState", {"device": guid, "maxAge": "3600s"})
        self.assertTrue(answer["cached"])
        time.sleep(0.1)
        answer = self.gateway.call("PowerService/GetPowerState", {"device": guid})
        self.assertFalse(answer.get("cached", False))


class Delayed(harness.TestCase):
    MAX = 1024  # PENDING_MAX

    def test_a_full_queue_keeps_no_answer(self):
        place = self.place().start()
        place.group()
        place.fleet(self.MAX + 1, "--rate", "300", seed=9)
        *most, last = [d["guid"] for d in place.wait_connected(self.MAX + 1)]
        api = place.client()
        self.addCleanup(api.close)

        def later(guid, request_id=""):
            return api.call("PowerService/ChangePower", {"device": guid, "action": "POWER_ACTION_POWER_CYCLE", "delay": "3600s",
                                                         "requestId": request_id})
        for guid in most:
            later(guid)
        for _ in range(2):  # a repeated id gets the same refusal, not an answer that was kept before the queue was asked
            with self.assertRaises(harness.ApiError) as refused:
                later(last, "the-same-id")
            self.assertEqual(refused.exception.reason, "TOO_MANY_DELAYED")
        api.call("PowerService/CancelPendingPower", {"device": most[0]})
        self.assertIn("dueTime", later(last, "the-same-id"))
        self.assertIn("pending", api.call("PowerService/GetPowerCapabilities", {"device": last}))


if __name__ == "__main__":
    harness.main()
