# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the API with Debian's grpcio; STUBS names the folder of the generated modules. Job and report: clients_common.py."""
import json
import os
import sys
import threading

import grpc

sys.path.insert(0, os.environ["STUBS"])
from causeway.v1 import devices_pb2, devices_pb2_grpc, power_pb2, power_pb2_grpc  # noqa: E402
from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from grpc_health_v1 import health_pb2, health_pb2_grpc  # noqa: E402

ENV = os.environ
AUTH = [("authorization", "Bearer " + ENV["TOKEN"])]
STATE = devices_pb2.PowerState


def error_of(function):
    try:
        function()
    except grpc.RpcError as e:
        return e
    raise AssertionError("the call should have failed")


def error_info(error):
    """The ErrorInfo in grpc-status-details-bin."""
    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(raw)
    assert status.code == error.code().value[0], (status.code, error.code())
    info = error_details_pb2.ErrorInfo()
    assert any(d.Unpack(info) for d in status.details), status
    return info


def cycle(devices, power):
    """Power cycles the device while a watch runs; the states that the watch showed until it was on again."""
    states, synced = [], threading.Event()
    watch = devices.WatchDevices(devices_pb2.WatchDevicesRequest(filter="id=" + ENV["LIVE"]), metadata=AUTH, timeout=60)

    def change():
        assert synced.wait(30)
        power.ChangePower(power_pb2.ChangePowerRequest(device=ENV["LIVE"], action=power_pb2.POWER_ACTION_POWER_CYCLE,
                                                       request_id=ENV["REQUEST_ID"]), metadata=AUTH, timeout=20)

    changer = threading.Thread(target=change)
    changer.start()
    for event in watch:
        if event.kind == devices_pb2.DEVICE_EVENT_KIND_SYNC:
            synced.set()
        if not event.HasField("device") or event.device.power_state == devices_pb2.POWER_STATE_UNSPECIFIED:
            continue
        states.append(STATE.Name(event.device.power_state))
        if states[-1] == "POWER_STATE_ON" and any(s != "POWER_STATE_ON" for s in states):
            break
    watch.cancel()
    changer.join()
    return states


def main():
    with open(ENV["CA"], "rb") as f:
        channel = grpc.secure_channel(ENV["API"], grpc.ssl_channel_credentials(f.read()))
    devices, power = devices_pb2_grpc.DeviceServiceStub(channel), power_pb2_grpc.PowerServiceStub(channel)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert health.status == health_pb2.HealthCheckResponse.SERVING, health
    state = power_pb2.GetPowerStateRequest
    report = {"before": STATE.Name(power.GetPowerState(state(device=ENV["LIVE"]), metadata=AUTH, timeout=20).power_state),
              "states": cycle(devices, power)}
    gone = error_of(lambda: power.ChangePower(
        power_pb2.ChangePowerRequest(device=ENV["GONE"], action=power_pb2.POWER_ACTION_ON), metadata=AUTH, timeout=20))
    info = error_info(gone)
    report["offline"] = {"code": gone.code().name, "reason": info.reason, "domain": info.domain, "hint": info.metadata["hint"]}
    report["unauthenticated"] = error_of(lambda: power.GetPowerState(state(device=ENV["LIVE"]), timeout=20)).code().name
    report["deadline_unary"] = error_of(
        lambda: power.GetPowerState(state(device=ENV["SLOW"]), metadata=AUTH, timeout=1)).code().name
    report["deadline_stream"] = error_of(
        lambda: list(devices.WatchDevices(devices_pb2.WatchDevicesRequest(), metadata=AUTH, timeout=2))).code().name
    print(json.dumps(report))


main()
