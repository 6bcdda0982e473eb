"""Line charts as SVG that takes its colours from the page around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mono_distill.apis.demo.curves import Curve

_WIDTH, _HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 40
_MAX_POINTS = 400


@dataclass(frozen=True)
class Line:
    """A named curve.

    Attributes:
        name: Entry of the legend.
        curve: Its points.
        style: Number of the colour and dash pattern, 0 to 4.
    """

    name: str
    curve: Curve
    style: int


def line_chart(title: str, lines: Sequence[Line], *, y_label: str = 'loss (log scale)') -> str:
    """Draw curves over a linear step axis and a logarithmic value axis.

    Colours and dashes come from the classes ``line-0`` to ``line-4``, ``axis`` and ``grid`` of the page.

    Args:
        title: Read out by screen readers, together with where every curve starts and ends.
        lines: Curves; values that are not positive are left out, the axis being logarithmic.
        y_label: What the value is.

    Returns:
        A ``<figure>`` with an ``<svg>`` and a legend.
    """
    drawn = [(line, _points(line.curve)) for line in lines]
    drawn = [(line, points) for line, points in drawn if points]
    if not drawn:
        return f'<figure class="chart"><figcaption>{escape(title)}: nothing was logged</figcaption></figure>'
    steps = [x for _, points in drawn for x, _ in points]
    values = [y for _, points in drawn for _, y in points]
    axes = _Axes(max(steps), min(values), max(values))
    parts = [axes.draw(y_label)]
    for line, points in drawn:
        path = ' '.join(f'{axes.x(x):.1f},{axes.y(y):.1f}' for x, y in points)
        parts.append(f'<polyline class="line line-{line.style}" points="{path}"/>')
    spoken = '; '.join(f'{line.name} from {points[0][1]:.3g} to {points[-1][1]:.3g}' for line, points in drawn)
    legend = ''.join(
        f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><line class="line line-{line.style}" x1="0" x2="28" y1="4" '
        f'y2="4"/></svg>{escape(line.name)}</li>'
        for line, _ in drawn
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}: {escape(spoken)}">'
        f'{"".join(parts)}</svg><ul class="legend">{legend}</ul></figure>'
    )


class _Axes:
    """From data to places in the picture."""

    def __init__(self, last: float, low: float, high: float) -> None:
        self.last = max(last, 1)
        self.low = low / 1.08
        self.high = high * 1.08

    def x(self, step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / self.last

    def y(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def draw(self, y_label: str) -> str:
        """Return grid, tick labels and axis titles."""
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for value in log_ticks(self.low, self.high):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for step in linear_ticks(self.last):
            anchor = 'end' if self.x(step) > right - 12 else 'middle'
            parts.append(
                f'<text class="axis" x="{self.x(step):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{step:g}</text>'
            )
        parts.append(f'<line class="frame" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        middle = (_TOP + bottom) / 2
        parts.append(f'<text class="axis" x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">step</text>')
        parts.append(
            f'<text class="axis" transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">'
            f'{escape(y_label)}</text>'
        )
        return ''.join(parts)


def log_ticks(low: float, high: float) -> list[float]:
    """Return at least two round numbers between two positive ones that differ.

    Example:
        >>> log_ticks(0.9, 12), log_ticks(3.1, 3.9)
        ([1.0, 2.0, 5.0, 10.0], [3.2, 3.4, 3.6, 3.8])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        ticks = [round(factor * 10.0**power, 12) for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > 2:
            return ticks
    step = _round_step((high - low) / 5)
    return [round(number * step, 12) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def linear_ticks(last: float) -> list[int]:
    """Return round numbers from 0 to at most ``last``.

    Example:
        >>> linear_ticks(2034)
        [0, 500, 1000, 1500, 2000]
    """
    return list(range(0, int(last) + 1, max(1, round(_round_step(last / 6)))))


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least so large."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _points(curve: Curve) -> list[tuple[int, float]]:
    """Return the positive points of a curve, thinned out to what a picture can show."""
    points = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if y > 0 and math.isfinite(y)]
    stride = math.ceil(len(points) / _MAX_POINTS) if points else 1
    return points[::stride] + (points[-1:] if (len(points) - 1) % stride else [])
