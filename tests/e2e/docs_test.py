# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written has to be true: man pages name every command, option and key; the README's commands work as printed; an
installation has everything in place."""
import os
import re
import shutil
import subprocess
import tempfile

import harness

MAN = os.path.join(harness.ROOT, "packaging", "man")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def output(program, *args):
    return subprocess.run([os.path.join(harness.BUILD, program), *args], capture_output=True, text=True, timeout=30, check=True).stdout


def options_of(text):
    """The long options that a help text explains: those that begin a line."""
    return {"--" + m for m in re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)", text, re.M)}


def options_in(page):
    """The long options that a man page explains: .It Fl -name, or .It Fl n , Fl -name."""
    return {"--" + name for name in re.findall(r"^\.It (?:Fl \w , )?Fl -([a-z0-9-]+)", read(os.path.join(MAN, page)), re.M)}


class Man(harness.TestCase):
    def commands(self):
        section = output("causeway", "--help").split("Commands:\n")[1].split("\nOptions")[0]
        usages = [re.split(r"  +", line.strip())[0] for line in section.splitlines() if line.strip()]
        return [[w for w in usage.split() if w.islower()] for usage in usages]

    def test_commands(self):
        page = read(os.path.join(MAN, "causeway.1"))
        commands = self.commands()
        self.assertGreater(len(commands), 40)
        missing = [" ".join(c) for c in commands if not re.search(rf"^\.It Ic {' '.join(c)}( |$)", page, re.M)]
        self.assertEqual(missing, [])
        named = set(re.findall(r"^\.It Ic ([a-z -]+?)(?= [AO][rp]|$)", page, re.M))
        self.assertEqual(named - {" ".join(c) for c in commands}, set(), "these commands are not there any more")

    def test_options(self):
        known = options_in("causeway.1")
        wanted = options_of(output("causeway", "--help").split("Options (of")[1])
        for command in self.commands():
            wanted |= options_of(output("causeway", *command, "--help"))
        self.assertEqual(wanted - known, set())
        self.assertEqual(known - wanted, set(), "these options are not there any more")

    def test_daemon_and_fleet(self):
        for program, page in (("causewayd", "causewayd.8"), ("causeway-fleet", "causeway-fleet.1")):
            wanted = options_of(output(program, "--help")) - {"--help"}
            self.assertGreater(len(wanted), 4, program)
            self.assertEqual(wanted - options_in(page), set(), page)

    def test_keys(self):
        page = read(os.path.join(MAN, "causewayd.yaml.5"))
        section, keys = "", []
        for line in output("causewayd", "--print-config").splitlines():
            if re.fullmatch(r"[a-z_]+:", line):
                section = line[:-1] + "."
            elif m := re.match(r"#([a-z_]+):", line):
                keys.append(m[1])
            elif m := re.match(r"  #([a-z_]+):", line):
                keys.append(section + m[1])
        self.assertGreater(len(keys), 25)
        self.assertEqual([k for k in keys if not re.search(rf"^\.It Cm {re.escape(k)} ", page, re.M)], [])
        named = re.findall(r"^\.It Cm ([a-z_]+\.[a-z_]+|workers|drain_timeout) ", page, re.M)
        self.assertEqual(set(named) - set(keys), set(), "these keys are not there any more")

    def test_form(self):
        pages = [os.path.join(MAN, name) for name in sorted(os.listdir(MAN))]
        self.assertEqual(len(pages), 4)
        if shutil.which("mandoc"):
            command = ["mandoc", "-T", "lint", "-W", "warning"]
        elif shutil.which("groff"):
            command = ["groff", "-mandoc", "-ww", "-Tutf8", "-z"]
        else:
            self.skipTest("neither mandoc nor groff is installed")
        for page in pages:
            done = subprocess.run([*command, page], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.stdout + done.stderr, "", page)


class Install(harness.TestCase):
    FILES = """usr/bin/causewayd usr/bin/causeway usr/bin/causeway-fleet
        usr/share/man/man8/causewayd.8 usr/share/man/man1/causeway.1 usr/share/man/man1/causeway-fleet.1
        usr/share/man/man5/causewayd.yaml.5 usr/lib/systemd/system/causewayd.service usr/lib/sysusers.d/causeway.conf
        usr/lib/sysctl.d/60-causeway.conf usr/share/bash-completion/completions/causeway
        usr/share/zsh/site-functions/_causeway usr/share/fish/vendor_completions.d/causeway.fish
        usr/share/doc/causeway/README.md usr/share/doc/causeway/CHANGELOG.md usr/share/doc/causeway/LICENSE
        usr/share/doc/causeway/ARCHITECTURE.md usr/share/doc/causeway/METRICS.md usr/share/doc/causeway/OPERATIONS.md
        usr/share/causeway/grafana/causeway.json usr/share/causeway/prometheus/causeway.rules.yml
        usr/share/causeway/prometheus/prometheus.example.yml etc/causeway/causeway.yaml""".split()

    def setUp(self):
        self.dest = tempfile.mkdtemp(prefix="causeway-install-")
        self.addCleanup(shutil.rmtree, self.dest, ignore_errors=True)

    def make_install(self):
        # An inherited MAKEFLAGS would name a job server that is not ours.
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", "install", "B=" + os.path.relpath(harness.BUILD, harness.ROOT), "DESTDIR=" + self.dest, "PREFIX=/usr"],
                              cwd=harness.ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_files(self):
        self.make_install()
        found = [os.path.relpath(os.path.join(d, name), self.dest) for d, _, names in os.walk(self.dest) for name in names]
        self.assertEqual(sorted(found), sorted(self.FILES))
        for program in ("causewayd", "causeway", "causeway-fleet"):
            done = subprocess.run([os.path.join(self.dest, "usr/bin", program), "--help"], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        # The configuration belongs to whoever changed it.
        config = os.path.join(self.dest, "etc/causeway/causeway.yaml")
        with open(config, "a", encoding="utf-8") as f:
            f.write("# mine\n")
        self.make_install()
        self.assertTrue(read(config).endswith("# mine\n"))

    def test_config(self):
        """The installed configuration is one that the daemon takes."""
        done = subprocess.run([os.path.join(harness.BUILD, "causewayd"), "--check", "--data", self.dest,
                               "--config", os.path.join(harness.ROOT, "packaging", "causeway.yaml")],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_unit(self):
        unit = read(os.path.join(harness.ROOT, "packaging/systemd/causewayd.service"))
        for line in ("Type=notify", "ProtectSystem=strict", "User=causeway", "NoNewPrivileges=yes", "LimitNOFILE=1048576"):
            self.assertIn(line + "\n", unit)
        self.assertRegex(unit, r"SystemCallFilter=.*io_uring_setup io_uring_enter io_uring_register")
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed")
        # It checks that the programs exist: name the built ones.
        path = os.path.join(self.dest, "causewayd.service")
        with open(path, "w", encoding="utf-8") as f:
            f.write(unit.replace("@BINDIR@", harness.BUILD))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60, check=False)
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "causewayd.service" in line]
        self.assertEqual(ours, [])


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


class Readme(harness.TestCase):
    def setUp(self):
        self.text = read(os.path.join(harness.ROOT, "README.md"))

    def test_commands(self):
        """All sh blocks, in order, in one shell, in a folder that looks like a checkout in which make run runs."""
        place = self.place()
        place.start()
        place.group("demo")
        place.fleet(3)
        place.wait_connected(3)
        # The power state and the facts are there soon after.
        harness.wait_for("facts", lambda: all(d.get("amtVersion") for d in place.devices()))
        tree = place.path("tree")
        os.makedirs(os.path.join(tree, "build", "run"))
        for program in ("causewayd", "causeway", "causeway-fleet"):
            os.symlink(os.path.join(harness.BUILD, program), os.path.join(tree, "build", program))
        os.symlink(place.data, os.path.join(tree, "build", "run", "data"))
        script = "\n".join(blocks(self.text, "sh"))
        self.assertGreater(len(script.splitlines()), 25)
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("CAUSEWAY_")}
        done = subprocess.run(["bash", "-euxo", "pipefail"], input=script, cwd=tree, env=env, capture_output=True, text=True,
                              timeout=harness.PATIENCE * 3, check=False)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{place.log()[-2000:]}")
        self.assertIn('"powerState":"POWER_STATE_', done.stdout.replace(" ", ""))

    def test_configuration(self):
        place = self.place()
        for i, block in enumerate(blocks(self.text, "yaml")):
            config = place.file(f"{i}.yaml", block)
            done = subprocess.run([os.path.join(harness.BUILD, "causewayd"), "--check", "--config", config, "--data", place.data],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_targets_and_links(self):
        makefile = read(os.path.join(harness.ROOT, "Makefile"))
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md", "docs/OPERATIONS.md", "docs/METRICS.md"):
            text = read(os.path.join(harness.ROOT, name))
            for target in re.findall(r"(?:`|^|sudo )make ([a-z][a-z-]*)", text, re.M):
                self.assertRegex(makefile, rf"(?m)^{target}:", name)
            for link in re.findall(r"\]\(([^)#:]+)\)", text):
                self.assertTrue(os.path.exists(os.path.join(harness.ROOT, os.path.dirname(name), link)), f"{name}: {link}")


if __name__ == "__main__":
    harness.main()
