# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay through a tunnel (`causeway tunnel open`): what goes in comes back, and while it is open, and only then, its tunnel's socket has
room and the gauges count it."""
import os
import subprocess
import threading

import harness

OCTETS = 3 << 20


class Relay(harness.TestCase):
    def setUp(self):
        self.at = self.place().start()
        self.at.group()
        self.at.fleet(1, "--stream", "echo")
        self.device = self.at.wait_connected(1)[0]["guid"]

    def open(self):
        process = subprocess.Popen([os.path.join(harness.BUILD, "causeway"), "--data", self.at.data, "tunnel", "open", self.device, "16994"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(harness.end_process, process)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        return process

    def series(self, *names):
        return [self.at.metric(name) for name in names]

    def test_echo_and_room(self):
        watched = ("causeway_relays", "causeway_socket_room_bytes")
        self.assertEqual(self.series(*watched), [0, 0])
        sent = os.urandom(4096) * (OCTETS // 4096)
        process = self.open()

        def write():
            process.stdin.write(sent)
            process.stdin.flush()
        writer = threading.Thread(target=write)
        writer.start()
        got = process.stdout.read(OCTETS)
        writer.join()
        self.assertTrue(got == sent, "what came back is not what went in")
        relays, room = self.series(*watched)
        self.assertEqual(relays, 1)
        self.assertGreater(room, 0)
        self.assertLessEqual(room, self.at.metric("causeway_socket_room_limit_bytes"))
        self.assertGreaterEqual(self.at.metric("causeway_api_streams"), 1)
        process.stdin.close()
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        harness.wait_for("the relay's end", lambda: self.series(*watched) == [0, 0])

    def test_room_goes_with_the_tunnel(self):
        process = self.open()
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.read(1), b"x")
        self.assertGreater(self.at.metric("causeway_socket_room_bytes"), 0)
        self.at.cli("tunnel", "disconnect", self.device)
        harness.wait_for("the room's end", lambda: self.at.metric("causeway_socket_room_bytes") == 0)


if __name__ == "__main__":
    harness.main()
