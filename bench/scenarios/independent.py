# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent: the same figures with a client that shares nothing with us

10,000 devices of bench/independent_client.py (Python's OpenSSL, APF written from its description) dial in at a steady pace and are held. Memory
a tunnel is the growth of the gateway's Rss by their number, CPU that of the gateway from before the first connect until the last is ready.
Enrolment and the keep-alive of the early ones are in it; the group has no AMT account, so that the gateway asks none for facts.
"""
import os
import re
import sys
import time

from lib import machine, processes

ORDER = 70


def run(ctx):
    count, rate = (1000, 100) if ctx.quick else (10000, 200)
    client = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "independent_client.py")
    with ctx.gateway(amt=False) as gateway:
        rss, cpu = gateway.settled(), gateway.cpu_seconds()
        load = ctx.process([sys.executable, client, gateway.cira, str(count), str(rate), processes.CIRA_USER, gateway.cira_password, gateway.ca],
                           "independent")
        began = time.monotonic()
        try:
            processes.wait_for("the independent devices", lambda: not load.alive() or f"ready {count}\n" in machine.read(load.log_path), 60 + count / 20, 0.5)
            if not load.alive():
                raise processes.Broken(f"the client ended: {load.log(200)}")
            took, load_cpu = time.monotonic() - began, load.cpu_seconds()
            gateway.wait_held(count)
            used = gateway.cpu_seconds() - cpu
            time.sleep(5 if ctx.quick else 20)
            held = (gateway.settled() - rss) / count
            tunnels = gateway.metric("causeway_tunnels")
        finally:
            load.end()
        lost = re.findall(r"^lost .*", machine.read(load.log_path), re.M)
    ctx.load_was_limit("connects a second", load_cpu, took)
    bare = ctx.tool("handshake", "--count", 200, "--runs", 3)["tls12_full"]["server_us"]
    return [
        ctx.figure("resident a tunnel", [held], "octets", target=("<=", 6144), note=f"{tunnels:.0f} tunnels held"),
        ctx.figure("cpu per 1,000 connects", [used * 1000 / count], "CPU s", target=("<=", 1.0),
                   reference=("bare wolfSSL handshake, server", [us / 1000 for us in bare], "CPU s per 1,000")),
        ctx.figure("tunnels lost", [len(lost)], "tunnels", target=("==", 0), note=lost[0][:200] if lost else ""),
        ctx.figure("connects a second", [count / took], "connects/s", better="higher", note=f"paced at {rate}"),
    ]
