# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who: strangers, wrong passwords, enrolment policies, own credentials, load balancers, and where secrets must not be."""
import base64
import hashlib
import os
import re
import threading
import time

import apf_client as apf
import harness

USER, PASSWORD = harness.CIRA_USER, harness.CIRA_PASSWORD


class Strangers(harness.TestCase):
    """A stranger knows a live device's GUID, and even the user name, but no password."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = harness.Place().start()
        cls.gateway.group()
        cls.fleet = cls.gateway.fleet(2, seed=7)
        cls.guid, cls.other = (d["guid"] for d in cls.gateway.wait_connected(2))

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def device(self):
        return self.gateway.call("DeviceService/GetDevice", {"device": self.guid})

    def attempt(self, source, user=USER, password="wrong", guid=None, seconds=20):
        """'in', 'refused' (with an answer), or 'closed' (without one)."""
        try:
            with apf.Device(self.gateway.cira, source=source, timeout=seconds) as stranger:
                stranger.send(apf.version(guid or self.guid), apf.service(apf.AUTH))
                if stranger.message()[0] != apf.SERVICE_ACCEPT:
                    return "closed"
                stranger.send(apf.userauth(user, password))
                return "in" if stranger.message()[0] == apf.USERAUTH_SUCCESS else "refused"
        except (apf.Closed, OSError):
            return "closed"

    def test_stranger_cannot_take_a_device_off_line(self):
        before = self.device()
        tunnel = [t["tunnelId"] for t in self.gateway.cli_json("tunnel", "list")["tunnels"] if t["device"] == self.guid]
        lost = []
        stop = threading.Event()

        def ask():
            api = self.gateway.client()
            while not stop.is_set():
                try:
                    api.call("PowerService/GetPowerState", {"device": self.guid})
                except harness.ApiError as error:
                    lost.append(error)
        asker = threading.Thread(target=ask)
        asker.start()
        outcomes = []
        for i in range(60):
            user = (USER, "nobody", "admin", "")[i % 4]
            password = ("wrong", "", PASSWORD + "x", PASSWORD[:-1], PASSWORD.lower(), "x" * 64)[i % 6]
            outcomes.append(self.attempt(f"127.4.0.{i % 3 + 1}", user, password))
        idle = [apf.Device(self.gateway.cira, source="127.4.1.1") for _ in range(20)]
        for stranger in idle:
            stranger.send(apf.version(self.guid), apf.service(apf.AUTH))
        time.sleep(1)
        stop.set()
        asker.join()
        for stranger in idle:
            stranger.close()
        self.assertNotIn("in", outcomes)
        self.assertIn("refused", outcomes)
        self.assertIn("closed", outcomes, "60 wrong tries were all answered: there is no back-off")
        self.assertEqual(lost, [])
        after = self.device()
        self.assertEqual((after["connected"], after["connects"], after["connectedTime"]),
                         (True, before["connects"], before["connectedTime"]))
        self.assertEqual(tunnel, [t["tunnelId"] for t in self.gateway.cli_json("tunnel", "list")["tunnels"]
                                  if t["device"] == self.guid])

    def test_device_comes_back_while_a_stranger_waits(self):
        """The back-off of a stranger's address must not hit the device, which comes from another one."""
        for _ in range(30):
            self.attempt("127.4.2.1")
        before = int(self.device()["connects"])
        self.gateway.order(self.fleet, f"drop {self.guid}")
        harness.wait_for("the device to be back", lambda: int(self.device()["connects"]) > before and self.device()["connected"], 30)

    def test_wrong_password_is_refused_counted_and_explained(self):
        series = 'causeway_cira_auth_total{result="bad_password"}'
        before = self.gateway.metric(series)
        guid = harness.new_guid()
        self.assertEqual(self.attempt("127.4.3.1", guid=guid), "refused")
        self.assertEqual(self.gateway.metric(series), before + 1)
        why = harness.wait_for("the attempt", lambda: self.gateway.cli_json("device", "why", guid).get("attempts"))
        self.assertEqual((why[0]["stage"], why[0]["user"], why[0]["guid"]), ("ATTEMPT_STAGE_PASSWORD", USER, guid))
        self.assertIn("127.4.3.1", why[0]["sourceAddress"])
        self.assertIn("password", self.gateway.cli("device", "why", guid))
        self.assertNotIn(guid, [d["guid"] for d in self.gateway.devices()])

    def test_unknown_user_is_refused_counted_and_explained(self):
        series = 'causeway_cira_auth_total{result="bad_user"}'
        before = self.gateway.metric(series)
        guid = harness.new_guid()
        self.assertEqual(self.attempt("127.4.3.2", user="whoever", guid=guid), "refused")
        self.assertEqual(self.gateway.metric(series), before + 1)
        why = harness.wait_for("the attempt", lambda: self.gateway.cli_json("device", "why", guid).get("attempts"))
        self.assertEqual(why[0]["stage"], "ATTEMPT_STAGE_USER")

    def test_back_off_grows_and_passes(self):
        guid = harness.new_guid()
        outcomes = [self.attempt("127.4.4.1", guid=guid) for _ in range(8)]
        self.assertIn("closed", outcomes)
        self.assertEqual(self.attempt("127.4.4.1", password=PASSWORD, guid=guid), "closed", "the back-off does not hold for right ones")
        self.assertEqual(self.attempt("127.4.4.2", password=PASSWORD, guid=guid), "in")
        self.assertEqual(self.attempt("127.4.4.1", guid=harness.new_guid(), password=PASSWORD), "in")

    def test_source_that_fails_with_many_guids_waits_as_a_whole(self):
        refused = self.gateway.metric('causeway_cira_refused_total{reason="backoff"}')
        outcomes = [self.attempt("127.4.5.1", guid=harness.new_guid()) for _ in range(60)]
        self.assertEqual(outcomes[0], "refused")
        self.assertEqual(outcomes[-1], "closed")
        self.assertGreater(self.gateway.metric('causeway_cira_refused_total{reason="backoff"}'), refused)
        self.assertTrue(self.device()["connected"])

    def test_placeholder_guids_are_refused(self):
        for guid in ("78563412-0009-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"):
            self.assertEqual(self.attempt("127.4.6.1", password=PASSWORD, guid=guid), "refused")
            why = harness.wait_for("the attempt", lambda g=guid: self.gateway.cli_json("device", "why", g).get("attempts"))
            self.assertEqual(why[0]["stage"], "ATTEMPT_STAGE_POLICY")


class Policies(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = harness.Place().start()
        for policy in ("accept", "hold", "reject"):
            cls.gateway.group(policy, enroll=policy, user=f"{policy}-user")

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def device(self, guid):
        return self.gateway.call("DeviceService/GetDevice", {"device": guid})

    def test_hold_then_approve(self):
        gateway = self.gateway
        gateway.fleet(1, user="hold-user", seed=40)
        guid = harness.wait_for("the held device", lambda: [d["guid"] for d in gateway.devices(True) if d["group"] == "hold"])[0]
        self.assertEqual(self.device(guid)["state"], "DEVICE_STATE_HELD")
        for command in (("power", "get", guid), ("power", "set", guid, "off"), ("wsman", "get", guid, "AMT_GeneralSettings")):
            said = gateway.cli(*command, expect=None)
            self.assertNotEqual(said.returncode, 0)
            self.assertIn("approve", said.stderr)
        with self.assertRaises(harness.ApiError) as caught:
            gateway.call("PowerService/GetPowerState", {"device": guid})
        self.assertEqual((caught.exception.code, caught.exception.reason), ("failed_precondition", "DEVICE_HELD"))
        gateway.cli("device", "approve", guid)
        self.assertEqual(self.device(guid)["state"], "DEVICE_STATE_APPROVED")
        self.assertIn("on", gateway.cli("power", "get", guid).lower())
        gateway.cli("device", "approve", guid)

    def test_reject(self):
        series = 'causeway_cira_auth_total{result="policy"}'
        before = self.gateway.metric(series)
        guid = harness.new_guid()
        with apf.Device(self.gateway.cira) as device:
            self.assertFalse(device.login(guid, "reject-user", PASSWORD))
        self.assertEqual(self.gateway.metric(series), before + 1)
        why = harness.wait_for("the attempt", lambda: self.gateway.cli_json("device", "why", guid).get("attempts"))
        self.assertEqual(why[0]["stage"], "ATTEMPT_STAGE_POLICY")
        self.assertNotIn(guid, [d["guid"] for d in self.gateway.devices()])

    def test_reject_still_knows_its_devices(self):
        self.gateway.group("later", enroll="accept", user="later-user")
        guid = harness.new_guid()
        with apf.Device(self.gateway.cira) as device:
            self.assertTrue(device.login(guid, "later-user", PASSWORD))
        self.gateway.call("GroupService/UpdateGroup", {"group": {"name": "later", "enroll": "ENROLL_POLICY_REJECT"}, "updateMask": "enroll"})
        with apf.Device(self.gateway.cira) as device:
            self.assertTrue(device.login(guid, "later-user", PASSWORD))
        with apf.Device(self.gateway.cira) as device:
            self.assertFalse(device.login(harness.new_guid(), "later-user", PASSWORD))

    def test_own_credentials_shut_out_the_group_account(self):
        gateway, guid = self.gateway, harness.new_guid()
        first = apf.Device(gateway.cira)
        self.addCleanup(first.close)
        first.ready(guid, "accept-user", PASSWORD)
        gateway.call("DeviceService/SetDeviceCiraCredentials", {"device": guid, "user": "own-user", "password": "Own-Pass-1234"})
        self.assertTrue(self.device(guid)["hasCiraCredentials"])
        self.assertTrue(first.keepalive())
        other = apf.Device(gateway.cira)
        self.addCleanup(other.close)
        other.ready(guid, "accept-user", PASSWORD)
        self.assertTrue(first.keepalive(), "the group's account took the place of a device that has its own")
        ids = sorted(d["id"] for d in gateway.devices(True) if d["guid"] == guid)
        self.assertEqual(len(ids), 2)
        self.assertEqual(ids[0], guid)
        self.assertRegex(ids[1], re.escape(guid) + r"#\d+")
        own = apf.Device(gateway.cira)
        self.addCleanup(own.close)
        own.ready(guid, "own-user", "Own-Pass-1234")
        self.assertEqual(first.until_closed(10)[-7:], apf.disconnect(11))
        self.assertTrue(other.keepalive())
        with apf.Device(gateway.cira, source="127.5.0.1") as wrong:
            self.assertFalse(wrong.login(guid, "own-user", "Own-Pass-1235"))
        self.assertTrue(own.keepalive())
        gateway.call("DeviceService/SetDeviceCiraCredentials", {"device": guid})
        self.assertFalse(self.device(guid).get("hasCiraCredentials", False))

    def test_replacement_happens_after_authentication_only(self):
        guid = harness.new_guid()
        with apf.Device(self.gateway.cira) as old, apf.Device(self.gateway.cira) as new:
            old.ready(guid, "accept-user", PASSWORD)
            new.send(apf.version(guid), apf.service(apf.AUTH))
            new.message()
            time.sleep(0.3)
            self.assertTrue(old.keepalive())
            new.send(apf.userauth("accept-user", PASSWORD))
            self.assertEqual(new.message()[0], apf.USERAUTH_SUCCESS)
            self.assertEqual(old.until_closed(10)[-7:], apf.disconnect(11))

    def test_two_machines_with_one_guid_are_kept_apart(self):
        """Two groups' machines share a GUID: both stay, kept apart."""
        guid = harness.new_guid()
        self.gateway.group("second", user="second-user")
        with apf.Device(self.gateway.cira) as a, apf.Device(self.gateway.cira) as b:
            a.ready(guid, "accept-user", PASSWORD)
            b.ready(guid, "second-user", PASSWORD)
            self.assertTrue(a.keepalive())
            self.assertTrue(b.keepalive())
            both = [d for d in self.gateway.devices(True) if d["guid"] == guid]
            self.assertEqual(sorted(d["group"] for d in both), ["accept", "second"])
            self.assertEqual(len({d["id"] for d in both}), 2)

    def test_two_machines_with_one_guid_and_password_are_suspected(self):
        """They push each other out, again and again, from two addresses."""
        guid = harness.new_guid()
        for i in range(6):
            device = apf.Device(self.gateway.cira, source=f"127.10.0.{i % 2 + 1}")
            self.addCleanup(device.close)
            self.assertTrue(device.login(guid, "accept-user", PASSWORD))
        self.assertTrue(self.device(guid).get("duplicateSuspected"))
        self.assertEqual([d["id"] for d in self.gateway.devices() if d["guid"] == guid], [guid])

    def test_delete_ends_the_tunnel(self):
        guid = harness.new_guid()
        with apf.Device(self.gateway.cira) as device:
            device.ready(guid, "accept-user", PASSWORD)
            self.gateway.cli("device", "delete", guid)
            self.assertEqual(device.until_closed(10)[-7:], apf.disconnect(11))
        self.assertNotIn(guid, [d["guid"] for d in self.gateway.devices()])


class Proxy(harness.TestCase):
    def test_source_behind_a_load_balancer(self):
        proxied, direct = harness.free_ports(2)
        gateway = self.place(cira=f'auth_timeout: 3s\nlisteners:\n  - address: "127.0.0.1:{proxied}"\n    proxy_from: ["127.6.0.0/16"]'
                             f'\n  - address: "127.0.0.1:{direct}"').start()
        gateway.group()
        address, guid = f"127.0.0.1:{proxied}", harness.new_guid()
        header = apf.proxy_v2(("203.0.113.9", 50123), ("127.0.0.1", proxied))
        with apf.Device(address, source="127.6.0.1", preface=header) as device:
            device.ready(guid, USER, PASSWORD)
            tunnel = [t for t in gateway.cli_json("tunnel", "list")["tunnels"] if t["device"] == guid][0]
            self.assertEqual(tunnel["sourceAddress"], "203.0.113.9:50123")
        # The balancer's address without a header: refused, and said so.
        with self.assertRaises((OSError, apf.Closed)):
            apf.Device(address, source="127.6.0.2")
        got = harness.wait_for("the attempt", lambda: gateway.cli_json("device", "why", "--source", "127.6.0.2").get("attempts"))
        self.assertRegex(got[0]["detail"], "PROXY")
        # A stranger may not claim an address: not from elsewhere, and not on a listener without proxy_from.
        for where, source in ((address, "127.7.0.1"), (f"127.0.0.1:{direct}", "127.6.0.3")):
            with self.assertRaises((OSError, apf.Closed)):
                apf.Device(where, source=source, preface=header)
        with apf.Device(address, source="127.7.0.2") as device:
            self.assertTrue(device.login(harness.new_guid(), USER, PASSWORD))
        # Back-off follows the real source, not the balancer.
        for _ in range(30):
            try:
                with apf.Device(address, source="127.6.0.1", preface=apf.proxy_v2(("203.0.113.66", 1), ("127.0.0.1", proxied))) as bad:
                    bad.login(harness.new_guid(), USER, "wrong")
            except (OSError, apf.Closed):
                pass
        with apf.Device(address, source="127.6.0.1", preface=header) as device:
            self.assertTrue(device.login(guid, USER, PASSWORD))


class Secrets(harness.TestCase):
    """After a bit of everything at log level debug, no secret stands where it should not."""

    OWN, OWN_AMT, SECOND = "Own-Cira-7788", "Own-Amt-Pw-9911!", "Second-Group-4455"

    def some_of_everything(self, gateway):
        gateway.group()
        gateway.file("second.password", self.SECOND)
        gateway.cli("group", "create", "second", "--cira-user", "second-user", "--cira-password-file", gateway.path("second.password"),
                    "--enroll", "hold")
        gateway.file("own.password", self.OWN_AMT)
        fleet = gateway.fleet(3, "--speed", "10", "--profile", "tls-only:1", seed=90)
        guids = [d["guid"] for d in gateway.wait_connected(3)]
        with apf.Device(gateway.cira, source="127.8.0.1") as stranger:
            stranger.login(guids[0], USER, "Wrong-Password-313")
        for guid in guids:
            gateway.cli("power", "get", guid)
            gateway.cli("power", "set", guid, "cycle")
            gateway.cli("wsman", "get", guid, "AMT_GeneralSettings")
            gateway.cli("wsman", "enumerate", guid, "CIM_SoftwareIdentity", expect=None)
        gateway.call("DeviceService/SetDeviceCiraCredentials", {"device": guids[1], "user": "own-user", "password": self.OWN})
        gateway.cli("device", "credentials", "set", guids[2], "--user", "admin", "--password-file", gateway.path("own.password"))
        gateway.cli("power", "get", guids[2], expect=None)
        secrets = []
        for role in ("viewer", "administrator"):
            made = gateway.call("TokenService/CreateToken", {"description": f"for the {role}", "role": f"ROLE_{role.upper()}",
                                                             "requestId": harness.new_guid()})
            secrets.append(made["secret"])
            gateway.call("DeviceService/ListDevices", token=made["secret"])
        with self.assertRaises(harness.ApiError):
            gateway.call("GroupService/CreateGroup", {"group": {"name": "x", "ciraUser": "x", "ciraPassword": "Never-Stored-1"}},
                         token=secrets[0])
        with self.assertRaises(harness.ApiError):
            gateway.call("DeviceService/ListDevices", token=secrets[0][:-4] + "AAAA")
        gateway.call("DeviceService/ListDevices")
        gateway.cli("backup", gateway.path("backup.mdb"))
        gateway.cli("audit")
        gateway.order(fleet, f"drop {guids[0]}")
        time.sleep(1.5)
        return secrets

    @staticmethod
    def forms(secret):
        raw = secret if isinstance(secret, bytes) else secret.encode()
        found = {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"=")[:-1],
                 base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1]}
        return found

    def test_secrets_are_nowhere(self):
        gateway = self.place().start()
        tokens = [*self.some_of_everything(gateway), gateway.token]
        with open(os.path.join(gateway.data, "seal.key"), "rb") as f:
            seal = re.search(r"[0-9a-fA-F]{64}", f.read().decode()).group(0)
        passwords = [PASSWORD, harness.AMT_PASSWORD, self.OWN, self.OWN_AMT, self.SECOND, "Never-Stored-1", "Wrong-Password-313"]
        ha1 = hashlib.md5(f"{harness.AMT_USER}:Digest:{harness.AMT_PASSWORD}".encode()).hexdigest()
        places = {"settings": gateway.call("ServerService/GetSettings"), "devices": gateway.call("DeviceService/ListDevices"),
                  "groups": gateway.call("GroupService/ListGroups"), "tokens": gateway.call("TokenService/ListTokens"),
                  "audit": gateway.call("AuditService/ListAuditRecords", {"pageSize": 1000}),
                  "operations": gateway.call("OperationService/ListOperations"),
                  "why": gateway.call("DeviceService/ExplainDevice", {"pageSize": 100})}
        places = {k: repr(v).encode() for k, v in places.items()}
        import urllib.request
        places["metrics"] = urllib.request.urlopen(f"http://{gateway.metrics}/metrics", timeout=10).read()
        with open(f"/proc/{gateway.daemon.pid}/cmdline", "rb") as f:
            places["command line"] = f.read()
        self.assertEqual(gateway.stop(), 0)
        places["log"] = gateway.log().encode()
        self.assertGreater(len(places["log"]), 1000)
        self.assertIn(b"event=tunnel_ready", places["log"])
        for folder, _, names in os.walk(gateway.data):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    places[f"file {name}"] = f.read()
        with open(gateway.path("backup.mdb"), "rb") as f:
            places["backup"] = f.read()
        self.assertGreater(len(places["backup"]), 4096)
        for what, secret in [*(("password " + p, p) for p in passwords), *(("token", t) for t in tokens), ("sealing key", seal),
                             ("sealing key", bytes.fromhex(seal)), ("digest secret", ha1)]:
            for name, content in places.items():
                if (what, name) in (("token", "file admin.token"), ("sealing key", "file seal.key")):
                    continue
                for form in self.forms(secret):
                    self.assertNotIn(form, content, f"{what} stands in {name}")
        self.assertNotIn(b"PRIVATE KEY", places["log"])
        self.assertNotRegex(places["log"], rb"(?i)authorization: (bearer|digest|basic) \S")


if __name__ == "__main__":
    harness.main()
