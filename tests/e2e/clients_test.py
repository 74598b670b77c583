# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that every Debian has: plain curl with JSON (the Connect protocol) and Python's grpcio with stubs that are made here."""
import json
import os
import struct
import subprocess
import tempfile
import threading
import time

import clients_common
import harness

PYTHON = "/usr/bin/python3"  # Debian's own, which sees python3-grpcio


class Curl(clients_common.ClientCase):
    def command(self, method, body, version, *args, token=True, kind="application/json"):
        rig = self.rig
        # The token goes in by a file: a command line can be read by everybody.
        headers = rig.file("curl.headers", f"Authorization: Bearer {rig.token}\n" if token else "X-Nobody: 1\n")
        return ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "60", "--cacert", rig.ca, "-H", "@" + headers,
                "-H", "Content-Type: " + kind, version, *args, "--data-binary", body,
                f"https://{rig.api}/causeway.v1.{method}"]

    def call(self, method, request, version="--http1.1", status=200, args=(), token=True):
        """A unary call with JSON; its answer."""
        done = subprocess.run(self.command(method, json.dumps(request), version, "-w", "\n%{http_code} %{http_version}", *args,
                                           token=token),
                              env=clients_common.clean_env(), capture_output=True, text=True, timeout=90, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        body, _, end = done.stdout.rpartition("\n")
        self.assertEqual(end, f"{status} {version.removeprefix('--http')}", done.stdout)
        return json.loads(body)

    def watch(self, request, version, *args):
        """A server stream of the Connect protocol: envelopes of one octet of flags, four of length, JSON. The messages so far."""
        data = json.dumps(request).encode()
        envelope = tempfile.NamedTemporaryFile(dir=self.rig.dir, delete=False)
        with envelope:
            envelope.write(struct.pack(">BI", 0, len(data)) + data)
        process = subprocess.Popen(self.command("DeviceService/WatchDevices", "@" + envelope.name, version, *args,
                                                kind="application/connect+json"),
                                   env=clients_common.clean_env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(harness.end_process, process)
        messages = []

        def read():
            while len(head := process.stdout.read(5)) == 5:
                flags, length = struct.unpack(">BI", head)
                messages.append((flags, json.loads(process.stdout.read(length) or b"{}")))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return messages, reader

    def cycle(self, version):
        messages, _ = self.watch({"filter": f"id={self.rig.live}"}, version)
        harness.wait_for("the end of the snapshot",
                         lambda: any(m.get("kind") == "DEVICE_EVENT_KIND_SYNC" for _, m in messages))
        state = self.call("PowerService/GetPowerState", {"device": self.rig.live}, version)
        self.assertEqual(state["powerState"], clients_common.ON)
        change = {"device": self.rig.live, "action": "POWER_ACTION_POWER_CYCLE", "requestId": f"curl-{version}-{time.time()}"}
        first = self.call("PowerService/ChangePower", change, version)
        self.assertEqual(first["action"], "POWER_ACTION_POWER_CYCLE")
        # The same again: the same answer, and no second cycle (the device would refuse it while it is at work).
        self.assertEqual(self.call("PowerService/ChangePower", change, version), first)

        def states():
            return [m["device"]["powerState"] for _, m in messages if m.get("device", {}).get("powerState")]

        def came_back():
            seen = states()
            off = [i for i, s in enumerate(seen) if s in clients_common.OFF]
            return off and clients_common.ON in seen[off[0]:]

        harness.wait_for(f"off and on in {messages}", came_back)
        self.check_cycle([clients_common.ON, *states()])

    def test_cycle_http1(self):
        self.cycle("--http1.1")

    def test_cycle_http2(self):
        self.cycle("--http2")

    def test_offline(self):
        for version in ("--http1.1", "--http2"):
            error = self.call("PowerService/ChangePower", {"device": self.rig.gone, "action": "POWER_ACTION_ON"}, version, status=400)
            self.assertEqual(error["code"], "failed_precondition")
            info = next(d for d in error["details"] if d["type"] == "google.rpc.ErrorInfo")
            self.check_offline({"code": "FAILED_PRECONDITION", "reason": info["debug"]["reason"],
                                "domain": info["debug"]["domain"], "hint": info["debug"]["metadata"]["hint"]})

    def test_unauthenticated(self):
        for version in ("--http1.1", "--http2"):
            error = self.call("PowerService/GetPowerState", {"device": self.rig.live}, version, status=401, token=False)
            self.assertEqual(error["code"], "unauthenticated")

    def test_deadline(self):
        for version in ("--http1.1", "--http2"):
            started = time.monotonic()
            error = self.call("PowerService/GetPowerState", {"device": self.rig.slow}, version, status=504,
                              args=("-H", "Connect-Timeout-Ms: 1000"))
            self.assertEqual(error["code"], "deadline_exceeded")
            self.assertLess(time.monotonic() - started, clients_common.SLOW_MS / 1000)

    def test_stream_deadline(self):
        for version in ("--http1.1", "--http2"):
            messages, reader = self.watch({}, version, "-H", "Connect-Timeout-Ms: 1500")
            reader.join(30)
            self.assertFalse(reader.is_alive(), messages)
            flags, end = messages[-1]
            self.assertEqual(flags & 2, 2, messages)
            self.assertEqual(end["error"]["code"], "deadline_exceeded")
            self.assertTrue(any(m.get("kind") == "DEVICE_EVENT_KIND_SYNC" for _, m in messages))

    def test_unknown_method_and_body(self):
        self.assertEqual(self.call("PowerService/NoSuchMethod", {}, status=404)["code"], "unimplemented")
        error = self.call("PowerService/GetPowerState", {"device": self.rig.live, "noSuchField": 1}, status=400)
        self.assertEqual(error["code"], "invalid_argument")


class Grpcio(clients_common.ClientCase):
    def stubs(self):
        """Generates the modules into a folder that goes away with the test."""
        out = tempfile.mkdtemp(dir=self.rig.dir)
        protos = [os.path.relpath(os.path.join(d, name), clients_common.PROTO)
                  for d, _, names in os.walk(clients_common.PROTO) for name in names if name.endswith(".proto")]
        wanted = sorted(p for p in protos if not p.startswith("grpc/"))
        subprocess.run([PYTHON, "-m", "grpc_tools.protoc", "-I.", "--python_out=" + out, "--grpc_python_out=" + out, *wanted],
                       cwd=clients_common.PROTO, check=True, capture_output=True, timeout=120)
        # The health protocol lies in package grpc, which would hide the library of that name: it goes to a folder of another name.
        health = os.path.join(out, "grpc_health_v1")
        os.mkdir(health)
        subprocess.run([PYTHON, "-m", "grpc_tools.protoc", f"-Igrpc_health_v1={clients_common.PROTO}/grpc/health/v1",
                        "--python_out=" + out, "--grpc_python_out=" + out, "grpc_health_v1/health.proto"],
                       cwd=clients_common.PROTO, check=True, capture_output=True, timeout=120)
        return out

    def test_everything(self):
        if subprocess.run([PYTHON, "-c", "import grpc, grpc_tools"], capture_output=True, check=False).returncode != 0:
            self.fail("python3-grpcio and python3-grpc-tools are missing: run make deps")
        program = os.path.join(clients_common.CLIENTS, "grpcio_client.py")
        self.check_report(self.rig.run_client([PYTHON, "-B", program], STUBS=self.stubs()))


if __name__ == "__main__":
    harness.main()
