# SPDX-License-Identifier: GPL-3.0-or-later
"""APF against the real daemon, octet for octet: the scripted dialogue, and what a stranger's malformed input is answered with."""
import socket
import ssl
import struct
import subprocess
import threading
import time

import apf_client as apf
import harness

USER, PASSWORD = "standalone01", "P@ssw0rd"
GUID = "4c4c4544-0039-3410-8052-b4c04f4e5a31"

_HEX = {
    "V01": "c0 00000001 00000000 00000004 44454c4c390010348052b4c04f4e5a31" + "00" * 64,
    "V02": "05 00000012 6175746840616d742e696e74656c2e636f6d",
    "V03": "06 00000012 6175746840616d742e696e74656c2e636f6d",
    "V04": "32 00000005 61646d696e 00000012 7066776440616d742e696e74656c2e636f6d 00000004 6e6f6e65",
    "V05": "32 0000000c 7374616e64616c6f6e653031 00000012 7066776440616d742e696e74656c2e636f6d 00000008 70617373776f7264 00"
           "00000008 5040737377307264",
    "V06": "33 00000008 70617373776f7264 00",
    "V07": "34",
    "V08": "05 00000012 7066776440616d742e696e74656c2e636f6d",
    "V09": "06 00000012 7066776440616d742e696e74656c2e636f6d",
    "V10": "50 0000000d 74637069702d666f7277617264 01 0000000d 616d7430312e6578616d706c65 00004261",
    "V11": "51 00004261",
    "V12": "50 0000000d 74637069702d666f7277617264 01 00000000 0000170c",
    "V13": "51 0000170c",
    "V14": "50 00000014 63616e63656c2d74637069702d666f7277617264 01 0000000d 616d7430312e6578616d706c65 00004261",
    "V15": "51",
    "V16": "52",
    "V17": "50 00000019 7564702d73656e642d746f40616d742e696e74656c2e636f6d 00 00000008 31302e302e302e39 000000a2"
           "00000009 31302e302e302e3432 00000298 00000005 3003020101",
    "V18": "d2 0000001e 00000000",
    "V19": "d3 0000001e 00000000",
    "V20": "d0 0000002a",
    "V21": "d1 0000002a",
    "V25": "5e 00000000 0000001b 474554202f20485454502f312e310d0a486f73743a20610d0a0d0a",
    "V26": "5e 00000004 0000001b 485454502f312e312034303120556e617574686f72697a65640d0a",
    "V29": "61 00000000",
    "V33": "5a 0000000c 6469726563742d7463706970 00000007 00001000 ffffffff 00000008 31302e302e302e39 00004266"
           "00000009 3132372e302e302e31 00004260",
    "V35": "fa 0000001f 7b22616374696f6e223a22636f6e6e54797065222c2276616c7565223a327d",
}
V = {name: bytes.fromhex(value.replace(" ", "")) for name, value in _HEX.items()}
REQUEST, ANSWER = V["V25"][9:], V["V26"][9:]


class Wire(harness.TestCase):
    """One gateway for all tests of a class: each test is a device of its own."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = harness.Place(cira="auth_timeout: 2s").start()
        cls.gateway.file("golden.password", PASSWORD)
        cls.gateway.cli("group", "create", "golden", "--cira-user", USER, "--cira-password-file",
                        cls.gateway.path("golden.password"), "--enroll", "accept")
        cls.sources = 0

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def device(self, **kwargs):
        """A connection from a loopback address of its own, so that the back-off of one test does not hit another."""
        type(self).sources += 1
        number = type(self).sources
        device = apf.Device(self.gateway.cira, apf.tls_context(self.gateway.ca), source=f"127.2.{number // 250}.{number % 250 + 1}",
                            **kwargs)
        self.addCleanup(device.close)
        return device

    def inside(self, *ports, guid=None, **kwargs):
        """A device that authenticated and forwarded its ports."""
        device = self.device(**kwargs)
        self.assertTrue(device.login(guid or harness.new_guid(), USER, PASSWORD))
        device.forward(*(ports or (16992,)))
        return device

    def closes_with(self, device, wanted, *messages):
        """The messages make the server send exactly `wanted`, and close."""
        try:
            device.send(*messages)
        except apf.Closed:
            pass
        self.assertEqual(device.until_closed(10).hex(" "), wanted.hex(" "))


class Dialogue(Wire):
    def opened(self, device, port):
        """The gateway opens a channel; checks every field and returns its id for it."""
        kind, name, channel, window, reserved, host, to, originator, from_port = device.message()
        self.assertEqual((kind, name, reserved, to), (apf.CHANNEL_OPEN, b"forwarded-tcpip", 0xffffffff, port))
        self.assertGreater(channel, 0)
        self.assertGreaterEqual(window, 1024)
        self.assertLessEqual(max(len(host), len(originator)), 255)
        self.assertLess(from_port, 65536)
        return channel

    def channel_part(self, device):
        """V22 to V30: the gateway's own choice of id, window and origin in its CHANNEL_OPEN; everything after that is fixed."""
        relay = self.gateway.cli_start("tunnel", "open", GUID, "5900", stdin=subprocess.PIPE)
        self.addCleanup(harness.end_process, relay)
        ours = apf.u32(self.opened(device, 5900))
        device.send(bytes([apf.CHANNEL_CONFIRM]) + ours + apf.u32(0) + apf.u32(0x1000) + apf.u32(0xffffffff))
        relay.stdin.write(REQUEST.decode())
        relay.stdin.flush()
        self.assertEqual(device.take(len(V["V25"])), V["V25"])
        device.send(bytes([apf.CHANNEL_ADJUST]) + ours + apf.u32(len(REQUEST)))
        device.send(bytes([apf.CHANNEL_DATA]) + ours + apf.text(ANSWER))
        device.send(bytes([apf.CHANNEL_CLOSE]) + ours)
        self.assertEqual(device.take(5), V["V29"])
        out, err = relay.communicate(timeout=harness.PATIENCE)
        self.assertEqual(out.encode(), ANSWER.replace(b"\r\n", b"\n"), err)  # text mode makes line ends one octet
        self.assertEqual(relay.returncode, 0, err)

    def forwarded(self, device):
        self.assertEqual(device.take(9, 15).hex(" "), V["V18"].hex(" "))
        device.send(V["V19"], V["V20"])
        self.assertEqual(device.take(5), V["V21"])
        tunnels = self.gateway.cli_json("tunnel", "list")["tunnels"]
        mine = [t for t in tunnels if t["device"] == GUID]
        self.assertEqual([(t["trigger"], sorted(t["forwardedPorts"])) for t in mine], [(4, [5900, 16993])])

    def by_steps(self, **kwargs):
        device = self.device(**kwargs)
        for sent, wanted in ((V["V01"] + V["V02"], "V03"), (V["V05"], "V07"), (V["V08"], "V09"), (V["V10"], "V11"), (V["V12"], "V13")):
            device.send(sent)
            self.assertEqual(device.take(len(V[wanted])).hex(" "), V[wanted].hex(" "), wanted)
        self.forwarded(device)
        self.channel_part(device)
        self.assertTrue(device.keepalive())

    def test_dialogue_by_message(self):
        self.by_steps()

    def test_dialogue_one_octet_a_record(self):
        self.by_steps(octets=True)

    def test_dialogue_in_one_blob(self):
        device = self.device()
        device.send(V["V01"] + V["V02"] + V["V05"] + V["V08"] + V["V10"] + V["V12"])
        wanted = V["V03"] + V["V07"] + V["V09"] + V["V11"] + V["V13"]
        self.assertEqual(device.take(len(wanted)).hex(" "), wanted.hex(" "))
        self.forwarded(device)
        self.channel_part(device)

    def test_cancel_and_datagram(self):
        device = self.device()
        device.send(V["V01"], V["V02"], V["V05"], V["V08"], V["V10"], V["V17"], V["V14"], V["V20"])
        wanted = V["V03"] + V["V07"] + V["V09"] + V["V11"] + V["V15"] + V["V21"]
        self.assertEqual(device.take(len(wanted)).hex(" "), wanted.hex(" "))
        self.assertGreaterEqual(self.gateway.metric("causeway_udp_send_to_total"), 1)

    def test_a_channel_that_the_device_opens_is_refused(self):
        device = self.inside()
        device.send(V["V33"])
        got = device.expect(apf.CHANNEL_FAILURE)
        self.assertEqual(got[1], 7)
        self.assertIn(got[2], (1, 3))
        self.assertTrue(device.keepalive())


class BeforeAuthentication(Wire):
    def hello(self, guid=None, **kwargs):
        device = self.device(**kwargs)
        device.send(apf.version(guid or harness.new_guid()), V["V02"])
        self.assertEqual(device.take(len(V["V03"])), V["V03"])
        return device

    def test_m01_first_octet_is_not_apf(self):
        before = self.gateway.metric('causeway_apf_closed_total{reason="not_apf"}')
        for first in (b"\x0a", b"\x00", b"\xff", b"\x16\x03\x01\x02\x00\x01"):
            self.closes_with(self.device(), b"", first)
        self.assertEqual(self.gateway.metric('causeway_apf_closed_total{reason="not_apf"}'), before + 4)

    def test_m02_cut_then_silence(self):
        cut = []
        for count in (0, 1, 4, 40, 92):
            device = self.device()
            device.send(V["V01"][:count])
            cut.append(device)
        for message in (V["V02"], V["V05"]):
            device = self.device() if message is V["V02"] else self.hello()
            device.send(V["V01"] + message[:-1] if message is V["V02"] else message[:-1])
            cut.append(device)
        begin = time.monotonic()
        for device in cut:
            self.assertEqual(device.until_closed(10), b"")
        self.assertLess(time.monotonic() - begin, 8)

    def test_m02_no_busy_loop(self):
        def cpu():
            with open(f"/proc/{self.gateway.daemon.pid}/stat", encoding="ascii") as f:
                words = f.read().rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) / 100
        device = self.device()
        device.send(V["V01"][:50])
        begin = cpu()
        time.sleep(1)
        self.assertLess(cpu() - begin, 0.5)
        device.until_closed(10)

    def test_m04_service_name_too_long(self):
        for length in ("00000801", "ffffffff"):
            device = self.device()
            device.send(apf.version(harness.new_guid()))
            self.closes_with(device, b"", bytes.fromhex("05" + length))

    def test_m05_unknown_service(self):
        device = self.device()
        device.send(apf.version(harness.new_guid()))
        self.closes_with(device, apf.disconnect(7), apf.service("foo@bar"))

    def test_m06_userauth_lengths(self):
        for octets in ("32 ffffffff", "32 00000005 61646d696e ffffffff", "32 00000001 61 7fffffff", "32 00000001 61 fffffffb 6161"):
            self.closes_with(self.hello(), b"", bytes.fromhex(octets.replace(" ", "")))

    def test_m07_userauth_in_two_pieces(self):
        device = self.hello()
        device.send(V["V05"][:20])
        self.assertTrue(device.silent_for(0.5))
        device.send(V["V05"][20:])
        self.assertEqual(device.take(1), V["V07"])

    def test_m08_none_followed_by_another_message(self):
        self.closes_with(self.hello(), apf.USERAUTH_REFUSED, V["V04"] + V["V20"])

    def test_m09_change_flag(self):
        self.closes_with(self.hello(), apf.USERAUTH_REFUSED, apf.userauth(USER, PASSWORD, change=1))

    def test_m10_text_with_strange_octets(self):
        for user in (b"enr\x00ol", b"\x1b[31mred", b"a\nmsg=forged level=error", b"\xc3\xa4", b"\x7f"):
            self.closes_with(self.hello(), apf.USERAUTH_REFUSED, apf.userauth(user, PASSWORD))
        log = self.gateway.log()
        self.assertNotIn("\x1b", log)
        self.assertNotIn("\0", log)
        self.assertNotIn("\nmsg=forged", log)

    def test_m10_strange_host_names_stay_out_of_log_and_api(self):
        device = self.device()
        guid = harness.new_guid()
        self.assertTrue(device.login(guid, USER, PASSWORD))
        device.forward(16992, host=b"ho\x1b[2Jst\0")
        self.assertTrue(device.keepalive())
        self.assertNotIn("\x1b", self.gateway.log())
        self.assertNotIn("\\u001b", self.gateway.cli("device", "list", "--json"))

    def test_m11_userauth_before_the_version(self):
        self.closes_with(self.device(), apf.disconnect(2), V["V05"])

    def test_m12_second_version(self):
        device = self.device()
        device.send(apf.version(harness.new_guid()))
        self.closes_with(device, apf.disconnect(2), apf.version(harness.new_guid()))
        device = self.inside()
        self.closes_with(device, apf.disconnect(2), apf.version(harness.new_guid()))

    def test_m13_major_version(self):
        for major in (0, 2, 0xffffffff):
            self.closes_with(self.device(), apf.disconnect(8), apf.version(harness.new_guid(), major=major))

    def test_m14_blank_guid(self):
        for digit in "0f":
            guid = f"{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}"
            device = self.hello(guid)
            self.closes_with(device, apf.USERAUTH_REFUSED, apf.userauth(USER, PASSWORD))
            self.assertNotIn(guid, self.gateway.cli("device", "list", "--json"))

    def test_m15_forward_before_authentication(self):
        device = self.device()
        device.send(apf.version(harness.new_guid()))
        self.closes_with(device, apf.disconnect(2), V["V10"])
        self.closes_with(self.hello(), apf.disconnect(2), V["V10"])

    def test_too_much_before_authentication(self):
        device = self.hello()
        self.closes_with(device, b"", apf.userauth("u" * 4000, "p"))

    def test_keepalive_is_answered_before_authentication(self):
        device = self.hello()
        device.send(V["V20"])
        self.assertEqual(device.take(5), V["V21"])


class Inside(Wire):
    def lives(self, device):
        self.assertTrue(device.keepalive())

    def test_m03_one_octet_a_record(self):
        self.lives(self.inside(16992, 16993, octets=True))

    def test_m16_forward_address_too_long(self):
        device = self.inside()
        self.closes_with(device, b"", V["V10"][:19] + apf.u32(0x7fffffff))

    def test_m17_forward_port_out_of_range(self):
        device = self.inside()
        for port in (0, 70000, 0xffffffff):
            device.send(apf.forward(port))
            device.expect(apf.REQUEST_FAILURE)
        self.lives(device)

    def test_m18_forward_without_want_reply(self):
        device = self.inside()
        device.send(apf.forward(16993, want_reply=0))
        self.assertEqual(device.expect(apf.REQUEST_SUCCESS)[1], 16993)

    def test_m19_a_thousand_forwards(self):
        device = self.inside()
        try:
            for _ in range(1000):
                device.send(apf.forward(16993))
        except apf.Closed:
            pass
        got = device.until_closed(10)
        self.assertLess(got.count(bytes.fromhex("5100004261")), 300)

    def test_m20_unknown_request(self):
        self.closes_with(self.inside(), apf.disconnect(2), bytes.fromhex("5000000003666f6f01"))

    def test_m21_datagram_lengths(self):
        start = V["V17"][:31]
        for rest in ("00000100", "7fffffff", "00000001 61 000000a2 ffffffff", "00000001 61 000000a2 00000001 61 00000298 00100000"):
            self.closes_with(self.inside(), b"", start + bytes.fromhex(rest.replace(" ", "")))

    def test_m22_channels_of_the_wrong_kind(self):
        device = self.inside()
        for kind in ("session", "forwarded-tcpip"):
            device.send(apf.channel_open(kind, 3, 1000, ("h", 16992), ("o", 1)))
            self.assertEqual(device.expect(apf.CHANNEL_FAILURE)[1:3], (3, 3))
        self.lives(device)

    def test_m23_channel_open_lengths(self):
        start = V["V33"][:29]
        for rest in ("00000100", "ffffffff", "00000001 61 00001234 00000100"):
            self.closes_with(self.inside(), b"", start + bytes.fromhex(rest.replace(" ", "")))

    def test_m24_m27_m34_m37_messages_for_nobody(self):
        device = self.inside()
        device.send(bytes([apf.CHANNEL_CONFIRM]) + apf.u32(77) + apf.u32(1) + apf.u32(9) + apf.u32(0xffffffff))
        device.send(bytes([apf.CHANNEL_DATA]) + apf.u32(77) + apf.text("\x05\x00 looks like a message"))
        device.send(bytes([apf.CHANNEL_ADJUST]) + apf.u32(77) + apf.u32(100))
        device.send(2 * (bytes([apf.CHANNEL_CLOSE]) + apf.u32(77)))
        device.send(bytes([apf.KEEPALIVE_REPLY]) + apf.u32(1))
        self.lives(device)

    def test_m28_data_of_more_than_a_mebibyte(self):
        self.closes_with(self.inside(), b"", bytes.fromhex("5e00000001ffffffff"))

    def test_m36_keepalive_flood(self):
        device = self.inside()
        try:
            for _ in range(100):
                device.send(V["V20"] * 1000)
        except apf.Closed:
            pass
        got = device.until_closed(20)
        self.assertLess(len(got), 100000 * 5)

    def test_m38_messages_of_the_other_direction(self):
        for octets in ("d2 0000001e 00000000", V["V03"].hex(), V["V06"].hex(), "34", "5100004261", "52"):
            self.closes_with(self.inside(), apf.disconnect(2), bytes.fromhex(octets.replace(" ", "")))

    def test_m39_json_on_a_firmware_tunnel(self):
        self.assertIn(self._json(self.device()), (b"", apf.disconnect(2)))
        self.assertIn(self._json(self.inside()), (b"", apf.disconnect(2)))

    @staticmethod
    def _json(device):
        device.send(V["V35"])
        return device.until_closed(10)

    def test_unknown_type(self):
        self.assertIn(self._closing(self.inside(), b"\x63"), (b"", apf.disconnect(2)))

    @staticmethod
    def _closing(device, octets):
        device.send(octets)
        return device.until_closed(10)

    def test_m41_data_after_disconnect(self):
        self.closes_with(self.inside(), b"", apf.disconnect(2) + V["V20"] + V["V10"])

    def gone(self, guid):
        harness.wait_for("the tunnel to go", lambda: guid not in self.gateway.cli("tunnel", "list", "--json"), 15)

    def test_m42_connection_lost_in_mid_message(self):
        def fin(device):
            device.socket.shutdown(socket.SHUT_WR)

        def reset(device):
            device.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            device.close()

        def close_notify(device):
            device.socket.settimeout(10)
            try:
                device.socket.unwrap()
            except (OSError, ssl.SSLError):
                pass
        neighbour = self.inside()
        for end in (fin, reset, close_notify):
            guid = harness.new_guid()
            device = self.inside(guid=guid)
            self.assertIn(guid, self.gateway.cli("tunnel", "list", "--json"))
            device.send(V["V10"][:9])
            end(device)
            self.gone(guid)
            again = self.inside(guid=guid)
            self.lives(again)
        self.lives(neighbour)

    def test_m42_garbage_instead_of_a_record(self):
        guid = harness.new_guid()
        device = self.inside(guid=guid)
        raw = socket.socket(fileno=device.socket.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
            self.gone(guid)

    def test_m43_same_device_twice(self):
        guid = harness.new_guid()
        first = self.inside(guid=guid)
        second = self.device()
        second.send(apf.version(guid), V["V02"])
        self.assertEqual(second.take(23), V["V03"])
        self.lives(first)
        self.closes_with(second, apf.USERAUTH_REFUSED, apf.userauth(USER, "wrong"))
        self.lives(first)
        third = self.device()
        self.assertTrue(third.login(guid, USER, PASSWORD))
        self.assertEqual(first.until_closed(10)[-7:], apf.disconnect(11))
        third.forward(16992)
        self.lives(third)

    def test_fifty_tunnels_at_once(self):
        results = []

        def one():
            device = apf.Device(self.gateway.cira)
            results.append(device.login(harness.new_guid(), USER, PASSWORD) and device.keepalive())
            device.close()
        threads = [threading.Thread(target=one) for _ in range(50)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [True] * 50)


if __name__ == "__main__":
    harness.main()
