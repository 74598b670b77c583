# SPDX-License-Identifier: GPL-3.0-or-later
"""causeway debug: the stages of calls, calls under way, what tunnels hold, loops; who may ask; and the static probes."""
import os
import re
import shutil
import subprocess
import unittest

import harness

STAGES = ["queue", "channel", "tls", "send", "device", "answer"]
SDT = ("/usr/include/sys/sdt.h", f"/usr/include/{os.uname().machine}-linux-gnu/sys/sdt.h")


class Debug(harness.TestCase):
    def start(self, *options, count=1, amt=True):
        place = self.place().start()
        place.group(amt=amt)
        place.fleet(count, *options)
        return place, [d["guid"] for d in place.wait_connected(count)]

    def profile(self, place):
        return {s["stage"]: {k: int(v) for k, v in s["timing"].items()} for s in place.cli_json("debug", "calls")["stages"]}

    def test_every_stage_of_a_call_is_counted(self):
        place, guids = self.start("--profile", "tls-only")
        for _ in range(3):
            place.cli("wsman", "get", guids[0], "AMT_GeneralSettings")
        found = self.profile(place)
        self.assertEqual(list(found), STAGES)
        for stage in ("queue", "send", "device", "answer"):
            self.assertGreaterEqual(found[stage]["count"], 3, stage)
        for stage in STAGES:
            self.assertGreaterEqual(found[stage]["count"], 1, stage)
            self.assertLessEqual(found[stage]["p50Us"], found[stage]["p99Us"])
        whole = place.cli_json("debug", "calls")
        self.assertAlmostEqual(sum(s["share"] for s in whole["stages"]), 1, places=3)
        text = place.cli("debug", "calls")
        for word in (*STAGES, "whole call", "P99"):
            self.assertIn(word, text)

    def test_a_call_under_way_is_seen_where_it_waits(self):
        place, guids = self.start("--delay", "3000", amt=False)
        place.cli("device", "credentials", "set", guids[0], "--user", "admin", "--password-file", place.amt_password_file)
        calls = [place.cli_start("wsman", "get", guids[0], "AMT_GeneralSettings") for _ in range(2)]

        def both():
            seen = place.cli_json("debug", "operations")["calls"]
            return seen if {c["stage"] for c in seen} >= {"device", "queue"} else None
        seen = harness.wait_for("a call at the device and one that waits for it", both, 60)
        for call in seen:
            self.assertEqual(call["device"], guids[0])
        self.assertIn(("get", "AMT_GeneralSettings"), {(c["operation"], c["className"]) for c in seen})
        self.assertEqual(len(place.cli_json("debug", "operations", "--limit", "1")["calls"]), 1)
        self.assertIn("AMT_GeneralSettings", place.cli("debug", "operations"))
        tunnel = place.cli_json("debug", "tunnels")["tunnels"][0]
        self.assertEqual((tunnel["device"], tunnel["channels"]), (guids[0], 1))
        for call in calls:
            call.communicate(timeout=60)
        harness.wait_for("no call", lambda: not place.cli_json("debug", "operations")["calls"], 60)

    def test_tunnels_and_loops(self):
        place, guids = self.start(count=5)
        tunnels = place.cli_json("debug", "tunnels")["tunnels"]
        self.assertEqual(sorted(t["device"] for t in tunnels), sorted(guids))
        for t in tunnels:
            self.assertEqual(int(t["totalBytes"]), sum(int(t[k]) for k in ("sendBytes", "receiveBytes", "sessionBytes", "channelBytes")))
        self.assertEqual(len(place.cli_json("debug", "tunnels", "--limit", "2")["tunnels"]), 2)
        loops = place.cli_json("debug", "loops")["loops"]
        self.assertEqual([loop["worker"] for loop in loops], list(range(len(loops))))
        self.assertGreaterEqual(sum(int(loop["connections"]) for loop in loops), 5)
        for loop in loops:
            self.assertGreater(int(loop["iterations"]["count"]), 0)
        self.assertIn("DELAY", place.cli("debug", "loops"))

    def test_only_administrators_of_all_groups_may_ask(self):
        place, _ = self.start()
        for role, groups in (("operator", []), ("administrator", ["--group", "fleet"])):
            token = place.cli("token", "create", "--role", role, *groups).strip()
            with self.subTest(role=role):
                for method in ("GetCallProfile", "ListRunningCalls", "ListTunnelMemory", "GetLoops"):
                    with self.assertRaises(harness.ApiError) as refused:
                        place.call(f"DebugService/{method}", token=token)
                    self.assertEqual(refused.exception.code, "permission_denied")


class Probes(unittest.TestCase):
    @unittest.skipUnless(any(map(os.path.exists, SDT)) and shutil.which("readelf"), "no <sys/sdt.h> or readelf")
    def test_they_are_those_of_the_docs(self):
        notes = subprocess.run(["readelf", "-n", os.path.join(harness.BUILD, "causewayd")], capture_output=True, text=True, check=True).stdout
        built = set(re.findall(r"Provider: causeway\s+Name: (\w+)", notes))
        if not built:
            self.skipTest("built without <sys/sdt.h>")
        with open(os.path.join(harness.ROOT, "docs", "PROBES.md"), encoding="utf-8") as f:
            told = set(re.findall(r"^\| `(\w+)` \|", f.read(), re.M))
        self.assertEqual(built, told)


if __name__ == "__main__":
    harness.main()
