# SPDX-License-Identifier: GPL-3.0-or-later
"""causeway top: on a real terminal (a pty), for scripts, through the loss of the server, and gone without a trace."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios

import harness

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """The program on a terminal of its own; collects what it writes."""

    def __init__(self, place, *args, env=None):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.size(80, 24)
        self.before = termios.tcgetattr(slave)
        self.text = b""
        self.process = subprocess.Popen([os.path.join(harness.BUILD, "causeway"), "--data", place.data, "top", *args],
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(env or {})},
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.2):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.text += os.read(self.master, 65536)
            except OSError:
                pass
        return self.text

    def expect(self, what, forget=False):
        """Waits for the text; forget: only what comes from now on counts."""
        start = len(self.text) if forget else 0
        harness.wait_for(what, lambda: what in self.read()[start:])

    def stopped(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    def type(self, keys):
        os.write(self.master, keys)

    def wait(self):
        harness.wait_for("the end of the program", lambda: self.read(0.1) is None or self.process.poll() is not None)
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return self.process.returncode

    def close(self):
        harness.end_process(self.process)
        os.close(self.master)
        os.close(self.slave)


class Top(harness.TestCase):
    def setUp(self):
        self.gw = self.place()
        self.gw.start()
        self.gw.group()
        self.gw.fleet(3)
        self.gw.wait_connected(3)

    def terminal(self, *args, **kwargs):
        t = Terminal(self.gw, "--interval", "200ms", *args, **kwargs)
        self.addCleanup(t.close)
        return t

    def assert_put_back(self, t):
        self.assertEqual(t.text.count(ENTER), t.text.count(LEAVE))
        self.assertGreater(t.text.rindex(LEAVE), t.text.rindex(ENTER))
        self.assertGreater(t.text.rindex(b"\x1b[?25h"), t.text.rindex(b"\x1b[?25l"))
        self.assertEqual(termios.tcgetattr(t.slave)[3], t.before[3], "echo and line editing are not put back")

    def test_live(self):
        t = self.terminal()
        t.expect(b"devices up")
        self.assertFalse(termios.tcgetattr(t.slave)[3] & termios.ECHO)
        t.expect(b"every 0.2 s   q quits")
        t.expect(b"\x1b[0;1mIN USE")
        t.type(b"?")
        t.expect(b"hold the screen", forget=True)
        t.type(b"?")
        t.expect(b"HAPPENING", forget=True)
        t.type(b" ")
        t.expect(b"held   every", forget=True)
        t.type(b" ")
        t.type(b"\x1b[A")  # an arrow: nothing happens
        t.expect(b"loop iteration", forget=True)
        t.size(40, 10)
        t.process.send_signal(signal.SIGWINCH)
        # Ten rows: nine line ends.
        harness.wait_for("a screen of ten rows", lambda: any(s.count(b"\r\n") == 9 for s in t.read().split(b"\x1b[H")))
        t.type(b"q")
        self.assertEqual(t.wait(), 0)
        self.assert_put_back(t)

    def test_ends(self):
        """However it ends, the terminal is as before."""
        for how, status in ((b"\x03", 130), (b"\x1c", 0), (signal.SIGTERM, 130), (signal.SIGHUP, 130), (signal.SIGABRT, -signal.SIGABRT)):
            t = self.terminal()
            t.expect(b"loop iteration")
            if isinstance(how, bytes):
                t.type(how)
            else:
                t.process.send_signal(how)
            self.assertEqual(t.wait(), status, how)
            self.assert_put_back(t)

    def test_stop(self):
        """Ctrl-Z gives the terminal back; fg takes it again."""
        t = self.terminal()
        t.expect(b"loop iteration")
        t.process.send_signal(signal.SIGTSTP)
        t.expect(LEAVE)
        self.assert_put_back(t)
        harness.wait_for("the stop", t.stopped)  # as a shell does: a SIGCONT that comes before it is lost
        t.process.send_signal(signal.SIGCONT)
        t.expect(b"loop iteration", forget=True)
        t.type(b"q")
        self.assertEqual(t.wait(), 0)

    def test_no_color(self):
        t = self.terminal(env={"NO_COLOR": "1"})
        t.expect(b"loop iteration")
        t.type(b"q")
        t.wait()
        self.assertNotIn(b"\x1b[0;", t.text)

    def test_lost_server(self):
        self.gw.stop()
        # Nothing to show yet: an error like any other, on the plain terminal.
        t = self.terminal()
        self.assertEqual(t.wait(), 6)
        self.assertNotIn(ENTER, t.text)
        self.gw.cira_listen, self.gw.api_listen = (f"127.0.0.1:{port}" for port in harness.free_ports(2))
        self.gw.start()
        t = self.terminal()
        t.expect(b"loop iteration")
        self.gw.stop()
        t.expect(b"trying again in", forget=True)
        self.gw.start()
        t.expect(b"every 0.2 s   q quits", forget=True)
        t.type(b"q")
        self.assertEqual(t.wait(), 0)
        self.assert_put_back(t)

    def test_scripts(self):
        text = self.gw.cli("top", "--once", "--interval", "200ms")
        self.assertRegex(text, r"(?m)^tunnels +3 +100,000 +0%")
        self.assertNotIn("\x1b", text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()))
        one = json.loads(self.gw.cli("top", "--once", "--json", "--interval", "200ms"))
        self.assertEqual(one["use"]["devices"], {"now": 3.0, "limit": 3.0})
        self.assertEqual(one["rates"]["accepted"]["total"], 3.0)
        self.assertGreater(one["times"]["loop_iteration"]["p99Seconds"], 0)
        follow = self.gw.cli_start("top", "--json", "--interval", "100ms")
        self.addCleanup(harness.end_process, follow)
        lines = [json.loads(follow.stdout.readline()) for _ in range(3)]
        follow.send_signal(signal.SIGINT)
        self.assertEqual(follow.wait(20), 130)
        self.assertLess(lines[0]["uptimeSeconds"], lines[2]["uptimeSeconds"])
        follow.stdout.close()
        follow.stderr.close()
        self.assertIn("100ms to 1h", self.gw.cli("top", "--interval", "1ms", expect=2))

    def test_access(self):
        """Viewers may; who is limited to groups may not, for it is about the whole server."""
        tokens = {}
        for name, more in (("all", ()), ("some", ("--group", "fleet"))):
            tokens[name] = self.gw.path(name + ".token")
            self.gw.cli("token", "create", "--role", "viewer", "--out", tokens[name], *more)
        self.gw.cli("top", "--once", "--interval", "100ms", "--token-file", tokens["all"])
        self.gw.cli("top", "--once", "--interval", "100ms", "--token-file", tokens["some"], expect=5)

    def test_api(self):
        names = ["causeway_tunnels", "causeway_cira_connect_seconds", "no_such_name"]
        found = self.gw.call("ServerService/GetStatistics", {"names": names})["statistics"]
        self.assertEqual({s["name"] for s in found}, set(names[:2]))
        tls = next(s for s in found if s.get("labels") == [{"key": "stage", "value": "tls"}])
        self.assertEqual(tls["kind"], "STATISTIC_KIND_HISTOGRAM")
        self.assertEqual(tls["histogram"]["count"], "3")
        everything = self.gw.call("ServerService/GetStatistics")["statistics"]
        self.assertGreater(len(everything), 150)
        with self.assertRaises(harness.ApiError) as refused:
            self.gw.call("ServerService/GetStatistics", {"names": ["x"] * 257})
        self.assertEqual(refused.exception.reason, "NAMES_INVALID")


if __name__ == "__main__":
    harness.main()
