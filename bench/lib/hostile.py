# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that mean no good, from addresses of their own: half-open, one octet a second, garbage, wrong passwords, renegotiation."""
import subprocess
import threading

from lib import shares

RENEGOTIATORS = 10
WAIT_S, PAUSE_S = 10, 0.5


class Renegotiator(threading.Thread):
    """Asks for a new handshake inside an established session (TLS 1.2), again and again. Counts how the server took it."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.ended = address, threading.Event()
        self.asked = self.granted = self.failed = 0
        self.start()

    def run(self):
        while not self.ended.wait(PAUSE_S):
            child = subprocess.Popen(shares.command(shares.MANY, ["openssl", "s_client", "-connect", self.address, "-tls1_2", "-servername", "localhost"]),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                child.stdin.write(b"R\n")  # s_client's word for a renegotiation
                child.stdin.flush()
                said, _ = child.communicate(timeout=WAIT_S)
                self.failed += b"RENEGOTIATING" not in said
                self.asked += b"RENEGOTIATING" in said
            except (subprocess.TimeoutExpired, BrokenPipeError):
                child.kill()
                said, _ = child.communicate()
                self.granted += b"RENEGOTIATING" in said  # neither refused nor closed
                self.failed += b"RENEGOTIATING" not in said  # its first handshake was still in line


class Hostile:
    """count clients, made but quiet before go(); renegotiators are beside them. end() stops all and says what they got."""

    def __init__(self, ctx, gateway, count):
        each = count // 4
        self.fleet = ctx.fleet(gateway, count, seed=666, net=66, nice=shares.MANY, extra=(
            "--hold", "--backoff-max", "4", "--profile", f"half-open:{each}", "--profile", f"drip:{each}", "--profile", f"garbage:{each}", "--profile", "intruder"))
        self.address, self.threads = gateway.cira, []
        try:
            self.fleet.made()
        except BaseException:
            self.fleet.end()
            raise

    def go(self):
        self.fleet.go()
        self.threads = [Renegotiator(self.address) for _ in range(RENEGOTIATORS)]

    def end(self):
        for t in self.threads:
            t.ended.set()
        for t in self.threads:
            t.join(2 * WAIT_S)
        self.fleet.end()
        report = dict(self.fleet.report)
        report["renegotiations"] = sum(t.asked for t in self.threads)
        report["renegotiations_unanswered"] = sum(t.granted for t in self.threads)
        report["renegotiators_refused"] = sum(t.failed for t in self.threads)
        return report
