# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay: octets through one channel, against an empty TLS relay

A client's OpenTunnel stream and a device whose redirection port sends without end (KVM's way) or discards (media's way). Octets for a
second of the gateway's CPU time, with one worker, so that both ends are on one core as in the reference: tls_relay, which hands
on what it decrypts between two connections of the same library and adds nothing. Reference and figure alternate.
"""
from lib import load

QUICK = True
ORDER = 50


def one_way(ctx, gateway, kind, extra, runs):
    reference, found = [], []
    seconds = 2 if ctx.quick else 4
    with ctx.fleet(gateway, 1, extra=extra) as fleet:
        fleet.wait_ready()
        for _ in range(runs):
            reference.append(ctx.tool("tls_relay", "--seconds", seconds)["octets_per_cpu_s"] / 1e6)
            found += load.several(ctx, kind, 1, "octets", lambda: load.api(ctx, gateway, kind, fleet, seconds=seconds))
    gateway.wait_empty()
    return ctx.figure(kind, [f / 1e6 for f in found], "MB a CPU second", better="higher",
                      reference=("empty TLS relay", reference, "MB a CPU second"), target=(">=", 0.7), of="ratio")


def run(ctx):
    runs = 3 if ctx.quick else 7
    with ctx.gateway(workers=1) as gateway:
        return [one_way(ctx, gateway, "download", load.SOURCE, runs), one_way(ctx, gateway, "upload", load.SINK, runs)]
