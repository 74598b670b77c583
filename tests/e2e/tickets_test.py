#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Session tickets: clients that keep one resume, on both ports, in TLS 1.2 and 1.3, also after a restart; and where they must not."""
import re
import signal
import socket
import ssl
import subprocess

import harness

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """One TLS client that remembers its last session."""

    def __init__(self, ca, version):
        self.context = ssl.create_default_context(cafile=ca)
        self.context.minimum_version = self.context.maximum_version = version
        self.session = None

    def visit(self, address, session=None):
        """Connects, asks for a page (TLS 1.3 sends tickets behind the handshake), and tells whether the session was resumed."""
        with socket.create_connection(harness.split_address(address), timeout=harness.PATIENCE) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost", session=session) as s:
                s.sendall(GET)
                s.recv(4096)
                self.session = s.session
                return s.session_reused


class Tickets(harness.TestCase):
    def setUp(self):
        cira, api = (f"127.0.0.1:{port}" for port in harness.free_ports(2))
        self.place = harness.Place()
        self.place.cira_listen, self.place.api_listen = cira, api
        self.place.start()
        self.addCleanup(self.place.close)

    def restart(self):
        self.place.stop()
        self.place.start()

    def test_resumes_after_restart(self):
        """Twice, so that also the ticket that a resumed session got is good for a restart."""
        for version in VERSIONS:
            for address in (self.place.cira, self.place.api):
                with self.subTest(version=version, address=address):
                    client = Client(self.place.ca, version)
                    self.assertFalse(client.visit(address))
                    for _ in range(2):
                        self.restart()
                        self.assertTrue(client.visit(address, client.session), "the session was not resumed")
                        self.assertEqual(self.place.metric("causeway_tls_resumed_total"), 1)

    def test_a_reload_changes_nothing(self):
        client = Client(self.place.ca, VERSIONS[0])
        client.visit(self.place.cira)
        self.place.daemon.send_signal(signal.SIGHUP)
        harness.wait_for("the reload", lambda: "event=reload" in self.place.log())
        self.assertTrue(client.visit(self.place.cira, client.session))

    def test_not_on_another_port(self):
        """The ports have different rules: what one agreed to, the other judges anew."""
        for version in VERSIONS:
            with self.subTest(version=version):
                client = Client(self.place.ca, version)
                client.visit(self.place.cira)
                self.assertFalse(client.visit(self.place.api, client.session))

    def test_not_with_other_keys(self):
        client = Client(self.place.ca, VERSIONS[0])
        client.visit(self.place.cira)
        other = harness.Place()
        other.start()
        self.addCleanup(other.close)
        client.context.load_verify_locations(other.ca)
        self.assertFalse(client.visit(other.cira, client.session))

    def test_not_where_client_certificates_count(self):
        """A ticket from before cira.client_ca was set does not stand for a certificate."""
        for version in VERSIONS:
            with self.subTest(version=version):
                self.place.cira_extra = ""
                self.restart()
                client = Client(self.place.ca, version)
                client.visit(self.place.cira)
                self.place.cira_extra = f'\n  client_ca: "{self.place.ca}"'
                self.restart()
                self.assertFalse(client.visit(self.place.cira, client.session))
                self.assertFalse(client.visit(self.place.cira, client.session))

    def test_keys_are_sealed(self):
        """The name of a key, which begins each ticket, stands beside the key in the store: sealed, so that it is not found there."""
        said = subprocess.run(["openssl", "s_client", "-connect", self.place.cira, "-tls1_2"], input=b"", capture_output=True,
                              timeout=harness.PATIENCE, check=False).stdout.decode()
        first = re.search(r"TLS session ticket:\s+0000 - ((?:[0-9a-f]{2}[ -]){16})", said)
        self.assertIsNotNone(first, said)
        self.place.stop()
        with open(f"{self.place.data}/store/data.mdb", "rb") as f:
            text = f.read()
        self.assertIn(b"tls.ticket_keys", text)
        self.assertNotIn(bytes.fromhex(first.group(1).replace("-", " ")), text)


if __name__ == "__main__":
    harness.main()
