# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients from npm: @grpc/grpc-js with protos loaded at run time, and buf with nothing but the server's reflection; buf lints the protos."""
import base64
import json
import os
import subprocess
import threading
import time

import clients_common
import harness


def fields(data):
    """The fields of a protobuf message whose fields are all texts or messages: (number, octets)."""
    while data:
        number, length, shift, at = data[0] >> 3, 0, 0, 1
        while True:
            length |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        yield number, data[at:at + length]
        data = data[at + length:]


def error_info(value):
    """Reason, domain and metadata of a google.rpc.ErrorInfo in base64 without padding."""
    found = list(fields(base64.b64decode(value + "=" * (-len(value) % 4))))
    entries = [dict(fields(v)) for n, v in found if n == 3]
    texts = {n: v.decode() for n, v in found if n != 3}
    return texts[1], texts[2], {e[1].decode(): e[2].decode() for e in entries}


class GrpcJs(clients_common.ClientCase):
    def test_everything(self):
        program = os.path.join(clients_common.CLIENTS, "grpcjs.js")
        self.check_report(self.rig.run_client(["node", program], NODE_PATH=os.path.join(clients_common.NODE, "node_modules")))


class Lint(harness.TestCase):
    def test_lint(self):
        buf = clients_common.buf_program() or self.skipTest("no buf for this machine")
        done = subprocess.run([buf, "lint"], cwd=clients_common.PROTO, text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Buf(clients_common.ClientCase):
    """buf knows no .proto here: it asks the server for them."""

    def setUp(self):
        self.buf = clients_common.buf_program() or self.skipTest("no buf for this machine")

    def command(self, method, data, *flags, token=True):
        rig = self.rig
        # Headers come from a file: a command line can be read by everybody.
        headers = rig.file("buf.headers", f"Authorization: Bearer {rig.token}\n")
        auth = ["--header", "@" + headers, "--reflect-header", "*"] if token else []
        return [self.buf, "curl", "--cacert", rig.ca, *auth, *flags, "--data", json.dumps(data),
                f"https://{rig.api}/causeway.v1.{method}"]

    def call(self, method, data, *flags, token=True, code=0):
        """The answer, or the error's JSON if code is a gRPC code (buf's exit status is eight times that)."""
        done = subprocess.run(self.command(method, data, *flags, token=token), env=clients_common.clean_env(), text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, code * 8, done.stdout + done.stderr)
        return json.loads(done.stdout if code == 0 else done.stderr)

    def watch(self, protocol):
        """Starts a watch; returns the process and the list that its messages go to."""
        process = subprocess.Popen(self.command("DeviceService/WatchDevices", {"filter": f"id={self.rig.live}"}, "--protocol", protocol),
                                   env=clients_common.clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(harness.end_process, process)
        messages = []

        def read():
            decoder, text = json.JSONDecoder(), ""
            for line in process.stdout:
                text += line
                while text.strip():
                    try:
                        message, end = decoder.raw_decode(text.lstrip())
                    except ValueError:
                        break
                    text = text.lstrip()[end:]
                    messages.append(message)

        threading.Thread(target=read, daemon=True).start()
        return process, messages

    def cycle(self, protocol):
        rig = self.rig
        _, messages = self.watch(protocol)
        harness.wait_for("the end of the snapshot",
                         lambda: any(m["kind"] == "DEVICE_EVENT_KIND_SYNC" for m in messages))
        state = self.call("PowerService/GetPowerState", {"device": rig.live}, "--protocol", protocol)
        self.assertEqual(state["powerState"], clients_common.ON)
        answer = self.call("PowerService/ChangePower", {"device": rig.live, "action": "POWER_ACTION_POWER_CYCLE",
                                                        "requestId": f"buf-{protocol}-{time.time()}"}, "--protocol", protocol)
        self.assertEqual(answer["action"], "POWER_ACTION_POWER_CYCLE")

        def states():
            return [m["device"]["powerState"] for m in messages if m.get("device", {}).get("powerState")]

        def came_back():
            seen = states()
            off = [i for i, s in enumerate(seen) if s in clients_common.OFF]
            return off and clients_common.ON in seen[off[0]:]

        harness.wait_for(f"off and on in {messages}", came_back)
        self.check_cycle([clients_common.ON, *states()])

    def test_cycle_grpc(self):
        self.cycle("grpc")

    def test_cycle_connect(self):
        self.cycle("connect")

    def test_lists_by_reflection(self):
        rig = self.rig
        for protocol in ("grpc-v1", "grpc-v1alpha"):
            done = subprocess.run([self.buf, "curl", "--cacert", rig.ca, "--header", f"Authorization: Bearer {rig.token}",
                                   "--reflect-header", "*", "--reflect-protocol", protocol, "--list-methods", f"https://{rig.api}"],
                                  env=clients_common.clean_env(), text=True, capture_output=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            methods = done.stdout.split()
            for wanted in ("causeway.v1.PowerService/ChangePower", "causeway.v1.DeviceService/WatchDevices",
                           "grpc.health.v1.Health/Check"):
                self.assertIn(wanted, methods)

    def test_offline(self):
        for protocol in ("grpc", "connect"):
            error = self.call("PowerService/ChangePower", {"device": self.rig.gone, "action": "POWER_ACTION_ON",
                                                           "requestId": f"gone-{time.time()}"}, "--protocol", protocol, code=9)
            self.assertEqual(error["code"], "failed_precondition")
            info = next(d for d in error["details"] if d["type"] == "google.rpc.ErrorInfo")
            reason, domain, metadata = error_info(info["value"])
            self.check_offline({"code": "FAILED_PRECONDITION", "reason": reason, "domain": domain, "hint": metadata["hint"]})

    def test_unauthenticated(self):
        error = self.call("PowerService/GetPowerState", {"device": self.rig.live}, "--schema", clients_common.PROTO,
                          token=False, code=16)
        self.assertEqual(error["code"], "unauthenticated")

    def test_deadline(self):
        # buf sends its --timeout as the call's deadline
        error = self.call("PowerService/GetPowerState", {"device": self.rig.slow}, "--timeout", "2s", "--protocol", "grpc", code=4)
        self.assertEqual(error["code"], "deadline_exceeded")


if __name__ == "__main__":
    clients_common.node_packages()
    harness.main()
