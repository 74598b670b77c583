# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon from start to stop: what it leaves in its folder, reload, drain, stop under load, start again, metrics."""
import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import apf_client as apf
import harness


def content(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def fingerprint(address):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(harness.split_address(address), 20) as raw, context.wrap_socket(raw) as tls:
        return hashlib.sha256(tls.getpeercert(True)).hexdigest()


class Start(harness.TestCase):
    def mode(self, place, name):
        return os.stat(os.path.join(place.data, name)).st_mode & 0o777

    def test_what_a_start_leaves_and_a_stop_removes(self):
        place = self.place().start()
        run = place.run_json()
        self.assertEqual(sorted(run), ["api", "cira", "metrics", "pid"])
        self.assertEqual(run["pid"], place.daemon.pid)
        for address in (*run["cira"], *run["api"], run["metrics"]):
            self.assertRegex(address, r"^127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(self.mode(place, "admin.token"), 0o600)
        self.assertEqual(self.mode(place, "seal.key"), 0o600)
        self.assertEqual(self.mode(place, "root.key"), 0o600)
        self.assertEqual(self.mode(place, "root.crt") & 0o444, 0o444)
        self.assertNotIn(b"PRIVATE", content(place.ca))
        place.cli("version")
        self.assertEqual(place.stop(), 0)
        self.assertFalse(os.path.exists(os.path.join(place.data, "run.json")))

    def test_second_start_keeps_root_and_token(self):
        place = self.place().start()
        place.group()
        files = ("root.crt", "admin.token", "root.key", "seal.key", "mps.crt", "api.crt")
        before = {n: content(place.data, n) for n in files}
        self.assertEqual(place.stop(), 0)
        begin = time.monotonic()
        place.start()
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual({n: content(place.data, n) for n in files}, before)
        self.assertEqual([g["name"] for g in place.cli_json("group", "list")["groups"]], ["fleet"])
        self.assertEqual(place.stop(signal.SIGINT), 0)

    def test_another_name_makes_another_leaf_from_the_same_root(self):
        place = self.place().start()
        root, first = content(place.ca), fingerprint(place.cira)
        self.assertEqual(place.stop(), 0)
        place.name = "mps.example.com"
        place.start()
        self.assertEqual(content(place.ca), root)
        self.assertNotEqual(fingerprint(place.cira), first)
        context = ssl.create_default_context(cafile=place.ca)
        apf.Device(place.cira, context, name="mps.example.com").close()

    def test_several_listeners_and_ipv6(self):
        place = self.place()
        place.cira_listen, place.api_listen = '127.0.0.1:0", "[::1]:0', '[::]:0'
        place.start()
        run = place.run_json()
        self.assertEqual(len(run["cira"]), 2)
        self.assertRegex(run["cira"][1], r"^\[::1\]:\d+$")
        place.group()
        with apf.Device(run["cira"][1]) as device:
            device.ready(harness.new_guid(), harness.CIRA_USER, harness.CIRA_PASSWORD)
            tunnels = place.cli_json("tunnel", "list")["tunnels"]
            self.assertRegex(tunnels[0]["sourceAddress"], r"^\[::1\]:\d+$")

    def test_fewer_kernel_features(self):
        """The daemon on the feature set of kernel 6.1, which tests can force."""
        place = self.place()
        place.start(env={"CAUSEWAY_URING": "min"})
        place.group()
        place.fleet(3)
        for device in place.wait_connected(3):
            place.cli("power", "get", device["guid"])


class Reload(harness.TestCase):
    def certificate(self, place, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", place.path("own.key"), "-out",
                        place.path("own.crt"), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "30"],
                       check=True, capture_output=True)

    def reload(self, place):
        place.file("causeway.yaml", place.config_text())
        place.daemon.send_signal(signal.SIGHUP)

    def test_certificate_and_keepalive_without_dropping_tunnels(self):
        place = self.place(cira="keepalive: 30s").start()
        place.group()
        place.fleet(5, "--backoff-max", "1", seed=31)
        guids = [d["guid"] for d in place.wait_connected(5)]
        before = {d["guid"]: (d["connects"], d["connectedTime"]) for d in place.devices(True)}
        own = place.fleet(1, seed=32)
        place.wait_connected(6)
        self.assertIsNone(own.poll())
        first = fingerprint(place.cira)

        self.certificate(place, "localhost")
        place.cira_extra = f"\n  keepalive: 45s\n  cert: {place.path('own.crt')}\n  key: {place.path('own.key')}"
        self.reload(place)
        harness.wait_for("the new certificate", lambda: fingerprint(place.cira) != first)
        second = fingerprint(place.cira)
        with apf.Device(place.cira, apf.tls_context(place.path("own.crt"))) as device:
            self.assertTrue(device.login(harness.new_guid(), harness.CIRA_USER, harness.CIRA_PASSWORD))
            device.forward(16992)
            self.assertEqual(device.options()[0], 45)
            for guid in guids:
                place.cli("power", "get", guid)
        after = {d["guid"]: (d["connects"], d["connectedTime"]) for d in place.devices(True)}
        self.assertEqual({g: after[g] for g in before}, before)

        # The same files with another content, by the API.
        self.certificate(place, "localhost")
        place.call("ServerService/Reload")
        harness.wait_for("the next certificate", lambda: fingerprint(place.cira) not in (first, second))

        # A wrong file changes nothing, and is complained about.
        third = fingerprint(place.cira)
        place.cira_extra = "\n  keepalive: soon"
        place.file("causeway.yaml", place.config_text())
        with self.assertRaises(harness.ApiError) as caught:
            place.call("ServerService/Reload")
        self.assertEqual((caught.exception.code, caught.exception.reason), ("invalid_argument", "SETTINGS_INVALID"))
        self.assertRegex(caught.exception.message, r":\d+:\d+")
        self.reload(place)
        time.sleep(0.5)
        self.assertEqual(fingerprint(place.cira), third)
        self.assertIn("keepalive", place.log())
        self.assertEqual(len(place.devices(True)), 6)
        self.assertEqual(place.stop(), 0)


class Stop(harness.TestCase):
    def test_drain_keeps_the_api(self):
        place = self.place().start()
        place.group()
        place.fleet(3, "--backoff-max", "1")
        place.wait_connected(3)
        device = apf.Device(place.cira)
        self.addCleanup(device.close)
        device.ready(harness.new_guid(), harness.CIRA_USER, harness.CIRA_PASSWORD)
        self.assertEqual(place.call("ServerService/Drain")["tunnels"], 4)
        self.assertEqual(device.until_closed(10)[-7:], apf.disconnect(11))
        harness.wait_for("no tunnels", lambda: not place.devices(True), 15)
        self.assertTrue(place.call("ServerService/GetStatus")["draining"])
        with self.assertRaises(OSError):
            apf.Device(place.cira, timeout=3)
        time.sleep(1)
        self.assertIsNone(place.daemon.poll())
        self.assertEqual(len(place.devices()), 4)
        self.assertEqual(place.stop(), 0)

    def test_stop_with_tunnels_streams_and_calls(self):
        place = self.place().start()
        place.group()
        fleet = place.fleet(20, "--profile", "slow:4", "--backoff-max", "1")
        guids = [d["guid"] for d in place.wait_connected(20)]
        watch = place.cli_start("device", "watch", "--json")
        self.addCleanup(harness.end_process, watch)
        halfway = [apf.Device(place.cira, source=f"127.9.0.{i + 1}") for i in range(5)]
        for device in halfway:
            device.send(apf.version(harness.new_guid()))
        outcomes = []

        def ask(guid):
            try:
                outcomes.append(place.call("PowerService/GetPowerState", {"device": guid})["powerState"])
            except Exception as error:  # pylint: disable=broad-except
                outcomes.append(error)
        threads = [threading.Thread(target=ask, args=(g,)) for g in guids]
        for t in threads:
            t.start()
        time.sleep(0.3)
        begin = time.monotonic()
        self.assertEqual(place.stop(), 0, place.log()[-3000:])
        self.assertLess(time.monotonic() - begin, 15)
        for t in threads:
            t.join(20)
        self.assertEqual(len(outcomes), len(guids))
        for device in halfway:
            device.until_closed(10)
            device.close()
        self.assertFalse(os.path.exists(os.path.join(place.data, "run.json")))
        time.sleep(0.5)
        self.assertIsNone(watch.poll(), "a watch waits for the server to come back")
        self.assertIsNone(fleet.poll())

    def test_restart_is_instant_and_devices_return(self):
        place = self.place()
        cira, api = harness.free_ports(2)
        place.cira_listen, place.api_listen = f"127.0.0.1:{cira}", f"127.0.0.1:{api}"
        place.start()
        place.group()
        fleet = place.fleet(20, "--backoff-max", "1")
        place.wait_connected(20)
        for _ in range(3):
            self.assertEqual(place.stop(), 0)
            begin = time.monotonic()
            place.start()
            self.assertLess(time.monotonic() - begin, 5)
            place.wait_connected(20)
        fleet.send_signal(signal.SIGTERM)
        self.assertEqual(fleet.wait(30), 0, content(fleet.log_path))

    def test_second_signal_ends_at_once(self):
        place = self.place(config="drain_timeout: 10m").start()
        place.group()
        place.fleet(2, "--delay", "30000")
        guid = place.wait_connected(2)[0]["guid"]
        caller = place.cli_start("power", "get", guid)
        self.addCleanup(harness.end_process, caller)
        time.sleep(0.5)
        place.daemon.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        begin = time.monotonic()
        if place.daemon.poll() is None:
            place.daemon.send_signal(signal.SIGTERM)
        place.daemon.wait(10)
        self.assertLess(time.monotonic() - begin, 5)


class Metrics(harness.TestCase):
    def test_metrics_are_prometheus_text(self):
        place = self.place().start()
        place.group()
        place.fleet(3)
        place.wait_connected(3)
        place.cli("power", "get", place.devices()[0]["guid"])
        with urllib.request.urlopen(f"http://{place.metrics}/metrics", timeout=10) as answer:
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
            text = answer.read().decode()
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            self.assertRegex(line, r'^[a-z_:][a-z0-9_:]*(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? [-+0-9.eEinfNa]+$')
            name = re.match(r"[a-z0-9_:]+", line).group(0)
            self.assertIn(re.sub(r"_(bucket|sum|count)$", "", name) if name not in kinds else name, kinds, line)
        self.assertEqual(place.metric("causeway_tunnels"), 3)
        self.assertEqual(place.metric("causeway_devices"), 3)
        self.assertGreaterEqual(place.metric('causeway_cira_auth_total{result="ok"}'), 3)
        self.assertGreaterEqual(place.metric("process_resident_memory_bytes"), 1000000)
        for path, status in (("/", 404), ("/metricsx", 404)):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://{place.metrics}{path}", timeout=10)
            self.assertEqual(caught.exception.code, status)


class RealTime(harness.TestCase):
    """Workers have real-time priority while handshakes are made and somebody calls devices."""

    DEVICES, RATE = 60, 10

    @staticmethod
    def may():
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            return True
        except OSError:
            return False

    def seen(self, config, call):
        """The most workers that had it in a while with handshakes, and what the kernel said of their threads then."""
        place = self.place(config).start()
        place.group()
        place.fleet(self.DEVICES, "--rate", str(self.RATE))
        guid = place.wait_connected(1)[0]["guid"]
        most, policies = 0, set()
        while place.metric("causeway_tunnels") < self.DEVICES:
            if call:
                place.call("PowerService/GetPowerState", {"device": guid})
            for tid in os.listdir(f"/proc/{place.daemon.pid}/task"):
                policies.add(os.sched_getscheduler(int(tid)) & ~os.SCHED_RESET_ON_FORK)
            most = max(most, place.metric("causeway_workers_real_time"))
        harness.wait_for("ordinary workers again", lambda: place.metric("causeway_workers_real_time") == 0)
        return most > 0, os.SCHED_RR in policies

    def test_in_storms_with_calls_where_they_may(self):
        self.assertEqual(self.seen("", True), (self.may(), self.may()))

    def test_not_without_calls(self):
        self.assertEqual(self.seen("", False), (False, False))

    def test_not_if_they_shall_not(self):
        self.assertEqual(self.seen("real_time: false\n", True), (False, False))


class Held(harness.TestCase):
    def test_simulated_devices_wait_for_the_word(self):
        place = self.place().start()
        place.group()
        fleet = place.fleet(5, "--hold")
        harness.wait_for("the control socket", lambda: os.path.exists(fleet.control))
        self.assertIn("connects 0 ", self.order(fleet, "stats"))
        self.assertEqual(place.devices(), [])
        self.order(fleet, "go")
        place.wait_connected(5)
        with self.assertRaisesRegex(AssertionError, "already"):
            self.order(fleet, "go")

    @staticmethod
    def order(fleet, line):
        return harness.Place.order(fleet, line) + " "


class Storm(harness.TestCase):
    """Connections that are being set up are what a storm is made of; those that never say a word do as well."""

    CONNECTING, DEVICES = 40, 200

    def test_facts_are_read_after_it(self):
        place = self.place().start()
        place.group()
        connecting = [socket.create_connection(harness.split_address(place.cira), 20) for _ in range(self.CONNECTING)]
        harness.wait_for("connections that are set up", lambda: place.metric("causeway_cira_handshakes") >= self.CONNECTING)
        place.fleet(self.DEVICES)
        harness.wait_for("ready tunnels", lambda: place.metric("causeway_tunnels_ready_total") >= self.DEVICES)
        self.assertGreater(place.metric("causeway_ready_waiting"), 0)
        self.assertLessEqual(place.metric("causeway_ready_running"), place.metric("causeway_workers"))
        for one in connecting:
            one.close()
        harness.wait_for("facts of all", lambda: place.metric("causeway_ready_waiting") + place.metric("causeway_ready_running") == 0)
        self.assertEqual(place.metric("causeway_ready_skipped_total"), 0)


if __name__ == "__main__":
    harness.main()
