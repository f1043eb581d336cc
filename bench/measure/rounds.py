"""Rounds, statistics and the table: what every measurement shares."""

import statistics


def rounds(count, contenders):
    """Calls each contender `count` times, in turn (A B C A B C ...), so that what else the machine does hits all alike.
    `contenders` maps names to functions; what they return is collected by name."""
    results = {name: [] for name in contenders}
    for _ in range(count):
        for name, measure in contenders.items():
            results[name].append(measure())
    return results


def median(samples):
    return statistics.median(samples)


def differences(samples, base):
    """Round by round: the pairs ran next to each other."""
    return [a - b for a, b in zip(samples, base)]


class Table:
    """The rows of a run. A row's ratio is to the median of another row's samples, its floor."""

    def __init__(self):
        self.sections = []

    def section(self, title):
        print(f"\n{title}\n{'':<70} {'median':>10} {'(min .. max)':>24}  {'unit':<9} ratio", flush=True)
        self.sections.append({"title": title, "rows": []})

    def add(self, name, unit, samples, floor=None, floor_name=None, note=None):
        """`floor`: samples (or a number) of what the row is compared with."""
        row = {"name": name, "unit": unit, "median": median(samples), "min": min(samples), "max": max(samples),
               "samples": samples}
        ratio = ""
        if floor is not None:
            base = median(floor) if isinstance(floor, list) else floor
            if base:
                row["ratio"] = row["median"] / base
                row["ratio_to"] = floor_name
                ratio = f"{row['ratio']:.3f} x {floor_name}"
        if note:
            row["note"] = note
            ratio = f"{ratio}  {note}" if ratio else note
        spread = f"({number(row['min'])} .. {number(row['max'])})" if len(samples) > 1 else ""
        print(f"  {name:<68} {number(row['median']):>10} {spread:>24}  {unit:<9} {ratio}".rstrip(), flush=True)
        self.sections[-1]["rows"].append(row)
        return row


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
