"""Curves as SVG, drawn here: speed over recall, one line a method, up and to the right is better. Both axes are logarithmic: recall's in what is missed.

Colours are Okabe and Ito's, which people with any common colour blindness tell apart; shape of the marker and dashes say the same again, so a
black-and-white print works too. The legend lists the methods in the order of their speed at the right-hand target. Text is text, the
background is white, and nothing is fetched.
"""

import html
import math

# Okabe and Ito 2008, darkest first; yellow is left out, since a thin yellow line on white cannot be seen.
COLOURS = ["#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
DASHES = ["", "7 3", "2 3", "9 3 2 3"]
FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif'"


def _marker(shape, x, y, colour, filled):
    fill = colour if filled else "white"
    style = f"fill='{fill}' stroke='{colour}' stroke-width='1.3'"
    r = 3.4
    if shape == 0:
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{r}' {style}/>"
    if shape == 1:
        return f"<rect x='{x - r:.1f}' y='{y - r:.1f}' width='{2 * r}' height='{2 * r}' {style}/>"
    corners = {
        2: [(0, -4.2), (4, 3), (-4, 3)],
        3: [(0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)],
        4: [(0, 4.2), (4, -3), (-4, -3)],
        5: [
            (-4, -1.4),
            (-1.4, -1.4),
            (-1.4, -4),
            (1.4, -4),
            (1.4, -1.4),
            (4, -1.4),
            (4, 1.4),
            (1.4, 1.4),
            (1.4, 4),
            (-1.4, 4),
            (-1.4, 1.4),
            (-4, 1.4),
        ],
    }[shape % 6]
    return "<polygon points='" + " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners) + f"' {style}/>"


def _ticks_log(low, high):
    """1, 2, 5 of each decade within the range; only the decades when there are more than four of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 4 else (1,)
    return [s * 10.0**e for e in range(first, last + 1) for s in steps if low <= s * 10.0**e <= high * 1.0001]


RECALLS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)


def stretched(x, low, high):
    """Where a recall lies on the axis, 0 to 1: by the logarithm of what is missed, since 0.98 to 0.99 is as long a way as 0.90 to 0.95. 1.0 is kept finite."""
    place = lambda v: -math.log(high + 0.003 - v)
    return (place(x) - place(low)) / (place(high) - place(low))


def frontier(points):
    """The points that no other beats in both recall and speed, by rising recall."""
    result, best = [], 0.0
    for x, y in sorted(points, key=lambda p: (-p[0], -p[1])):
        if y > best:
            result.append((x, y))
            best = y
    return result[::-1]


def curves(
    series,
    title,
    subtitle="",
    x_label="recall@10",
    y_label="queries per second (log scale)",
    x_min=0.80,
    x_max=1.0,
    highlight=None,
    targets=(0.90, 0.95, 0.99),
    width=980,
    height=600,
):
    """An SVG of `series`: a dictionary from a name to points (recall, speed). Only the frontier of each is drawn; `highlight` is drawn thicker, on top.

    Points left of `x_min` are left out, but the line starts at the last of them, cut at the axis. Returns the text of the SVG.
    """
    left, right, top, bottom = 78, 240, 64, 60
    drawn = {}
    for name, points in series.items():
        best = frontier([(float(x), float(y)) for x, y in points if y > 0 and 0 <= x <= 1])
        inside = [p for p in best if p[0] >= x_min]
        before = [p for p in best if p[0] < x_min]
        if inside and before:
            (x0, y0), (x1, y1) = before[-1], inside[0]
            share = (x_min - x0) / (x1 - x0)
            start = (x_min, math.exp(math.log(y0) + share * (math.log(y1) - math.log(y0))))
        else:
            start = None
        if inside:
            drawn[name] = (start, inside)
    speeds = [y for start, inside in drawn.values() for _, y in inside + ([start] if start else [])] or [1.0, 10.0]
    low, high = min(speeds) / 1.25, max(speeds) * 1.25
    if high / low < 4:
        middle = math.sqrt(low * high)
        low, high = middle / 2, middle * 2
    plot_w, plot_h = width - left - right, height - top - bottom
    px = lambda x: left + stretched(x, x_min, x_max) * plot_w
    py = lambda y: top + (math.log(high) - math.log(y)) / (math.log(high) - math.log(low)) * plot_h

    def at(inside, target):
        reached = [y for x, y in inside if x >= target]
        return max(reached) if reached else 0.0

    order = sorted(
        drawn, key=lambda n: (-at(drawn[n][1], targets[-1] if targets else 0), -at(drawn[n][1], targets[0] if targets else 0), n)
    )
    names = sorted(series)  # a method keeps its colour from chart to chart of the same set of methods
    if highlight in names:
        names.remove(highlight)
        names.insert(0, highlight)
    look = {n: (COLOURS[i % len(COLOURS)], DASHES[(i // len(COLOURS)) % len(DASHES)], i % 6, i // 6 % 2 == 0) for i, n in enumerate(names)}
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img' aria-labelledby='t d' {FONT}>",
        f"<title id='t'>{html.escape(title)}</title>",
        f"<desc id='d'>{html.escape(y_label)} over {html.escape(x_label)} for {html.escape(', '.join(order))}. Up and to the right is better.</desc>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
        f"<text x='{left}' y='26' font-size='17' font-weight='bold' fill='#111'>{html.escape(title)}</text>",
        f"<text x='{left}' y='46' font-size='12' fill='#444'>{html.escape(subtitle)}</text>",
    ]
    for tick in _ticks_log(low, high):
        label = f"{tick:,.0f}" if tick >= 1 else f"{tick:g}"
        out.append(f"<line x1='{left}' x2='{left + plot_w}' y1='{py(tick):.1f}' y2='{py(tick):.1f}' stroke='#e3e3e3'/>")
        out.append(f"<text x='{left - 8}' y='{py(tick) + 4:.1f}' font-size='12' text-anchor='end' fill='#333'>{label}</text>")
    for tick in RECALLS:
        if x_min <= tick <= x_max:
            out.append(f"<line x1='{px(tick):.1f}' x2='{px(tick):.1f}' y1='{top}' y2='{top + plot_h}' stroke='#e3e3e3'/>")
            out.append(f"<text x='{px(tick):.1f}' y='{top + plot_h + 18}' font-size='12' text-anchor='middle' fill='#333'>{tick:g}</text>")
    for target in targets:
        if x_min < target < x_max:
            out.append(
                f"<line x1='{px(target):.1f}' x2='{px(target):.1f}' y1='{top}' y2='{top + plot_h}' stroke='#888' stroke-dasharray='3 4'/>"
            )
    out.append(f"<rect x='{left}' y='{top}' width='{plot_w}' height='{plot_h}' fill='none' stroke='#333'/>")
    out.append(
        f"<text x='{left + plot_w / 2:.0f}' y='{height - 18}' font-size='13' text-anchor='middle' fill='#111'>{html.escape(x_label)}</text>"
    )
    out.append(
        f"<text x='20' y='{top + plot_h / 2:.0f}' font-size='13' text-anchor='middle' fill='#111' transform='rotate(-90 20 {top + plot_h / 2:.0f})'>{html.escape(y_label)}</text>"
    )
    for name in sorted(drawn, key=lambda n: (n == highlight, n)):
        start, inside = drawn[name]
        colour, dash, shape, filled = look[name]
        points = ([start] if start else []) + inside
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        out.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{3.2 if name == highlight else 1.7}'{dashes} stroke-linejoin='round'/>"
        )
        out.extend(_marker(shape, px(x), py(y), colour, filled) for x, y in inside)
    legend_x, y = left + plot_w + 18, top + 6
    step = min(20.0, plot_h / max(1, len(order)))
    for name in order:
        colour, dash, shape, filled = look[name]
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        bold = " font-weight='bold'" if name == highlight else ""
        out.append(
            f"<line x1='{legend_x}' x2='{legend_x + 30}' y1='{y:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-width='{3.2 if name == highlight else 1.7}'{dashes}/>"
        )
        out.append(_marker(shape, legend_x + 15, y, colour, filled))
        out.append(f"<text x='{legend_x + 38}' y='{y + 4:.1f}' font-size='12'{bold} fill='#111'>{html.escape(name)}</text>")
        y += step
    out.append("</svg>")
    return "\n".join(out) + "\n"
