# SPDX-License-Identifier: GPL-3.0-or-later
"""make run: holds its devices to the end, and the commands that it prints work as they are printed."""
import os
import re
import signal
import subprocess
import threading

import harness


class Run(harness.TestCase):
    def start(self, place, **env):
        process = subprocess.Popen(["tools/run.sh"], cwd=harness.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   env={**os.environ, "RUN_DIR": place.path("run"), "DEVICES": "5", **env})
        self.addCleanup(process.stdout.close)
        self.addCleanup(harness.end_process, process)
        lines = []
        threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
        harness.wait_for(f"the banner in {lines}",
                         lambda: process.poll() is not None or any("Ctrl-C" in line for line in lines))
        self.assertIsNone(process.poll(), "".join(lines))
        return process, lines

    def commands(self, lines):
        """The commands of the banner: indented lines from build/causeway or curl on, with their continuation."""
        text = "".join(lines).replace("\\\n", " ")
        found = re.findall(r"^  ((?:build/causeway|curl) .*)$", text, re.M)
        self.assertGreaterEqual(len(found), 5, text)
        return found

    def test_printed_commands(self):
        place = self.place()
        process, lines = self.start(place)
        for command in self.commands(lines):
            limit = ["timeout", "-s", "INT", "5"] if " watch" in command else []
            done = subprocess.run([*limit, "bash", "-c", "exec " + command], cwd=harness.ROOT, capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertIn(done.returncode, (0, 124, 130) if limit else (0,), command + "\n" + done.stdout + done.stderr)
            self.assertTrue(done.stdout.strip(), command)
        # Ctrl-C goes to the whole group of processes, as in a terminal.
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        self.assertFalse(os.path.exists(place.path("run/data/run.json")), "the gateway was not stopped cleanly")

    def test_run_seconds(self):
        place = self.place()
        process, lines = self.start(place, RUN_SECONDS="5")
        self.assertEqual(process.wait(90), 0, "".join(lines))
        harness.wait_for("the last line", lambda: any("5 of 5 devices held" in line for line in lines))


if __name__ == "__main__":
    if harness.BUILD != os.path.join(harness.ROOT, "build"):
        harness.skip("make run uses build/, this is another build")
    harness.main()
