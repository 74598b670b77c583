#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws what the last measurements left in bench/results as SVG beside it; with --docs those that the documentation shows go to docs/, too."""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lib import svg  # noqa: E402

MIB = 1048576


def scale(result):
    steps = result["extra"]["steps"]
    title = "Memory of an idle tunnel"
    return svg.line_plot(title, "tunnels", "octets a tunnel", [
        ("process, resident", [(s["tunnels"], s["rss"]) for s in steps]),
        ("kernel objects, both ends", [(s["tunnels"], s["slab"]) for s in steps])])


def endurance(result):
    extra = result["extra"]
    begin, end = extra["windows"]
    return svg.line_plot(f"Endurance: {extra['tunnels']:,} tunnels, {extra['seconds'] / 60:.0f} minutes", "seconds", "MiB", [
        ("gateway, resident", [(s["s"], s["rss"] / MIB) for s in extra["samples"]]),
        ("of that anonymous", [(s["s"], s["anon"] / MIB) for s in extra["samples"]])],
        [(*begin, "first window"), (end[0], min(end[1], extra["samples"][-1]["s"]), "last window")])


def storm(result):
    return svg.line_plot(result["title"], "seconds", "gateway, resident MiB",
                         [(f"run {n + 1}", [(s, octets / MIB) for s, octets in series]) for n, series in enumerate(result["extra"]["memory"])])


PLOTS = {"scale": scale, "largest": scale, "endurance": endurance, "storm": storm, "storm_hostile": storm}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default=os.path.join(HERE, "results"))
    parser.add_argument("--docs", metavar="FOLDER", help="put them there as perf-NAME.svg, too")
    args = parser.parse_args()
    drawn = 0
    for name, plot in PLOTS.items():
        try:
            with open(os.path.join(args.results, name + ".json"), encoding="utf-8") as f:
                result = json.load(f)
        except FileNotFoundError:
            continue
        if "error" in result:
            print(f"{name}: broke, not drawn")
            continue
        picture = plot(result)
        for path in [os.path.join(args.results, name + ".svg")] + ([os.path.join(args.docs, f"perf-{name}.svg")] if args.docs else []):
            with open(path, "w", encoding="utf-8") as f:
                f.write(picture)
            print(os.path.relpath(path))
            drawn += 1
    if drawn == 0:
        print(f"nothing to draw in {os.path.relpath(args.results)}: run make bench first")
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
