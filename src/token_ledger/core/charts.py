"""Charts as inline SVG: two of value over time, drawn without a script. Pure.

Colours are classes of the page's style sheet. All that is drawn stands in a table beside it, too.
"""

from __future__ import annotations

import datetime as dt
from html import escape
from itertools import accumulate

from token_ledger.core.timeline import DAY, Timeline

_WIDTH, _HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 28
_INNER_WIDTH, _INNER_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_LABELS_MAX = 8
_LABEL_WIDTH = 76
_LINES = 4
_SUFFIXES = ("", "K", "M", "B", "T")


def compact(value: int, *, decimals: int) -> str:
    """Return base units as few digits of human units: 0, 0.25, 12.5, 1.2K, 3.4M, 5.6e20."""
    if value == 0:
        return "0"
    digits = str(value)
    exponent = len(digits) - 1 - decimals
    if not -3 <= exponent < 3 * len(_SUFFIXES):
        return f"{digits[0]}.{digits[1:2] or '0'}e{exponent}".replace(".0e", "e")
    if exponent < 0:
        return f"{value / 10**decimals:.3g}"
    group = exponent // 3
    whole, hundredths = divmod(value * 100 // 10 ** (decimals + 3 * group), 100)
    return f"{whole}.{hundredths:02d}"[:4].rstrip("0").rstrip(".") + _SUFFIXES[group]


def period_label(start: int, step: int) -> str:
    """Return the beginning of a period as a date or, where periods are short, with its time."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=start)
    if step >= DAY:
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%m-%d %H:%M" if step >= DAY // 1440 else "%H:%M:%S")


def bars(timeline: Timeline, *, decimals: int, symbol: str) -> str:
    """Return a chart of the value that was moved in each period, matched and not."""
    totals = [a + b for a, b in zip(timeline.matched, timeline.unmatched, strict=True)]
    top = _round_up(max(totals))
    slot = _INNER_WIDTH / len(totals)
    width = min(48.0, max(1.0, slot * 0.78))
    shapes = []
    for i, (same, other) in enumerate(zip(timeline.matched, timeline.unmatched, strict=True)):
        if not same + other:
            continue
        x = _LEFT + i * slot + (slot - width) / 2
        label = period_label(timeline.start + i * timeline.step, timeline.step)
        said = f"{label}: {compact(same, decimals=decimals)} {symbol} matched"
        if other:
            said += f", {compact(other, decimals=decimals)} {symbol} not matched"
        high, low = _scaled(same, top), _scaled(other, top)
        base = _TOP + _INNER_HEIGHT
        shapes.append(
            f"<g><title>{escape(said)}</title>"
            + _bar("matched", x, base - high, width, high)
            + _bar("unmatched", x, base - high - low, width, low)
            + "</g>"
        )
    about = "Value moved in each period, matched with its transfer and not matched"
    return _frame(about, timeline, top, decimals, "".join(shapes))


def areas(timeline: Timeline, *, decimals: int) -> str:
    """Return a chart of the value that was moved up to each period, and how much was matched."""
    matched = list(accumulate(timeline.matched))
    total = [
        same + other for same, other in zip(matched, accumulate(timeline.unmatched), strict=True)
    ]
    top = _round_up(max(total))
    shapes = _area("unmatched", total, top) + _area("matched", matched, top)
    about = "Value moved in all up to each period, and how much of it is matched"
    return _frame(about, timeline, top, decimals, shapes)


def _area(name: str, values: list[int], top: int) -> str:
    """Return steps: a value holds from its period's beginning to the next one's."""
    slot, base = _INNER_WIDTH / len(values), _TOP + _INNER_HEIGHT
    corners = [f"M{_LEFT} {base}"]
    for i, value in enumerate(values):
        y = base - _scaled(value, top)
        corners.append(f"L{_LEFT + i * slot:.1f} {y:.1f}L{_LEFT + (i + 1) * slot:.1f} {y:.1f}")
    return f'<path class="area {name}" d="{"".join(corners)}V{base}Z"/>'


def _bar(name: str, x: float, y: float, width: float, height: float) -> str:
    if height <= 0:
        return ""
    return (
        f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}"'
        f' height="{max(height, 0.75):.1f}"/>'
    )


def _frame(about: str, timeline: Timeline, top: int, decimals: int, shapes: str) -> str:
    """Return shapes with their axes."""
    lines = []
    for i in range(_LINES + 1):
        y = _TOP + _INNER_HEIGHT - _INNER_HEIGHT * i / _LINES
        label = compact(top * i // _LINES, decimals=decimals)
        lines.append(
            f'<path class="line" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text class="value" x="{_LEFT - 8}" y="{y + 4:.1f}">{label}</text>'
        )
    periods = len(timeline.matched)
    each = -(-periods // _LABELS_MAX)
    slot = _INNER_WIDTH / periods
    for i in range(0, periods, each):
        label = period_label(timeline.start + i * timeline.step, timeline.step)
        x = _LEFT + i * slot + (slot / 2 if periods <= _LABELS_MAX else 0)
        anchor = "middle" if periods <= _LABELS_MAX else "start"
        if anchor == "start" and x > _WIDTH - _LABEL_WIDTH:
            break
        lines.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{label}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(about)}">'
        f"{''.join(lines)}{shapes}</svg>"
    )


def _scaled(value: int, top: int) -> float:
    # In whole numbers first: a float holds no uint256.
    return value * 100_000 // top * _INNER_HEIGHT / 100_000


def _round_up(value: int) -> int:
    """Return the next number of the form 1, 2, 4 or 8 times a power of ten; at least 4."""
    power: int = 10 ** (len(str(value)) - 1)
    return max(4, next(power * factor for factor in (1, 2, 4, 8, 10) if power * factor >= value))
