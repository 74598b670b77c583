# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on the CIRA and API ports as other people's programs see it: versions, suites, certificates, the page for browsers."""
import re
import shutil
import socket
import ssl
import subprocess
import time
import unittest

import apf_client as apf
import harness

PAGE = "This port works"


def s_client(address, *args, ca=None, request="", seconds=20):
    """openssl s_client; returns (exit status, everything it said)."""
    command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", *args]
    if ca:
        command += ["-CAfile", ca, "-verify_return_error"]
    # Its standard input stays open until the answer is there: at its end s_client closes without waiting.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            if request:
                process.stdin.write(request.encode())
                process.stdin.flush()
                out = process.communicate(timeout=seconds)[0] if "-quiet" in args or "-ign_eof" in args else _until_eof(process, seconds)
            else:
                out = process.communicate(b"", timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0]
    return process.returncode, out.decode(errors="replace")


def _until_eof(process, seconds):
    time.sleep(1)
    return process.communicate(b"", timeout=seconds)[0]


def client_can(*args):
    """Whether this machine's OpenSSL can do it at all, tried against itself."""
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/k", "-out",
                               f"{folder}/c", "-subj", "/CN=x", "-days", "2"], capture_output=True, check=False)
        if made.returncode != 0:
            return False
        port = harness.free_ports(1)[0]
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", f"{folder}/k", "-cert", f"{folder}/c",
                                   "-quiet", *args], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(50):
                if server.poll() is not None:
                    return False
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            return s_client(f"127.0.0.1:{port}", *args)[0] == 0
        finally:
            server.kill()
            server.communicate()


def negotiated(text):
    """(version, suite) of a handshake that s_client reports, or None."""
    found = re.search(r"New, (\S+), Cipher is (\S+)", text)
    version = re.search(r"Protocol\s*: (\S+)", text) or re.search(r"New, (\S+),", text)
    if not found or found.group(2) == "(NONE)":
        return None
    return (version.group(1), found.group(2))


class Tls(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        legacy, proxied = harness.free_ports(2)
        cls.legacy = f"127.0.0.1:{legacy}"
        cls.gateway = harness.Place(cira=f'auth_timeout: 3s\nlisteners:\n  - address: "{cls.legacy}"\n    profile: legacy').start()
        cls.gateway.group()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def handshake(self, address, *args):
        status, text = s_client(address, *args, ca=self.gateway.ca)
        return negotiated(text) if status == 0 else None, text

    def test_both_listeners_are_in_run_json(self):
        self.assertEqual(len(self.gateway.run_json()["cira"]), 2)
        self.assertIn(self.legacy, self.gateway.run_json()["cira"])

    def test_page_with_get_and_head(self):
        status, text = s_client(self.gateway.cira, "-quiet", ca=self.gateway.ca, request="GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(status, 0, text)
        self.assertIn("HTTP/1.1 200 OK", text)
        self.assertIn(PAGE, text)
        status, text = s_client(self.gateway.cira, "-quiet", ca=self.gateway.ca, request="HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn("HTTP/1.1 200 OK", text)
        self.assertRegex(text, r"Content-Length: [1-9]")
        self.assertNotIn(PAGE, text)

    def test_page_in_pieces_and_on_the_legacy_listener(self):
        for address in (self.gateway.cira, self.legacy):
            with apf.Device(address, apf.tls_context(self.gateway.ca), octets=True) as browser:
                browser.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                head, _, body = browser.until_closed().decode().partition("\r\n\r\n")
                self.assertIn(PAGE, body)
                self.assertEqual(int(re.search(r"Content-Length: (\d+)", head).group(1)), len(body))

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_page_with_curl(self):
        out = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", self.gateway.ca,
                              f"https://localhost:{harness.split_address(self.gateway.cira)[1]}/"],
                             capture_output=True, text=True, check=False)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertIn(PAGE, out.stdout)

    def test_page_in_a_browser(self):
        browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if browser is None:
            self.skipTest("no Chromium is installed")
        out = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors",
                              f"--user-data-dir={self.gateway.path('chromium')}", "--dump-dom",
                              f"https://localhost:{harness.split_address(self.gateway.cira)[1]}/"],
                             capture_output=True, text=True, timeout=90, check=False)
        self.assertIn(PAGE, out.stdout, out.stderr[-2000:])

    def test_tls_1_0_is_for_the_legacy_profile(self):
        args = ("-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0")
        if not client_can(*args):
            self.skipTest("this machine's OpenSSL has no TLS 1.0 any more")
        got, text = self.handshake(self.legacy, *args)
        self.assertEqual(got and got[1], "AES128-SHA", text)
        self.assertIn("TLSv1\n", text)
        self.assertIsNone(self.handshake(self.gateway.cira, *args)[0])

    def test_tls_1_0_with_simulated_devices(self):
        fleet = self.gateway.fleet(1, "--profile", "legacy", seed=70, cira=self.legacy)
        device = self.gateway.wait_connected(1)[0]
        self.assertEqual((device["tlsVersion"], device["tlsCipher"]), ("TLSv1.0", "AES128-SHA"))
        self.gateway.cli("power", "get", device["guid"])
        harness.end_process(fleet)
        refused = self.gateway.fleet(1, "--profile", "legacy", "--duration", "5", seed=71)
        self.assertEqual(refused.wait(60), 1)
        why = self.gateway.cli_json("device", "why")
        self.assertEqual(why["attempts"][0]["stage"], "ATTEMPT_STAGE_TLS", why)
        self.assertRegex(why["attempts"][0]["detail"].lower(), "version|protocol|legacy")

    def test_tls_1_2_static_rsa_on_both(self):
        for address in (self.gateway.cira, self.legacy):
            for suite in ("AES128-SHA256", "AES128-GCM-SHA256"):
                got, text = self.handshake(address, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0")
                self.assertEqual(got, ("TLSv1.2", suite), text)

    def test_tls_1_2_ecdhe_and_1_3_on_both(self):
        for address in (self.gateway.cira, self.legacy):
            got, text = self.handshake(address, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
            self.assertEqual(got, ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"), text)
            got, text = self.handshake(address, "-tls1_3")
            self.assertEqual(got and got[0], "TLSv1.3", text)

    def test_weak_suites_are_refused_everywhere(self):
        for address in (self.gateway.cira, self.legacy):
            for suite in ("NULL-SHA256", "DES-CBC3-SHA", "ADH-AES128-SHA256"):
                self.assertIsNone(self.handshake(address, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0")[0], suite)

    def test_cira_certificate(self):
        """What AMT looks at: the chain, the CN, key size, usage, a validity that began long ago (apf.md 2)."""
        status, text = s_client(self.gateway.cira, "-showcerts", ca=self.gateway.ca)
        self.assertEqual(status, 0, text)
        self.assertIn("Verify return code: 0", text)
        leaf = text[text.index("-----BEGIN"):text.index("-----END") + 25]
        shown = subprocess.run(["openssl", "x509", "-noout", "-subject", "-text", "-nameopt", "RFC2253"], input=leaf, text=True,
                               capture_output=True, check=True).stdout
        self.assertRegex(shown, r"subject=(.*,)?CN=localhost(,|\n)")
        self.assertIn("2048 bit", shown)
        self.assertIn("sha256WithRSAEncryption", shown)
        self.assertIn("TLS Web Server Authentication", shown)
        self.assertIn("Key Encipherment", shown)
        self.assertIn("DNS:localhost", shown)
        begin = re.search(r"Not Before: (.*)", shown).group(1)
        self.assertLess(ssl.cert_time_to_seconds(begin), time.time() - 364 * 86400)

    def test_root_certificate(self):
        shown = subprocess.run(["openssl", "x509", "-in", self.gateway.ca, "-noout", "-text"], text=True, capture_output=True,
                               check=True).stdout
        self.assertIn("CA:TRUE", shown)
        self.assertIn("Certificate Sign", shown)
        self.assertIn("3072 bit", shown)
        der = subprocess.run(["openssl", "x509", "-in", self.gateway.ca, "-outform", "DER"], capture_output=True, check=True).stdout
        self.assertLessEqual(len(der), 4100)

    def test_api_certificate_names(self):
        port = harness.split_address(self.gateway.api)[1]
        for name in ("localhost", "127.0.0.1", "::1", socket.gethostname()):
            context = ssl.create_default_context(cafile=self.gateway.ca)
            with socket.create_connection(("127.0.0.1", port), 20) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
                self.assertIn(tls.version(), ("TLSv1.2", "TLSv1.3"))
        with self.assertRaises(ssl.SSLCertVerificationError):
            context = ssl.create_default_context(cafile=self.gateway.ca)
            with socket.create_connection(("127.0.0.1", port), 20) as raw:
                context.wrap_socket(raw, server_hostname="other.example")

    def test_api_port_takes_no_old_tls(self):
        args = ("-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0")
        self.assertIsNone(self.handshake(self.gateway.api, *args)[0])

    def attempt(self, source):
        def look():
            found = self.gateway.cli_json("device", "why", "--source", source).get("attempts", [])
            return found[0] if found else None
        return harness.wait_for(f"an attempt from {source}", look, 20)

    def plain(self, source, octets):
        with socket.create_connection(harness.split_address(self.gateway.cira), 20, source_address=(source, 0)) as raw:
            raw.settimeout(20)
            raw.sendall(octets)
            try:
                while raw.recv(4096):
                    pass
            except OSError:
                pass
        return self.attempt(source)

    def test_plain_http_is_explained(self):
        got = self.plain("127.3.0.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(got["stage"], "ATTEMPT_STAGE_TLS")
        self.assertRegex(got["detail"].lower(), "http|without tls|plain")

    def test_untrusting_client_is_explained(self):
        with self.assertRaises(ssl.SSLError):
            apf.Device(self.gateway.cira, ssl.create_default_context(), source="127.3.0.2")
        got = self.attempt("127.3.0.2")
        self.assertEqual(got["stage"], "ATTEMPT_STAGE_TLS")
        self.assertIn("unknown_ca", got["detail"])
        self.assertIn("root certificate", self.gateway.cli("device", "why", "--source", "127.3.0.2"))

    def commands(self, lines, *args):
        """openssl s_client that is given lines one after the other; everything it said."""
        command = ["openssl", "s_client", "-connect", self.gateway.cira, "-servername", "localhost", *args]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                for line in lines:
                    time.sleep(0.4)  # one read each: only the first letter of what it reads at once is a command
                    process.stdin.write(line.encode())
                    process.stdin.flush()
                return _until_eof(process, 20).decode(errors="replace")
            except (BrokenPipeError, subprocess.TimeoutExpired):
                process.kill()
                return process.communicate()[0].decode(errors="replace")

    def test_renegotiation_is_refused(self):
        said = self.commands(["R\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], "-tls1_2")
        self.assertIn("RENEGOTIATING", said)
        self.assertNotIn(PAGE, said)
        self.assertIn(PAGE, s_client(self.gateway.cira, "-tls1_2", request="GET / HTTP/1.0\r\n\r\n")[1])

    def test_new_keys_in_tls_1_3(self):
        said = self.commands(["K\n", "k\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], "-tls1_3")
        self.assertIn("KEYUPDATE", said)
        self.assertIn(PAGE, said)

    def test_silent_connections_end(self):
        begin = time.monotonic()
        with socket.create_connection(harness.split_address(self.gateway.cira), 20, source_address=("127.3.0.3", 0)) as raw:
            raw.settimeout(30)
            self.assertEqual(raw.recv(1), b"")
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn(self.attempt("127.3.0.3")["stage"], ("ATTEMPT_STAGE_TCP", "ATTEMPT_STAGE_TLS"))


if __name__ == "__main__":
    harness.main()
