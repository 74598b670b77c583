# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators see: the metrics are those that docs/METRICS.md names; a real Prometheus takes them, the alert rules and what the panels of
the dashboard ask. Grafana itself is not in Debian: of the dashboard the structure and every expression are checked."""
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
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


DASHBOARD = json.loads(read("packaging", "grafana", "causeway.json"))
RULES = os.path.join(harness.ROOT, "packaging", "prometheus", "causeway.rules.yml")
# What has nothing to show while nothing goes wrong.
MAY_BE_EMPTY = ("Sessions ended a second, by reason",)


def panels():
    return [p for p in DASHBOARD["panels"] if p["type"] != "row"]


class Files(harness.TestCase):
    def promtool(self, *args):
        folder = tools()
        if folder is None:
            self.skipTest("prometheus is not there: run make deps")
        done = subprocess.run([os.path.join(folder, "promtool"), *args], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_rules(self):
        self.assertIn("SUCCESS", self.promtool("check", "rules", RULES))
        self.assertIn("SUCCESS", self.promtool("test", "rules", RULES.replace(".rules.yml", ".rules.test.yml")))

    def test_example(self):
        self.promtool("check", "config", os.path.join(os.path.dirname(RULES), "prometheus.example.yml"))

    def test_alerts_are_explained(self):
        names = re.findall(r"^ +- alert: (\w+)$", read("packaging", "prometheus", "causeway.rules.yml"), re.M)
        self.assertGreater(len(names), 15)
        guide = read("docs", "OPERATIONS.md")
        self.assertEqual([n for n in names if f"### {n}\n" not in guide], [])
        self.assertEqual(set(re.findall(r"^### (Causeway\w+)$", guide, re.M)) - set(names), set(), "these alerts are not there any more")

    def test_dashboard(self):
        """The structure that Grafana wants, and a data source that can be chosen."""
        self.assertEqual({v["type"] for v in DASHBOARD["templating"]["list"]}, {"datasource", "query"})
        ids = [p["id"] for p in DASHBOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for p in DASHBOARD["panels"]:
            place = p["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertEqual(taken & cells, set(), p["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
        self.assertGreater(len(panels()), 25)
        for p in panels():
            self.assertEqual(p["datasource"]["uid"], "${datasource}", p["title"])
            self.assertTrue(p["title"] and p["description"] and p["fieldConfig"]["defaults"]["unit"], p)
            self.assertTrue(p["targets"] and all(t["expr"] and t["refId"] for t in p["targets"]), p["title"])

    def test_names(self):
        """Dashboard and rules speak of metrics that there are."""
        table = set(re.findall(r"^\| `([a-z0-9_]+)` \| (?:counter|gauge|histogram)", read("docs", "METRICS.md"), re.M))
        text = read("packaging", "prometheus", "causeway.rules.yml") + json.dumps(DASHBOARD)
        used = {re.sub(r"_(bucket|sum|count)$", "", n) for n in re.findall(r"\b((?:causeway|process)_[a-z_]+)\b(?=[{\[ \\)])", text)}
        self.assertGreater(len(used), 50)
        self.assertEqual(used - table, set())


class Prometheus(harness.TestCase):
    def setUp(self):
        folder = tools()
        if folder is None:
            self.skipTest("prometheus is not there: run make deps")
        self.gateway = busy_place(self)
        port = harness.free_ports(1)[0]
        config = self.gateway.file("prometheus.yml", f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{RULES}"]
scrape_configs:
  - job_name: causeway
    static_configs: [{{targets: ["{self.gateway.metrics}"]}}]
""")
        log = open(self.gateway.path("prometheus.log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        self.server = subprocess.Popen([os.path.join(folder, "prometheus"), "--config.file", config, "--log.level", "warn",
                                        "--storage.tsdb.path", self.gateway.path("tsdb"), "--web.listen-address", f"127.0.0.1:{port}"],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(harness.end_process, self.server)
        self.url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, what, **parameters):
        """The data of an answer; None while the server is starting; a wrong expression is an error."""
        try:
            with urllib.request.urlopen(f"{self.url}{what}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        except urllib.error.URLError:
            self.assertIsNone(self.server.poll(), "prometheus ended")
            return None

    def query(self, expression):
        return (self.ask("query", query=expression) or {}).get("result")

    def test_dashboard_and_rules(self):
        harness.wait_for("scrapes", lambda: self.query("count_over_time(causeway_tunnels[1m]) > 3"))
        for panel in panels():
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "30s").replace("$instance", ".*")
                found = self.query(expression)
                self.assertIsNotNone(found, expression)
                if panel["title"] not in MAY_BE_EMPTY:
                    self.assertGreater(len(found), 0, f"{panel['title']}: {expression}")
        for annotation in DASHBOARD["annotations"]["list"]:
            self.assertIsNotNone(self.query(annotation["expr"].replace("$instance", ".*")))
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                self.assertIn("causeway_tunnels", variable["query"]["query"])

        def rules():
            found = [r for g in (self.ask("rules") or {}).get("groups", []) for r in g["rules"]]
            return found if found and all(r["health"] != "unknown" for r in found) else None
        evaluated = harness.wait_for("evaluated rules", rules)
        self.assertGreater(len(evaluated), 15)
        self.assertEqual([(r["name"], r.get("lastError")) for r in evaluated if r["health"] != "ok"], [])
        # On a busy machine something may be slow for a moment: that is pending, and no alert yet.
        self.assertEqual([r["name"] for r in evaluated if r["state"] == "firing"], [], "alerts on a healthy gateway")
        # A gateway that goes away is noticed.
        self.gateway.stop()
        harness.wait_for("the alert of a gateway that is down",
                         lambda: [r for r in rules() or [] if r["name"] == "CausewayDown" and r["state"] != "inactive"])


if __name__ == "__main__":
    harness.main()
