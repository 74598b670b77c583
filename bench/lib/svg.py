# SPDX-License-Identifier: GPL-3.0-or-later
"""A line plot as SVG: axes with round marks, series with a legend, shaded spans. Nothing else."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 46, 52
COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#6d597a", "#bc6c25")


def marks(low, high, about=6):
    """Round numbers that cover low to high: a list of at least two."""
    if high <= low:
        high = low + 1
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def plain(value):
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def line_plot(title, x_name, y_name, series, spans=(), from_zero=True):
    """series: (name, [(x, y), ...]); y None breaks the line. spans: (from, to, text) of x that are shaded."""
    points = [(x, y) for _, values in series for x, y in values if y is not None]
    if not points:
        raise ValueError("nothing to plot")
    xs = marks(min(x for x, _ in points), max(x for x, _ in points), 8)
    ys = marks(0 if from_zero else min(y for _, y in points), max(y for _, y in points))

    def at_x(x):
        return LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * (WIDTH - LEFT - RIGHT)

    def at_y(y):
        return HEIGHT - BOTTOM - (y - ys[0]) / (ys[-1] - ys[0]) * (HEIGHT - TOP - BOTTOM)

    def text(x, y, content, extra=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" {extra}>{escape(content)}</text>'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', text(LEFT, 20, title, 'font-size="14" font-weight="bold"')]
    for begin, end, label in spans:
        out.append(f'<rect x="{at_x(begin):.1f}" y="{TOP}" width="{max(at_x(end) - at_x(begin), 1):.1f}" height="{HEIGHT - TOP - BOTTOM}" fill="#eee"/>')
        out.append(text(at_x(begin) + 3, HEIGHT - BOTTOM - 6, label, 'font-size="11" fill="#777"'))
    for y in ys:
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}" stroke="#ddd"/>')
        out.append(text(LEFT - 8, at_y(y) + 4, plain(y), 'text-anchor="end"'))
    for x in xs:
        out.append(text(at_x(x), HEIGHT - BOTTOM + 18, plain(x), 'text-anchor="middle"'))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name, 'text-anchor="middle"'))
    out.append(text(16, (TOP + HEIGHT - BOTTOM) / 2, y_name, f'text-anchor="middle" transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2:.0f})"'))
    for number, (name, values) in enumerate(series):
        colour, pen, path = COLOURS[number % len(COLOURS)], "M", []
        for x, y in values:
            if y is None:
                pen = "M"
                continue
            path.append(f"{pen}{at_x(x):.1f} {at_y(y):.1f}")
            pen = "L"
        out.append(f'<path d="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(values) <= 20:
            out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in values if y is not None]
        at = LEFT + number * 200
        out.append(f'<line x1="{at}" x2="{at + 18}" y1="34" y2="34" stroke="{colour}" stroke-width="3"/>')
        out.append(text(at + 24, 38, name))
    out.append("</svg>\n")
    return "\n".join(out)
