# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end-to-end tests share: a real gateway and real simulated devices on free loopback ports, in a folder of their own.

Everything a test starts is stopped by its pid when the test ends, whatever happens. BUILD names the folder of the programs
(default build). A test file ends with `harness.main()`; exit status 77 with a reason as the last line means skipped.
"""
import atexit
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
CIRA_USER, CIRA_PASSWORD = "enrol", "Cira-Pass-9174"
AMT_USER, AMT_PASSWORD = "admin", "Amt-Pass-5521!"
# Slow under sanitizers and on busy machines: waiting longer never makes a test pass that should fail.
PATIENCE = float(os.environ.get("PATIENCE", "60"))


def skip(reason):
    print(reason)
    sys.exit(77)


def wait_for(what, check, seconds=None):
    """Calls check until it gives something true, and returns that."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.1)


def end_process(process, seconds=20):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count):
    """Ports that are free, for daemons that have to come back where they were. Outside the range that the kernel gives to outgoing
    connections: while a daemon is down, a device that dials in could get its very port."""
    found = []
    while len(found) < count:
        port = random.randrange(15000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def split_address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def new_guid(seed=None):
    """A version-4 GUID as text; the same for the same seed."""
    digits = f"{(random.Random(seed) if seed is not None else random).getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


class ApiError(Exception):
    """An error answer of the API. code is Connect's word ("not_found"), reason the one of google.rpc.ErrorInfo."""

    def __init__(self, code, message, reason, metadata):
        super().__init__(f"{code} [{reason}]: {message}")
        self.code, self.message, self.reason, self.metadata = code, message, reason, metadata


def protobuf_fields(data):
    """Field numbers and raw values of a message that has strings and submessages only."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return value, at
    at, found = 0, []
    while at < len(data):
        key, at = varint(at)
        length, at = varint(at)
        if key & 7 != 2:
            found.append((key >> 3, length))
            continue
        found.append((key >> 3, data[at:at + length]))
        at += length
    return found


def api_error(answer):
    import base64
    reason, metadata = "", {}
    for detail in answer.get("details", []):
        if not detail.get("type", "").endswith("google.rpc.ErrorInfo"):
            continue
        text = detail["value"]
        for number, value in protobuf_fields(base64.b64decode(text + "=" * (-len(text) % 4))):
            if number == 1:
                reason = value.decode()
            if number == 3:
                pair = dict(protobuf_fields(value))
                metadata[pair.get(1, b"").decode()] = pair.get(2, b"").decode()
    return ApiError(answer.get("code"), answer.get("message", ""), reason, metadata)


class Api:
    """One HTTP/1.1 connection to the API that speaks Connect with JSON. Not for several threads at once."""

    def __init__(self, place, token=None, timeout=None, address=None):
        self.place, self.token, self.timeout = place, token or place.token, timeout or PATIENCE
        self.address = address or place.api
        self.context = place.tls_context()
        self.connection = None

    def _request(self, method, body, content_type):
        if self.connection is None:
            host, port = split_address(self.address)
            self.connection = http.client.HTTPSConnection(host, port, context=self.context, timeout=self.timeout)
        headers = {"Content-Type": content_type, "Connect-Protocol-Version": "1"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            self.connection.request("POST", f"/causeway.v1.{method}", body, headers)
            return self.connection.getresponse()
        except BaseException:
            self.close()
            raise

    def call(self, method, message=None):
        """method is "DeviceService/ListDevices". Returns the answer as a dict or raises ApiError."""
        response = self._request(method, json.dumps(message or {}), "application/json")
        try:
            body = response.read()
        except BaseException:
            self.close()
            raise
        if response.status == 200:
            return json.loads(body)
        try:
            answer = json.loads(body)
        except ValueError:
            raise ApiError("unknown", f"HTTP {response.status}: {body[:200]!r}", "", {}) from None
        raise api_error(answer)

    def pages(self, method, field, message=None):
        """All elements of a list, page after page."""
        message = dict(message or {}, pageSize=1000)
        while True:
            answer = self.call(method, message)
            yield from answer.get(field, [])
            if not answer.get("nextPageToken"):
                return
            message["pageToken"] = answer["nextPageToken"]

    def stream(self, method, message=None):
        """The answers of a server stream, as they come; ends with the stream or raises its error."""
        body = json.dumps(message or {}).encode()
        response = self._request(method, b"\0" + len(body).to_bytes(4, "big") + body, "application/connect+json")
        if response.status != 200:
            raise AssertionError(f"HTTP {response.status} for a stream: {response.read()[:200]!r}")
        while True:
            head = response.read(5)
            if len(head) < 5:
                raise ConnectionError("the stream was cut")
            length = int.from_bytes(head[1:], "big")
            answer = json.loads(response.read(length) or b"{}")
            if head[0] & 2:
                if "error" in answer:
                    raise api_error(answer["error"])
                return
            yield answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Place:
    """A folder with a gateway's data, its configuration, and the programs that run on it."""

    def __init__(self, config="", name="localhost", cira="", api=""):
        """config: further sections; cira, api: further lines of these sections, without their indentation."""
        self.dir = tempfile.mkdtemp(prefix="causeway-e2e-")
        self.data = os.path.join(self.dir, "data")
        self.name = name
        self.extra = config
        self.cira_extra = "".join(f"\n  {line}" for line in cira.splitlines())
        self.api_extra = "".join(f"\n  {line}" for line in api.splitlines())
        self.cira_listen = self.api_listen = "127.0.0.1:0"
        self.daemon = None
        self.fleets = []
        self.logs = []
        os.mkdir(self.data, 0o700)
        self.cira_password_file = self.file("cira.password", CIRA_PASSWORD)
        self.amt_password_file = self.file("amt.password", AMT_PASSWORD)
        atexit.register(self.close)

    def path(self, name):
        return os.path.join(self.dir, name)

    def file(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def close(self):
        for fleet in self.fleets:
            end_process(fleet)
        running = self.daemon is not None and self.daemon.poll() is None
        end_process(self.daemon, PATIENCE)
        log, folder, self.logs = self.log() if os.path.exists(self.dir) else "", self.dir, []
        shutil.rmtree(folder, ignore_errors=True)
        if running and self.daemon.returncode != 0:
            raise AssertionError(f"the gateway's exit status at the end: {self.daemon.returncode}\n{log[-3000:]}")
        for word in ("Sanitizer:", "runtime error:"):
            if word in log:
                raise AssertionError(f"a sanitizer reports:\n{log[log.index(word):][:6000]}")

    # ---- the gateway

    def config_text(self):
        return f"""
cira:
  listen: ["{self.cira_listen}"]
  name: {self.name}{self.cira_extra}
api:
  listen: ["{self.api_listen}"]{self.api_extra}
metrics:
  listen: "127.0.0.1:0"
log:
  level: debug
{self.extra}
"""

    def start(self, env=None, prefix=(), expect_running=True):
        config = self.file("causeway.yaml", self.config_text())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.data, "run.json"))
        log = open(self.path(f"causewayd-{len(self.logs)}.log"), "w", encoding="utf-8")
        self.logs.append(log.name)
        command = [*prefix, os.path.join(BUILD, "causewayd"), "--config", config, "--data", self.data]
        self.daemon = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})
        log.close()
        if expect_running:
            wait_for("run.json", lambda: self.run_json() or self.daemon.poll() is not None)
            if self.daemon.poll() is not None:
                raise AssertionError("the gateway ended:\n" + self.log())
        return self

    def run_json(self):
        try:
            with open(os.path.join(self.data, "run.json"), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def log(self):
        text = ""
        for path in self.logs:
            with open(path, encoding="utf-8", errors="replace") as f:
                text += f.read()
        return text

    def stop(self, sig=signal.SIGTERM, seconds=60):
        self.daemon.send_signal(sig)
        return self.daemon.wait(seconds)

    @property
    def cira(self):
        return self.run_json()["cira"][0]

    @property
    def api(self):
        return self.run_json()["api"][0]

    @property
    def metrics(self):
        return self.run_json()["metrics"]

    @property
    def ca(self):
        return os.path.join(self.data, "root.crt")

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as f:
            return f.read().strip()

    def tls_context(self):
        context = ssl.create_default_context(cafile=self.ca)
        return context

    def metric(self, series):
        """The value of a series as /metrics shows it, 0 if it is not there."""
        import urllib.request
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(series + " "):
                    return float(line.rsplit(" ", 1)[1])
        return 0.0

    # ---- the API

    def client(self, **kwargs):
        return Api(self, **kwargs)

    def call(self, method, message=None, **kwargs):
        """One call on a connection of its own."""
        api = Api(self, **kwargs)
        try:
            return api.call(method, message)
        finally:
            api.close()

    # ---- the command line

    def cli_start(self, *args, **kwargs):
        return subprocess.Popen([os.path.join(BUILD, "causeway"), "--data", self.data, *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def cli(self, *args, expect=0, input=None):
        """Runs the command line; returns its output. expect: the exit status, None for any (then the process is returned)."""
        done = subprocess.run([os.path.join(BUILD, "causeway"), "--data", self.data, *args], text=True, input=input,
                              capture_output=True, timeout=PATIENCE * 2, check=False)
        if expect is None:
            return done
        if done.returncode != expect:
            raise AssertionError(f"causeway {' '.join(args)}: exit status {done.returncode}, not {expect}\n"
                                 f"{done.stdout}{done.stderr}\ngateway:\n{self.log()[-3000:]}")
        return done.stdout if expect == 0 else done.stderr

    def cli_json(self, *args):
        return json.loads(self.cli(*args, "--json"))

    def group(self, name="fleet", enroll="accept", user=CIRA_USER, amt=True):
        extra = ["--amt-user", AMT_USER, "--amt-password-file", self.amt_password_file] if amt else []
        self.cli("group", "create", name, "--cira-user", user, "--cira-password-file", self.cira_password_file,
                 "--enroll", enroll, *extra)

    def devices(self, connected_only=False):
        found = self.cli_json("device", "list").get("devices", [])
        return [d for d in found if d.get("connected")] if connected_only else found

    # ---- simulated devices

    def fleet(self, count=1, *args, user=CIRA_USER, seed=1, cira=None):
        log = open(self.path(f"fleet-{len(self.fleets)}.log"), "w", encoding="utf-8")
        control = self.path(f"fleet-{len(self.fleets)}.sock")
        command = [os.path.join(BUILD, "causeway-fleet"), "--connect", cira or self.cira, "--count", str(count), "--seed",
                   str(seed), "--control", control,
                   "--user", user, "--password-file", self.cira_password_file, "--amt-user", AMT_USER,
                   "--amt-password-file", self.amt_password_file, "--ca", self.ca, "--name", self.name, *args]
        fleet = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        fleet.log_path = log.name
        fleet.control = control
        log.close()
        self.fleets.append(fleet)
        return fleet

    @staticmethod
    def order(fleet, line):
        """One command on a fleet's control socket (see causeway-fleet --help); returns what follows "ok"."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(fleet.control)
            s.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                piece = s.recv(4096)
                if not piece:
                    break
                answer += piece
        answer = answer.decode().strip()
        if not answer.startswith("ok"):
            raise AssertionError(f"the fleet answers {line!r} with {answer!r}")
        return answer[2:].strip()

    def boots(self, fleet, guid):
        """How often the device's host has booted, once its power has come to rest."""
        def rest():
            words = self.order(fleet, f"power {guid}").split()
            return words if "changing" not in words else None
        words = wait_for("power at rest", rest)
        return int(words[words.index("boots") + 1])

    def wait_connected(self, count):
        def enough():
            found = self.devices(connected_only=True)
            return found if len(found) >= count else None
        try:
            return wait_for(f"{count} connected devices", enough)
        except AssertionError as error:
            raise AssertionError(f"{error}\ngateway log:\n{self.log()[-2000:]}") from None


class TestCase(unittest.TestCase):
    """A test whose places are closed after it."""

    def place(self, *args, **kwargs):
        place = Place(*args, **kwargs)
        self.addCleanup(place.close)
        return place


def main():
    for program in ("causewayd", "causeway", "causeway-fleet"):
        if not os.access(os.path.join(BUILD, program), os.X_OK):
            print(f"{BUILD}/{program} is not built: run make all")
            sys.exit(1)
    unittest.main(verbosity=2, failfast=False)
