# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile storm: the storm with one client in ten hostile

As storm, with 1,000 further clients that mean no good and come back at once when they are thrown out: a quarter each half-open
(TCP, then nothing), one octet a second, garbage after TLS, wrong passwords; and ten that ask for renegotiation. They have addresses of
their own. None of them may get in, and nobody else may notice.
"""
from lib import hostile, storms

ORDER = 45


def run(ctx):
    devices, runs = (3000, 1) if ctx.quick else (10000, 2)
    bare = ctx.tool("handshake", "--count", 200, "--runs", 3)
    made = [storms.Storm(ctx, devices, lambda c, g: hostile.Hostile(c, g, devices // 10)) for _ in range(runs)]
    reports = [s.hostile_report for s in made]
    ctx.extra["hostile"] = reports
    return storms.figures(ctx, made, bare) + [
        ctx.figure("hostile clients that got in", [r["connected"] for r in reports], "tunnels", target=("==", 0)),
        ctx.figure("hostile attempts", [r["connects"] for r in reports], "dials"),
        ctx.figure("wrong passwords refused", [r["failed_auth"] for r in reports], "attempts"),
        ctx.figure("renegotiations refused", [r["renegotiations"] for r in reports], "attempts"),
        ctx.figure("renegotiations without an answer", [r["renegotiations_unanswered"] for r in reports], "attempts", target=("==", 0),
                   note="neither refused nor closed within 10 s"),
    ]
