# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around the daemon: io_uring blocked, a full disk, broken files, wrong settings, ports and folders in use."""
import os
import re
import shutil
import socket
import subprocess
import sys
import unittest

import apf_client as apf
import harness

HERE = os.path.dirname(os.path.abspath(__file__))
DAEMON = os.path.join(harness.BUILD, "causewayd")
ATTENTION = 78


def run(*args, prefix=(), seconds=60):
    done = subprocess.run([*prefix, DAEMON, *args], capture_output=True, text=True, timeout=seconds, check=False)
    return done.returncode, done.stdout + done.stderr


def mounts_work():
    """Whether a tmpfs can be mounted in a mount namespace of our own."""
    return os.geteuid() == 0 and shutil.which("unshare") is not None and subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"], capture_output=True, check=False).returncode == 0


class Blocked(harness.TestCase):
    def test_io_uring_blocked_by_seccomp(self):
        place = self.place()
        config = place.file("causeway.yaml", place.config_text())
        for error in ("EPERM", "ENOSYS"):
            status, said = run("--config", config, "--data", place.data,
                               prefix=(sys.executable, os.path.join(HERE, "no_uring.py"), error))
            self.assertEqual(status, ATTENTION, said)
            self.assertIn("io_uring", said)
            self.assertRegex(said, "(?i)seccomp|container|filter" if error == "EPERM" else "(?i)kernel|seccomp|container")
        self.assertFalse(os.path.exists(os.path.join(place.data, "run.json")))

    def test_check_says_it_too(self):
        place = self.place()
        config = place.file("causeway.yaml", place.config_text())
        status, said = run("--config", config, "--data", place.data, "--check",
                           prefix=(sys.executable, os.path.join(HERE, "no_uring.py"), "EPERM"))
        self.assertEqual(status, ATTENTION, said)
        self.assertIn("io_uring", said)

    def test_simulator_and_command_line_do_not_crash_either(self):
        prefix = (sys.executable, os.path.join(HERE, "no_uring.py"), "EPERM")
        done = subprocess.run([*prefix, os.path.join(harness.BUILD, "causeway-fleet"), "--connect", "127.0.0.1:1", "--user", "u",
                               "--password-file", self.place().cira_password_file, "--duration", "1"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertGreater(done.returncode, 0, "killed by a signal")
        self.assertIn("io_uring", done.stderr)


class Settings(harness.TestCase):
    def refused(self, text, *wanted):
        place = self.place()
        config = place.file("causeway.yaml", text)
        for extra in ((), ("--check",)):
            status, said = run("--config", config, "--data", place.data, *extra)
            self.assertEqual(status, ATTENTION, said)
            for one in wanted:
                self.assertIn(one, said)

    def test_unknown_key_and_wrong_type_with_line_and_column(self):
        self.refused("cira:\n  listen: [\"127.0.0.1:0\"]\n  lisen: 1\n", ":3:3:", "lisen")
        self.refused("api:\n  max_connections: many\n", ":2:20:", "max_connections")
        self.refused("workers: -1\n", ":1:10:")
        self.refused("cira:\n  profile: ancient\n", ":2:12:", "modern")
        self.refused("cira: [\n", ":2:")

    def test_several_errors_at_once(self):
        self.refused("nonsense: 1\nmore: 2\n", ":1:1:", ":2:1:")

    def test_file_that_is_not_there(self):
        place = self.place()
        status, said = run("--config", place.path("nowhere.yaml"), "--data", place.data)
        self.assertEqual(status, ATTENTION, said)
        self.assertIn("nowhere.yaml", said)

    def test_data_folder_that_is_not_there(self):
        place = self.place()
        config = place.file("causeway.yaml", place.config_text())
        status, said = run("--config", config, "--data", place.path("no/such/folder"))
        self.assertEqual(status, ATTENTION, said)
        self.assertIn("no/such/folder", said)

    def test_usage(self):
        self.assertEqual(run("--nonsense")[0], 2)
        self.assertEqual(run("--help")[0], 0)
        self.assertEqual(run("--version")[0], 0)

    def test_print_config_can_be_read_back(self):
        status, text = run("--print-config")
        self.assertEqual(status, 0)
        place = self.place()
        config = place.file("printed.yaml", text)
        place.start()
        place.stop()
        status, said = run("--config", config, "--data", place.data, "--check")
        self.assertEqual(status, 0, said)

    def test_check_of_a_good_place(self):
        place = self.place().start()
        place.group()
        self.assertEqual(place.stop(), 0)
        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data, "--check")
        self.assertEqual(status, 0, said)
        for name in ("nofile", "net.core.somaxconn", "socket_buffer", "memory"):
            self.assertIn(f"limit: {name} ", said)

    def test_low_limits_are_named_with_their_command(self):
        place = self.place(cira="max_tunnels: 4000000")
        config = place.file("causeway.yaml", place.config_text())
        place.start()
        self.assertRegex(place.log(), "event=limit_low limit=nofile .*LimitNOFILE=400")
        self.assertEqual(place.stop(), 0)
        status, said = run("--config", config, "--data", place.data, "--check")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, "limit: nofile is too low: .*ulimit -n 400")
        self.assertRegex(said, "every record can be read")

    def test_more_tunnels_than_descriptors_in_a_table(self):
        """Workers take tables of their own when one is too small: 500 tunnels where a process may have 350 descriptors."""
        place = self.place("workers: 3\n", cira="max_tunnels: 900", api="max_connections: 50")
        place.start(prefix=("sh", "-c", 'ulimit -n 350 && exec "$@"', "sh"))
        place.group()
        place.fleet(500, "--rate", "200", "--source-addresses", "50", seed=91)
        guids = [d["guid"] for d in place.wait_connected(500)]
        self.assertGreater(place.metric("process_open_fds"), 500)
        self.assertEqual(place.metric("process_max_fds"), 3 * 350)
        for guid in guids[::50]:
            place.cli("power", "get", guid)
        self.assertEqual(place.stop(), 0)

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for key in ("cira_listen", "api_listen"):
                place = self.place()
                setattr(place, key, f"127.0.0.1:{port}")
                place.start(expect_running=False)
                self.assertNotEqual(place.daemon.wait(60), 0)
                self.assertIn(str(port), place.log())
                self.assertRegex(place.log(), "(?i)in use|another program")
                self.assertFalse(os.path.exists(os.path.join(place.data, "run.json")))

    def test_second_daemon_on_the_same_folder(self):
        place = self.place().start()
        place.group()
        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data)
        self.assertEqual(status, ATTENTION, said)
        self.assertRegex(said, "(?i)in use|another|running|locked")
        self.assertEqual(place.run_json()["pid"], place.daemon.pid)
        place.cli("group", "show", "fleet")


class Files(harness.TestCase):
    def filled(self):
        place = self.place().start()
        place.group()
        with apf.Device(place.cira) as device:
            for _ in range(20):
                guid = harness.new_guid()
                with apf.Device(place.cira) as device:
                    self.assertTrue(device.login(guid, harness.CIRA_USER, harness.CIRA_PASSWORD))
        self.assertEqual(place.stop(), 0)
        return place

    @staticmethod
    def database(place):
        names = [os.path.join(folder, n) for folder, _, files in os.walk(place.data) for n in files if n.endswith(".mdb") and "lock" not in n]
        return max(names, key=os.path.getsize)

    def refuses(self, place, wanted):
        for extra in ((), ("--check",)):
            status, said = run("--config", place.path("causeway.yaml"), "--data", place.data, *extra)
            self.assertEqual(status, ATTENTION, said)
            self.assertRegex(said, wanted)
            self.assertIn("restore", said)

    def test_truncated_database(self):
        place = self.filled()
        path = self.database(place)
        with open(path, "rb") as f:
            whole = f.read()
        for size in (len(whole) // 2, 8192, 5000, 100, 0):
            with open(path, "wb") as f:
                f.write(whole[:size])
            self.refuses(place, "(?i)cut off|damaged|destroyed|empty")
            self.assertEqual(os.path.getsize(path), size, "a refused file must stay as it was")
        with open(path, "wb") as f:
            f.write(whole)
        place.start()
        self.assertEqual(len(place.devices()), 20)

    def broken_while_running(self, breaks):
        """breaks(path of the database) under a daemon with tunnels: they stay, nothing is acknowledged any more, and it says why."""
        place = self.place().start()
        place.group()
        place.fleet(3, seed=77)
        guids = [d["guid"] for d in place.wait_connected(3)]
        connects = {d["guid"]: d["connects"] for d in place.devices(True)}
        breaks(self.database(place))
        for _ in range(2):
            said = place.cli("group", "create", "late", "--cira-user", "late", "--cira-password-file", place.cira_password_file,
                             "--enroll", "hold", expect=None)
            self.assertNotEqual(said.returncode, 0)
            self.assertRegex(said.stderr, "(?i)damaged")
        for guid in guids:
            self.assertEqual(place.call("PowerService/GetPowerState", {"device": guid})["powerState"], "POWER_STATE_ON")
        with apf.Device(place.cira) as stranger:  # it cannot be stored
            self.assertFalse(stranger.login(harness.new_guid(), harness.CIRA_USER, harness.CIRA_PASSWORD))
        self.assertRegex(place.call("ServerService/GetStatus")["storeProblem"], "(?i)damaged")
        self.assertEqual({d["guid"]: d["connects"] for d in place.devices(True)}, connects, "tunnels were lost")
        self.assertRegex(place.log(), "event=store_broken .*restore a backup")
        self.assertEqual(place.stop(), 0)
        return place

    def test_truncated_while_running(self):
        for size in (8192, 0):
            with self.subTest(size=size):
                place = self.broken_while_running(lambda path, size=size: os.truncate(path, size))
                self.assertEqual(os.path.getsize(self.database(place)), size, "a broken file must stay as it was")
                self.refuses(place, "(?i)cut off|damaged|destroyed|empty")

    def test_removed_while_running(self):
        self.broken_while_running(os.unlink)

    def test_overwritten_database(self):
        place = self.filled()
        path = self.database(place)
        with open(path, "r+b") as f:
            f.write(b"\xa5" * 8192)
        self.refuses(place, "(?i)damaged|destroyed|not a store")

    def test_missing_and_wrong_sealing_key(self):
        place = self.filled()
        path = os.path.join(place.data, "seal.key")
        with open(path, "rb") as f:
            key = f.read()
        os.unlink(path)
        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data)
        self.assertEqual(status, ATTENTION, said)
        self.assertRegex(said, "seal.key|sealing key")
        with open(path, "wb") as f:
            f.write(re.sub(rb"[0-9a-fA-F]{64}", lambda m: m.group(0)[::-1], key))
        os.chmod(path, 0o600)
        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data)
        self.assertEqual(status, ATTENTION, said)
        self.assertRegex(said, "seal.key|sealing key")

    def test_backup_while_running_and_restore(self):
        place = self.place().start()
        place.group()
        fleet = place.fleet(5, "--backoff-max", "1", seed=21)
        guids = sorted(d["guid"] for d in place.wait_connected(5))
        backup = place.path("causeway.backup")
        place.cli("backup", backup)
        self.assertEqual(os.stat(backup).st_mode & 0o077, 0)
        place.cli("group", "create", "after", "--cira-user", "after", "--cira-password-file", place.cira_password_file,
                  "--enroll", "hold")
        self.assertEqual(place.stop(), 0)
        harness.end_process(fleet)

        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data, "--restore", backup)
        self.assertNotEqual(status, 0, "a restore over a store that is there: " + said)
        other = self.place()
        shutil.copy(os.path.join(place.data, "seal.key"), os.path.join(other.data, "seal.key"))
        config = other.file("causeway.yaml", other.config_text())
        status, said = run("--config", config, "--data", other.data, "--restore", backup)
        self.assertEqual(status, 0, said)
        other.start()
        self.assertEqual(sorted(d["guid"] for d in other.devices()), guids)
        self.assertEqual([g["name"] for g in other.cli_json("group", "list")["groups"]], ["fleet"])
        again = other.fleet(5, seed=21)
        other.wait_connected(5)
        other.cli("power", "get", guids[0])
        self.assertIsNone(again.poll())

    def test_restore_of_something_else(self):
        place = self.place()
        config = place.file("causeway.yaml", place.config_text())
        junk = place.file("junk", "this is no backup" * 1000)
        status, said = run("--config", config, "--data", place.data, "--restore", junk)
        self.assertNotEqual(status, 0)
        self.assertIn("junk", said)

    def test_rotated_key_still_opens_everything(self):
        place = self.place().start()
        place.group()
        with open(os.path.join(place.data, "seal.key"), "rb") as f:
            before = f.read()
        self.assertEqual(place.stop(), 0)
        status, said = run("--config", place.path("causeway.yaml"), "--data", place.data, "--rotate-key")
        self.assertEqual(status, 0, said)
        with open(os.path.join(place.data, "seal.key"), "rb") as f:
            self.assertNotEqual(f.read(), before)
        place.start()
        place.fleet(1)
        guid = place.wait_connected(1)[0]["guid"]
        place.cli("power", "get", guid)


@unittest.skipUnless(mounts_work(), "needs root and a mount namespace")
class FullDisk(harness.TestCase):
    MOUNT = 'mount --make-rprivate / && mount -t tmpfs -o size=12m,mode=0700 tmpfs "$0" && exec "$@"'

    def test_full_disk(self):
        place = self.place()
        inside = place.data
        place.start(prefix=("unshare", "-m", "sh", "-c", self.MOUNT, inside), expect_running=False)
        place.data = f"/proc/{place.daemon.pid}/root{inside}"
        harness.wait_for("run.json", lambda: place.daemon.poll() is not None or os.path.isdir(place.data) and place.run_json())
        self.assertIsNone(place.daemon.poll(), place.log())
        place.group()
        place.fleet(5, seed=55)
        guids = [d["guid"] for d in place.wait_connected(5)]
        connects = self.connects(place, guids)
        filler = os.path.join(place.data, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass
        api = place.client()
        refused = self.until(lambda i: self.error_of_group(api, i), lambda error: error is not None, 3000)
        self.assertIn(refused.code, ("resource_exhausted", "unavailable", "failed_precondition"))
        self.assertRegex(str(refused), "(?i)disk|space|full")
        for guid in guids:
            self.assertEqual(place.call("PowerService/GetPowerState", {"device": guid})["powerState"], "POWER_STATE_ON")
        self.assertRegex(place.call("ServerService/GetStatus")["storeProblem"], "(?i)disk|space|full")
        said = self.until(lambda i: place.cli("group", "create", f"more{i}", "--cira-user", f"more{i}", "--cira-password-file",
                                              place.cira_password_file, "--enroll", "hold", expect=None), lambda done: done.returncode != 0)
        self.assertRegex(said.stderr, "(?i)disk|space|full")
        self.until(lambda i: self.new_device_gets_in(place), lambda got_in: not got_in)  # it cannot be stored, so it is refused
        self.assertEqual(self.connects(place, guids), connects, "tunnels were lost")
        count = len(place.cli_json("group", "list")["groups"])

        os.unlink(filler)
        harness.wait_for("the store to work again", lambda: place.cli(
            "group", "create", "late", "--cira-user", "late", "--cira-password-file", place.cira_password_file, "--enroll", "hold",
            expect=None).returncode == 0, 30)
        self.assertEqual(place.call("ServerService/GetStatus").get("storeProblem", ""), "")
        self.assertEqual(len(place.cli_json("group", "list")["groups"]), count + 1)
        self.assertEqual(self.connects(place, guids), connects)
        self.assertEqual(place.stop(), 0)

    @staticmethod
    def connects(place, guids):
        """Of those that hold a tunnel."""
        return {d["guid"]: d["connects"] for d in place.devices(True) if d["guid"] in guids}

    @staticmethod
    def new_device_gets_in(place):
        with apf.Device(place.cira) as device:
            return device.login(harness.new_guid(), harness.CIRA_USER, harness.CIRA_PASSWORD)

    def until(self, act, refused, limit=200):
        """A small record may still fit into a page that the store has free: so once more, until one does not."""
        for i in range(limit):
            result = act(i)
            if refused(result):
                return result
        self.fail(f"{limit} records fit on a full disk")
        return None

    @staticmethod
    def error_of_group(api, i):
        try:
            api.call("GroupService/CreateGroup", {"group": {"name": f"g{i}", "ciraUser": f"u{i}", "ciraPassword": "x" * 60}})
        except harness.ApiError as error:
            return error
        return None


if __name__ == "__main__":
    harness.main()
