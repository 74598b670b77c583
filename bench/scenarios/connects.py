# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects: CPU of the gateway for full TLS 1.2 handshakes up to READY

All devices dial in at once, several times with a new gateway each. CPU seconds are those of the gateway from before the first
connect until the gateway counts the last device as ready, per 1,000 connects. The reference is the server's side of a bare wolfSSL
handshake through memory with the same suite and key size, in the same run; all of it is wolfSSL's, also where the gateway's RSA
operation is libcrypto's. The same handshake with libcrypto's operation stands beside it. Devices are known from a first round, so
that the store is not part of it, and their group has no AMT account, so that the gateway asks none of them for facts.
"""
from statistics import median

QUICK = True
ORDER = 10


def one_run(ctx, gateway, count, seed):
    """(CPU s per 1,000, connects a second, cores that the gateway used, share of the busiest thread, CPU of the load, seconds, user CPU s per 1,000)"""
    held = gateway.metric("causeway_tunnels_ready_total")
    cpu, user, threads = gateway.cpu_seconds(), gateway.user_seconds(), gateway.thread_seconds()
    with ctx.fleet(gateway, count, seed=seed) as fleet:
        took = fleet.wait_ready(every=0.02)
        cores, load = (gateway.cpu_seconds() - cpu) / took, fleet.cpu_seconds()
        after = gateway.thread_seconds()
        gateway.wait_held(held + count)
        used, in_user = gateway.cpu_seconds() - cpu, gateway.user_seconds() - user
    gateway.wait_empty()
    by_thread = sorted((after[t][1] - threads.get(t, ("", 0))[1] for t in after), reverse=True)
    return used * 1000 / count, count / took, cores, by_thread[0] / max(sum(by_thread), 1e-9), load, took, in_user * 1000 / count


def run(ctx):
    count, runs = (1000, 2) if ctx.quick else (4000, 3)
    bare = ctx.tool("handshake", "--count", 200 if ctx.quick else 500, "--runs", 3 if ctx.quick else 7)
    server_s = [us / 1000 for us in bare["tls12_full"]["server_us"]]  # us each = s per 1,000 / 1,000
    client_us = bare["tls12_full"]["client_us"]
    with_libcrypto = [us / 1000 for us in bare["tls12_full_libcrypto"]["server_us"]]
    found = []
    with ctx.gateway(amt=False) as gateway:
        keys = gateway.metric("causeway_rsa_keys")
        one_run(ctx, gateway, count, 7)
        for n in range(runs):
            found.append(one_run(ctx, gateway, count, 7))
            ctx.log(f"run {n + 1}: {found[-1][0]:.3f} CPU s per 1,000, {found[-1][1]:.0f} a second, {found[-1][2]:.2f} cores of the gateway")
    cpu, rate, cores, share, load, took, user = (list(column) for column in zip(*found))
    ctx.load_was_limit("rate", median(load), median(took))
    both = [1e6 / (s * 1000 + c) for s, c in zip(server_s, client_us)]
    return [
        ctx.figure("cpu per 1,000 connects", cpu, "CPU s", reference=("bare wolfSSL handshake, server", server_s, "CPU s per 1,000"),
                   target=("<=", 1.25), of="ratio",
                   note="TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256, RSA-2048, up to READY; the gateway's RSA operation is "
                        f"{'libcrypto' if keys else 'wolfSSL'}'s, the reference's wolfSSL's"),
        ctx.figure("bare handshake with libcrypto's RSA", with_libcrypto, "CPU s per 1,000",
                   reference=("bare wolfSSL handshake, server", server_s, "CPU s per 1,000"),
                   note="what is possible here; not the reference of the target"),
        ctx.figure("of it in user mode", user, "CPU s", reference=("bare wolfSSL handshake, server", server_s, "CPU s per 1,000"),
                   note="the rest is the kernel's TCP, both directions of loopback included, which the reference does without"),
        ctx.figure("rate", rate, "connects/s", better="higher",
                   reference=("bare handshakes, both ends on one core", both, "handshakes/s a core"),
                   note="devices and gateway share the machine"),
        ctx.figure("cores used by the gateway", cores, "cores", better="higher"),
        ctx.figure("share of the busiest thread", share, "of the gateway's CPU", note="0.5 when two workers share the work evenly"),
        ctx.figure("cpu of the load per 1,000", [s * 1000 / count for s in load], "CPU s"),
        ctx.figure("bare TLS 1.3 handshake", [us / 1000 for us in bare["tls13_full"]["server_us"]], "CPU s per 1,000"),
    ]
