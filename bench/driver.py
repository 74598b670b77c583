#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the measurements in bench/scenarios and writes what they found. See bench/README.md.

Each scenario's figures go to OUT/NAME.json, all of the run to OUT/latest.json, a table to standard output. Exit status: 0; 1 if a
scenario broke, or with --strict if a target was missed.
"""
import argparse
import datetime
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)

from lib import context, figures, machine, network  # noqa: E402


def load(name):
    spec = importlib.util.spec_from_file_location(f"scenario_{name}", os.path.join(HERE, "scenarios", name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names():
    return sorted(f[:-3] for f in os.listdir(os.path.join(HERE, "scenarios")) if f.endswith(".py") and not f.startswith("_"))


def title(module):
    return (module.__doc__ or "").strip().split("\n")[0]


def chosen(args):
    """Scenarios to run as (name, module): those named, or the default set (DEFAULT, true if absent; with --quick those with QUICK)."""
    only = [n for part in args.only for n in part.split(",") if n]
    unknown = sorted(set(only) - set(names()))
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(names())}")
    modules = [(n, load(n)) for n in only or names()]
    if not only:
        modules = [(n, m) for n, m in modules if getattr(m, "DEFAULT", True) and (not args.quick or getattr(m, "QUICK", False))]
        modules.sort(key=lambda nm: getattr(nm[1], "ORDER", 50))
    return modules


def run_one(name, module, args, about):
    """Runs a scenario; its result as a JSON object."""
    workdir = tempfile.mkdtemp(prefix=f"causeway-bench-{name}-")
    ctx = context.Context(name, args.build, workdir, args.quick, args.out)
    begin, error, made, net = time.monotonic(), None, [], {}
    print(f"== {name}: {title(module)}", file=sys.stderr, flush=True)
    try:
        with network.own(not getattr(module, "MACHINE_NETWORK", False)) as net:
            made = module.run(ctx)
        ctx.apply_limits(made)
    except Exception as problem:  # pylint: disable=broad-except
        error = f"{type(problem).__name__}: {problem}"
        traceback.print_exc()
    finally:
        if args.keep:
            print(f"  kept: {workdir}", file=sys.stderr)
        else:
            shutil.rmtree(workdir, ignore_errors=True)
    result = {**about, "scenario": name, "title": title(module), "quick": args.quick, "network": net, "seconds": round(time.monotonic() - begin, 1),
              "figures": [f.as_json() for f in made], **({"extra": ctx.extra} if ctx.extra else {}), **({"error": error} if error else {})}
    write(os.path.join(args.out, name + ".json"), result)
    return result


def write(path, value):
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


def show(result):
    print(f"\n{result['scenario']}: {result['title']} ({result['seconds']:.0f} s)")
    if "error" in result:
        print(f"  BROKE: {result['error']}")
    for line in figures.table(result["figures"]):
        print("  " + line)
    for f in result["figures"]:
        if f.get("note") or f.get("load_limited"):
            print(f"  {f['name']}: {'; '.join(filter(None, (f.get('note'), f.get('load_limited'))))}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer runs, only scenarios marked QUICK")
    parser.add_argument("--only", action="append", default=[], metavar="NAME,...", help="these scenarios (also those outside the default set)")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME,...", help="not these")
    parser.add_argument("--out", default=os.path.join(HERE, "results"), help="folder for JSON (bench/results)")
    parser.add_argument("--build", default=os.path.join(ROOT, os.environ.get("B", "build")), help="folder of the programs (build)")
    parser.add_argument("--strict", action="store_true", help="a missed target fails")
    parser.add_argument("--counts", action="store_true", help='as --strict, and end with "N passed, N failed, N skipped"')
    parser.add_argument("--keep", action="store_true", help="keep folders with logs")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended and removed
    if args.list:
        for name in names():
            module = load(name)
            where = "quick" if getattr(module, "QUICK", False) else "" if getattr(module, "DEFAULT", True) else "by name only"
            print(f"{name:16}{where:14}{title(module)}")
        return 0
    skip = {n for part in args.skip for n in part.split(",")}
    args.out, args.build = os.path.abspath(args.out), os.path.abspath(args.build)
    os.makedirs(args.out, exist_ok=True)
    about = {**machine.describe(ROOT), "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    results = []
    for name, module in chosen(args):
        if name in skip:
            continue
        results.append(run_one(name, module, args, about))
        show(results[-1])
        write(os.path.join(args.out, "latest.json"), {**about, "quick": args.quick, "scenarios": results})
    missed = [f"{r['scenario']}: {f['name']}" for r in results for f in r["figures"] if f.get("verdict") == figures.MISSED]
    broken = [r["scenario"] for r in results if "error" in r]
    held = sum(f.get("verdict") == figures.HOLDS for r in results for f in r["figures"])
    print(f"\n{held} targets hold, {len(missed)} missed, {len(broken)} scenarios broke; written to {os.path.relpath(args.out)}/latest.json")
    for what, which in (("missed", missed), ("broke", broken)):
        for each in which:
            print(f"  {what}: {each}")
    if args.counts:
        print(f"{held} passed, {len(missed) + len(broken)} failed, 0 skipped")
    return 1 if broken or ((args.strict or args.counts) and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
