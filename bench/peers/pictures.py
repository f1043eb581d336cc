"""Bar charts as SVG, of the same figures as the tables."""

import html
import math

from . import figures
from measure.rounds import median, number

WIDTH, LABEL, VALUE, ROW = 900, 370, 110, 22
OURS, THEIRS = "#1b6ca8", "#b9bfc6"
TOP = 56
DRAWN = ("leaf", "sqlite", "memcached")  # workloads with a picture of what a call costs


class Scale:
    """From values to pixels: logarithmic, from the power of ten below the smallest."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def at(self, value):
        part = (math.log10(max(value, 10 ** self.low)) - self.low) / (self.high - self.low)
        return LABEL + part * (WIDTH - LABEL - VALUE)

    def ticks(self):
        return [10 ** power for power in range(self.low, self.high + 1)]


def text(x, y, content, **attributes):
    extra = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<text x="{x:.0f}" y="{y:.0f}"{extra}>{html.escape(content)}</text>'


def bars(title, unit, rows):
    """`rows`: (label, samples, ours). A bar is the median; the line on it goes from the smallest to the largest."""
    scale = Scale([value for _, samples, _ in rows for value in samples if value > 0])
    height = TOP + ROW * len(rows) + 12
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
             'font-family="sans-serif" font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             text(12, 20, title, font_size=15, font_weight="bold"), text(12, 40, f"{unit}; logarithmic", fill="#555")]
    for tick in scale.ticks():
        x = scale.at(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{height - 10}" stroke="#ddd"/>')
        parts.append(text(x, TOP - 8, f"{tick:g}", text_anchor="middle", fill="#555"))
    for i, (label, samples, ours) in enumerate(rows):
        y = TOP + ROW * i
        middle, low, high = (scale.at(value) for value in (median(samples), min(samples), max(samples)))
        parts.append(text(LABEL - 8, y + 15, label, text_anchor="end", font_weight="bold" if ours else "normal"))
        parts.append(f'<rect x="{LABEL}" y="{y + 3}" width="{max(middle - LABEL, 1):.1f}" height="{ROW - 7}" '
                     f'fill="{OURS if ours else THEIRS}"/>')
        parts.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}" stroke="#222"/>')
        parts.append(text(max(middle, high) + 6, y + 15, number(median(samples))))
    return "\n".join([*parts, "</svg>"]) + "\n"


def chart(results, groups, values):
    """The rows of contenders that have numbers above zero, cheapest first."""
    rows = []
    for group in groups:
        for name in figures.in_group(results, group):
            samples = values(name)
            if samples and median(samples) > 0:
                label = figures.title(results, name).replace("`", "")
                rows.append((label, samples, figures.is_ours(results, name)))
    return sorted(rows, key=lambda row: median(row[1]))


def all_pictures(results):
    """(file name, title, unit, rows)."""
    for workload in DRAWN:
        title = results["workloads"].get(workload, {}).get("title")
        yield (f"peers-{workload}.svg", f"What a hooked call costs: {title}", "ns of CPU time added to a call",
               chart(results, ("hooked", "counted", "recorded"), lambda name: figures.added(results, workload, name)))
    yield ("peers-slowdown.svg", "How much slower SQLite is while every call is recorded", "CPU time, times plain",
           chart(results, ("recorded",), lambda name: figures.slowdown(results, figures.READ, name)))
    yield ("peers-reading.svg", "How fast recordings are read by their own tools", "million events a second",
           list(reversed(chart(results, ("recorded",), lambda name: figures.report_speed(results, name)))))


def write(results, directory):
    directory.mkdir(exist_ok=True)
    for name, title, unit, rows in all_pictures(results):
        if rows:
            (directory / name).write_text(bars(title, unit, rows))
