# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic behind the published figures (bench/lib), and a driver that says what broke and what was missed."""
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "bench"))

import driver  # noqa: E402
from lib import calls, context, figures, hostile, machine, meshcentral, network, pauses, processes, svg  # noqa: E402


class Arithmetic(unittest.TestCase):
    def test_median_and_spread(self):
        self.assertEqual(figures.median([3, 1, 2]), 2)
        self.assertEqual(figures.median([4, 1, 2, 3]), 2.5)
        self.assertEqual(figures.spread([2.0]), 0)
        self.assertAlmostEqual(figures.spread([9, 10, 12]), 0.3)
        self.assertEqual(figures.spread([0, 0]), 0)

    def test_percentile_is_the_nearest_rank(self):
        hundred = list(range(1, 101))
        self.assertEqual(figures.percentile(hundred, 50), 50)
        self.assertEqual(figures.percentile(hundred, 99), 99)
        self.assertEqual(figures.percentile(hundred, 100), 100)
        self.assertEqual(figures.percentile([7], 99), 7)
        self.assertEqual(figures.percentile([5, 1, 9], 0), 1)
        with self.assertRaises(ValueError):
            figures.percentile([], 50)

    def test_per_second_needs_time(self):
        self.assertEqual(figures.per_second(30, 1.0, 4.0), 10)
        with self.assertRaises(ValueError):
            figures.per_second(1, 2.0, 2.0)

    def test_verdict_of_the_value(self):
        for runs, verdict in (([5, 6, 7], figures.HOLDS), ([6, 6.1, 7], figures.MISSED)):
            self.assertEqual(figures.Figure("f", runs, "u", target=("<=", 6)).verdict, verdict)
        self.assertEqual(figures.Figure("f", [6], "u", better="higher", target=(">=", 6)).verdict, figures.HOLDS)
        self.assertEqual(figures.Figure("f", [5], "u", better="higher", target=(">=", 6)).verdict, figures.MISSED)
        self.assertEqual(figures.Figure("f", [0], "u", target=("==", 0)).verdict, figures.HOLDS)
        self.assertEqual(figures.Figure("f", [1], "u").verdict, figures.SHOWN)

    def test_verdict_of_the_ratio_takes_medians(self):
        f = figures.Figure("f", [1, 12, 100], "s", reference=("r", [5, 10, 900], "s"), target=("<=", 1.25), of="ratio")
        self.assertAlmostEqual(f.ratio, 1.2)
        self.assertEqual(f.verdict, figures.HOLDS)
        f = figures.Figure("f", [13], "s", reference=("r", [10], "s"), target=("<=", 1.25), of="ratio")
        self.assertEqual(f.verdict, figures.MISSED)

    def test_a_reference_of_zero_is_never_met(self):
        f = figures.Figure("f", [1], "s", reference=("r", [0], "s"), target=("<=", 1.25), of="ratio")
        self.assertIsNone(f.ratio)
        self.assertEqual(f.verdict, figures.MISSED)

    def test_what_makes_no_figure(self):
        for bad in ({"runs": []}, {"better": "up"}, {"of": "ratio"}, {"target": ("<", 1)}, {"reference": ("r", [], "u")}):
            with self.assertRaises(ValueError, msg=bad):
                figures.Figure(**{"name": "f", "runs": [1], "unit": "u", **bad})

    def test_json_has_every_run_and_the_reference(self):
        made = figures.Figure("f", [1, 2, 3], "s", reference=("r", [4], "s"), target=("<=", 1), of="ratio", note="why").as_json()
        self.assertEqual((made["runs"], made["median"], made["spread"], made["ratio"]), ([1, 2, 3], 2, 1, 0.5))
        self.assertEqual((made["target"], made["verdict"]), ({"of": "ratio", "is": "<= 1"}, "holds"))
        self.assertEqual(made["reference"]["runs"], [4])
        text = "\n".join(figures.table([made]))
        for word in ("f", "0.5", "ratio <= 1", "holds", "100%"):
            self.assertIn(word, text)


class Pauses(unittest.TestCase):
    """A pause of the machine is no call's fault."""

    def test_a_call_that_met_one_is_not_judged(self):
        lines = [(1.000, 1000, 200), (1.005, 90000, 200), (2.000, 3000, 503), (2.100, 1000, 200)]
        seen = calls.Samples(lines, [(1.01, 1.09), (2.101, 2.2)])
        self.assertEqual(seen.ms, [1.0, 3.0, 1.0])
        self.assertEqual(seen.all_ms, [1.0, 90.0, 3.0, 1.0])
        self.assertEqual(seen.failed, {503: 1})
        self.assertIn("1 more met a pause", str(seen))
        self.assertEqual(calls.Samples(lines).ms, calls.Samples(lines).all_ms)

    def test_pauses_of_two_processors_count_once(self):
        spans = [(1.0, 1.1), (1.05, 1.2), (3.0, 3.1), (0.0, 0.5)]
        self.assertAlmostEqual(pauses.seconds(spans, 0.4, 3.05), 0.1 + 0.2 + 0.05)
        self.assertEqual(pauses.seconds(spans, 5, 6), 0)


class Plots(unittest.TestCase):
    def test_marks_are_round_and_cover_the_range(self):
        self.assertEqual(svg.marks(0, 100, 5), [0, 20, 40, 60, 80, 100])
        for low, high in ((3, 97), (0.2, 0.9), (5, 5), (9999, 100001)):
            found = svg.marks(low, high)
            self.assertTrue(found[0] <= low and found[-1] >= high and len(found) >= 2, (low, high, found))

    def test_a_plot_is_xml_with_a_path_for_each_series(self):
        text = svg.line_plot("a < b", "x", "y", [("one", [(0, 1), (1, 2)]), ("two", [(0, 3), (1, None), (2, 5)])], [(0, 1, "span")])
        root = xml.etree.ElementTree.fromstring(text)
        paths = [e.get("d") for e in root.iter("{http://www.w3.org/2000/svg}path")]
        self.assertEqual([p.count("M") for p in paths], [1, 2])
        with self.assertRaises(ValueError):
            svg.line_plot("t", "x", "y", [("none", [])])


SCENARIO = '''"""A title

More."""
def run(ctx):
    ctx.extra["series"] = [1]
    f = [ctx.figure("calls", [9], "s", target=("<=", 3))]
    ctx.load_limited("calls", "it was slow")
    return f
'''


class Driver(unittest.TestCase):
    """main() over a folder of scenarios of ours."""

    def drive(self, scenarios, *args):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "scenarios"))
            for name, text in scenarios.items():
                with open(os.path.join(folder, "scenarios", name + ".py"), "w", encoding="utf-8") as f:
                    f.write(text)
            out = io.StringIO()
            with mock.patch.object(driver, "HERE", folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), \
                    mock.patch.object(sys, "argv", ["driver.py", "--out", folder, *args]):
                status = driver.main()
            with open(os.path.join(folder, "latest.json"), encoding="utf-8") as f:
                return status, json.load(f), out.getvalue()

    def test_a_missed_target_is_said_and_fails_only_if_strict(self):
        status, latest, out = self.drive({"one": SCENARIO})
        self.assertEqual(status, 0)
        self.assertIn("missed: one: calls", out)
        one = latest["scenarios"][0]
        self.assertEqual((one["title"], one["extra"], one["figures"][0]["load_limited"]), ("A title", {"series": [1]}, "it was slow"))
        for key in ("machine", "kernel", "commit", "date"):
            self.assertIn(key, latest)
        self.assertEqual(self.drive({"one": SCENARIO}, "--strict")[0], 1)
        status, _, out = self.drive({"one": SCENARIO}, "--counts")
        self.assertEqual((status, out.splitlines()[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_a_broken_scenario_fails_and_the_others_still_run(self):
        status, latest, out = self.drive({"a": "def run(ctx): raise RuntimeError('no luck')", "b": SCENARIO})
        self.assertEqual(status, 1)
        self.assertIn("broke: a", out)
        self.assertEqual([("error" in s) for s in latest["scenarios"]], [True, False])

    def test_a_scenario_has_a_network_of_its_own_where_it_may(self):
        def here():
            return os.readlink("/proc/thread-self/ns/net")
        look = """import os, subprocess
def run(ctx):
    ctx.extra["here"] = os.readlink("/proc/thread-self/ns/net")
    ctx.extra["child"] = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True).stdout.strip()
    return []
"""
        home = here()
        _, latest, _ = self.drive({"own": look, "shared": "MACHINE_NETWORK = True\n" + look})
        own, shared = latest["scenarios"]
        self.assertEqual(here(), home)
        self.assertEqual((shared["network"]["own"], shared["extra"]["here"]), (False, home))
        self.assertEqual(own["extra"]["child"], own["extra"]["here"])
        may = subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.assertEqual((own["network"]["own"], own["extra"]["here"] != home), (may, may))
        if may:
            wanted, refused = network.recommended(), own["network"]["refused"]
            for key, value in own["network"]["settings"].items():
                if key in wanted and key not in refused:
                    self.assertEqual(value, wanted[key], key)
            self.assertNotIn("net.core.somaxconn", refused)

    def test_which_scenarios_run(self):
        every = {"plain": SCENARIO, "quick": "QUICK = True\n" + SCENARIO, "long": "DEFAULT = False\n" + SCENARIO}
        for args, ran in (((), ["plain", "quick"]), (("--quick",), ["quick"]), (("--only", "long,plain"), ["long", "plain"]),
                          (("--skip", "plain"), ["quick"])):
            self.assertEqual([s["scenario"] for s in self.drive(every, *args)[1]["scenarios"]], ran, args)
        with self.assertRaises(SystemExit):
            self.drive(every, "--only", "unknown")


class Held(unittest.TestCase):
    """causeway-fleet --hold: everything is made, and nothing dials before go."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.program = folder.name, os.path.join(harness.BUILD, "causeway-fleet")

    def test_go_on_standard_input(self):
        secret = os.path.join(self.folder, "password")
        with open(secret, "w", encoding="ascii") as f:
            f.write("Some-Pass-1")
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = [self.program, "--connect", f"127.0.0.1:{server.getsockname()[1]}", "--user", "u", "--password-file", secret, "--count", "3", "--hold"]
            self.assertEqual(subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode, 2, "nobody could say go")
            with subprocess.Popen([*command, "--control", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as fleet:
                def order(line):
                    fleet.stdin.write(line + "\n")
                    fleet.stdin.flush()
                    return fleet.stdout.readline().strip()
                self.assertIn("devices 3 ready_now 0 connects 0 ", order("stats"))
                server.settimeout(0.5)
                self.assertRaises(TimeoutError, server.accept)
                self.assertEqual(order("go"), "ok")
                server.settimeout(30)
                for _ in range(3):
                    server.accept()[0].close()
                self.assertTrue(order("go").startswith("error"), "twice")
                self.assertEqual(order("quit"), "ok")
                self.assertEqual(fleet.wait(30), 1, "none was held")

    def test_what_is_made_before_is_not_made_while_they_dial(self):
        """Page faults of the load source from go until all are in, beside one that dials as it starts."""
        def faults(fleet):
            return int(machine.read(f"/proc/{fleet.pid}/stat").rpartition(")")[2].split()[7])
        count, ctx = 400, context.Context("held", harness.BUILD, self.folder)
        with ctx.gateway() as gateway:
            with ctx.fleet(gateway, count, extra=("--hold",)) as fleet:
                fleet.made()
                before = faults(fleet)
                self.assertEqual((fleet.stats()["connects"], gateway.metric("causeway_tunnels")), (0, 0))
                fleet.go()
                self.assertRaisesRegex(processes.Broken, "dial already", fleet.go)
                fleet.wait_ready()
                held = faults(fleet) - before
            with ctx.fleet(gateway, count) as fleet:
                fleet.wait_ready()
                at_once = faults(fleet)
        self.assertLess(held, count)
        self.assertGreater(at_once, 2 * held)


class Hostile(unittest.TestCase):
    def test_who_never_got_a_session_has_not_asked_for_another(self):
        with socket.create_server(("127.0.0.1", 0)) as server, mock.patch.object(hostile, "WAIT_S", 1), mock.patch.object(hostile, "PAUSE_S", 0):
            one = hostile.Renegotiator(f"127.0.0.1:{server.getsockname()[1]}")
            server.settimeout(30)
            silent, _ = server.accept()  # connected, and nothing ever comes
            one.ended.set()
            one.join(30)
            silent.close()
        self.assertEqual((one.asked, one.granted, one.failed), (0, 0, 1))


class Peers(unittest.TestCase):
    """make bench-peers without its peer."""

    def test_both_sides_stand_in_every_figure(self):
        peers, ctx = driver.load("peers"), context.Context("peers", "build", "/nonexistent")
        us, them = (peers.Side(name, None) for name in ("us", "them"))
        for side, factor in ((us, 1), (them, 4)):
            side.cpu = {"first": [1.0 * factor], "again": [0.5 * factor]}
            side.rate = {"first": [100.0], "again": [100.0]}
            side.load, side.memory, side.keepalive, side.lost = [(9.5, 10.0)], 10 * factor, factor, 0
        made = peers.figures(ctx, us, them, 10)
        ctx.apply_limits(made)
        self.assertEqual({round(f.ratio, 3) for f in made if f.better == "lower"}, {0.25})
        self.assertTrue(all(meshcentral.VERSION in f.reference[0] for f in made))
        self.assertEqual([f.name for f in made if f.load_limited], ["rate, again", "rate, first"])

    def test_what_would_make_it_fetch_more_is_kept_away(self):
        with mock.patch.dict(os.environ, {"HTTPS_PROXY": "x", "http_proxy": "x", "NODE_OPTIONS": "x", "PATH": "/bin"}):
            seen = subprocess.run(meshcentral.in_environment(["env"]), capture_output=True, text=True, check=True).stdout
            self.assertNotIn("proxy", seen.lower())
            self.assertNotIn("NODE_OPTIONS", seen)
            self.assertIn("PATH=/bin\n", seen)

    def test_an_install_that_fails_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            npm = os.path.join(folder, "npm")
            with open(npm, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\necho 'no such package' >&2\nexit 1\n")
            os.chmod(npm, 0o755)
            os.symlink(npm, os.path.join(folder, "node"))
            with mock.patch.dict(os.environ, {"PATH": folder + ":" + os.environ["PATH"]}), self.assertRaisesRegex(processes.Broken, "no such package"):
                meshcentral.install(os.path.join(folder, "installed"), print)


if __name__ == "__main__":
    unittest.main(verbosity=2)
