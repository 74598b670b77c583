# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators see: the metrics are those that docs/METRICS.md names, and a real Prometheus takes them."""
import os
import re
import subprocess
import urllib.request

import harness


def read(*path):
    with open(os.path.join(harness.ROOT, *path), encoding="utf-8") as f:
        return f.read()


def tools():
    """The folder of prometheus and promtool, None without them."""
    done = subprocess.run([os.path.join(harness.ROOT, "tools", "prometheus.sh"), "--path"], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def scrape(place):
    with urllib.request.urlopen(f"http://{place.metrics}/metrics", timeout=30) as answer:
        return answer.read().decode()


def families(text):
    """What a page of metrics shows: name -> (type, labels, help)."""
    found, labels = {}, {}
    for line in filter(None, text.splitlines()):
        if m := re.match(r"# HELP (\S+) (.*)", line):
            found[m[1]] = [None, None, m[2]]
            labels[m[1]] = set()
        elif m := re.match(r"# TYPE (\S+) (\S+)", line):
            found[m[1]][0] = m[2]
        else:
            name, keys = re.match(r"([a-z0-9_]+)(?:\{(.*)\})? \S+$", line).groups()
            if name not in found:
                name = re.sub(r"_(bucket|sum|count)$", "", name)
            labels[name] |= set(re.findall(r'([a-z_]+)="', keys or "")) - {"le"}
    for name, keys in labels.items():
        found[name][1] = ", ".join(sorted(keys))
    return {name: tuple(value) for name, value in found.items()}


def busy_place(test):
    """A gateway that has seen devices, calls and failures."""
    place = test.place()
    place.start()
    place.group()
    place.fleet(3)
    connected = place.wait_connected(3)
    place.cli("power", "get", connected[0]["id"])
    place.cli("device", "show", "nothing-of-that-name", expect=3)
    return place


class Metrics(harness.TestCase):
    def test_table(self):
        """docs/METRICS.md and the daemon agree on every metric: name, type, labels, meaning."""
        shown = families(scrape(busy_place(self)))
        rows = re.findall(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \| ([a-z_, ]*) \| (.*) \|$", read("docs", "METRICS.md"), re.M)
        table = {name: (kind, labels.strip(), meaning) for name, kind, labels, meaning in rows}
        self.assertGreater(len(shown), 100)
        self.assertEqual(len(rows), len(table), "a metric stands in the table twice")
        lines = [f"| `{name}` | {' | '.join(value)} |" for name, value in shown.items() if table.get(name) != value]
        self.assertEqual(lines, [], "these lines are missing in docs/METRICS.md or differ")
        self.assertEqual(set(table) - set(shown), set(), "docs/METRICS.md has metrics that are not there")

    def test_limits(self):
        """Every metric that the table of limits names exists, and every limit that is shown stands in it or beside its use."""
        text = read("docs", "METRICS.md")
        shown = families(scrape(busy_place(self)))
        limits = text[text.index("## Limits"):]
        named = set(re.findall(r"`((?:causeway|process)_[a-z_]+)", limits))
        self.assertEqual(named - set(shown), set())
        for name in shown:
            if "_limit" in name:
                self.assertIn(name.replace("_limit", ""), set(shown) | {name.replace("_limit", "") for name in named}, name)

    def test_forms(self):
        """Units are base units, counters end in _total, and what is shown is what promtool accepts."""
        text = scrape(busy_place(self))
        for name, (kind, _, meaning) in families(text).items():
            self.assertEqual(kind == "counter", name.endswith("_total"), name)
            self.assertNotRegex(name, r"_(ms|us|milliseconds|kb|mb|percent)(_|$)", name)
            self.assertTrue(meaning.endswith("."), name)
            if kind == "histogram":
                self.assertTrue(name.endswith("_seconds"), name)
        folder = tools()
        if folder is None:
            self.skipTest("prometheus is not there: run make deps")
        done = subprocess.run([os.path.join(folder, "promtool"), "check", "metrics"], input=text, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    harness.main()
