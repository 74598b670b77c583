# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of the measurements: medians, spread, ratios against a reference, verdicts. Pure; tests/bench/figures_test.py tests it."""
import operator
import statistics

COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
HOLDS, MISSED, SHOWN = "holds", "MISSED", ""


def median(runs):
    return statistics.median(runs)


def spread(runs):
    """(largest - smallest) / median: how far the runs are apart; 0 for a single run or a median of 0."""
    middle = median(runs)
    return (max(runs) - min(runs)) / abs(middle) if middle else 0.0


def percentile(values, percent):
    """The value that percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def per_second(count, begin_s, end_s):
    if end_s <= begin_s:
        raise ValueError("no time has passed")
    return count / (end_s - begin_s)


class Figure:
    """One figure: its runs, a reference measured in the same run, and what is asked of it.

    reference is (name, runs, unit) or None; target is (operator, number) or None and applies to the median value, or with
    of="ratio" to median / median of the reference. better says which way is better: "lower" or "higher".
    """

    def __init__(self, name, runs, unit, better="lower", reference=None, target=None, of="value", note=""):
        if not runs:
            raise ValueError(f"{name}: a figure needs at least one run")
        if better not in ("lower", "higher") or of not in ("value", "ratio"):
            raise ValueError(f"{name}: better={better!r} of={of!r}")
        if target is not None and target[0] not in COMPARE:
            raise ValueError(f"{name}: target {target!r}")
        if of == "ratio" and reference is None:
            raise ValueError(f"{name}: a ratio needs a reference")
        if reference is not None and not reference[1]:
            raise ValueError(f"{name}: the reference has no run")
        self.name, self.unit, self.better, self.of, self.note = name, unit, better, of, note
        self.runs = [float(r) for r in runs]
        self.reference = reference and (reference[0], [float(r) for r in reference[1]], reference[2])
        self.target = target and (target[0], float(target[1]))
        self.load_limited = None

    @property
    def value(self):
        return median(self.runs)

    @property
    def ratio(self):
        if self.reference is None:
            return None
        below = median(self.reference[1])
        return self.value / below if below else None

    @property
    def verdict(self):
        if self.target is None:
            return SHOWN
        judged = self.value if self.of == "value" else self.ratio
        if judged is None:
            return MISSED
        return HOLDS if COMPARE[self.target[0]](judged, self.target[1]) else MISSED

    def as_json(self):
        made = {"name": self.name, "unit": self.unit, "better": self.better, "median": self.value, "spread": spread(self.runs),
                "runs": self.runs}
        if self.reference is not None:
            made["reference"] = {"name": self.reference[0], "unit": self.reference[2], "median": median(self.reference[1]),
                                 "spread": spread(self.reference[1]), "runs": self.reference[1]}
            made["ratio"] = self.ratio
        if self.target is not None:
            made["target"] = {"of": self.of, "is": f"{self.target[0]} {self.target[1]:g}"}
            made["verdict"] = self.verdict
        if self.note:
            made["note"] = self.note
        if self.load_limited:
            made["load_limited"] = self.load_limited
        return made


def number(value):
    """A number for people: three significant digits or whole."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures):
    """Readable lines for a list of figures as JSON objects (as_json)."""
    head = ("figure", "median", "unit", "spread", "reference", "ratio", "target", "")
    rows = [head]
    for f in figures:
        reference, target = f.get("reference"), f.get("target")
        rows.append((f["name"], number(f["median"]), f["unit"], f"{f['spread'] * 100:.0f}%",
                     f"{number(reference['median'])} {reference['unit']} ({reference['name']})" if reference else "",
                     number(f.get("ratio")) if reference else "",
                     (("ratio " if target["of"] == "ratio" else "") + target["is"]) if target else "",
                     f.get("verdict", "") + (" (the load was the limit)" if f.get("load_limited") else "")))
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    right = (1, 3, 5)
    return ["  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip() for r in rows]
