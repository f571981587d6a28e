"""Geometry of the report's charts, in the units of an SVG view box; the template draws them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 760.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 16.0, 14.0, 46.0


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series: its name and the `points` attribute of its polyline."""

    name: str
    points: str


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Chart:
    """Axes with either lines or bars."""

    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def curve_chart(
    x: Float[np.ndarray, " T"], series: Mapping[str, Float[np.ndarray, " T"]], x_label: str, y_label: str
) -> Chart:
    """Shares (0 to 1) over x, cut where every series has reached 99%."""
    reached = np.flatnonzero(np.min(list(series.values()), axis=0) >= 0.99)
    last = max(1, int(reached[0])) if len(reached) else len(x) - 1
    limit = min(nice_ticks(0.0, float(x[last]))[-1], float(x[-1]))
    ticks = [tick for tick in nice_ticks(0.0, limit) if tick <= limit]
    shown = x <= limit
    lines = tuple(Line(name, _points(x[shown] / limit, y[shown])) for name, y in series.items())
    return Chart(x_label, y_label, _x_ticks(ticks, 0.0, limit), _percent_ticks(), lines=lines)


def line_chart(
    series: Mapping[str, tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]], x_label: str, y_label: str
) -> Chart:
    """Lines (x, y) of non-negative values, both axes from 0."""
    ends = [
        max(float(np.nanmax(values[axis])) if len(values[axis]) else 0.0 for values in series.values())
        for axis in (0, 1)
    ]
    across, up = (nice_ticks(0.0, end if end > 0 else 1.0) for end in ends)
    height = HEIGHT - BOTTOM - TOP
    y_ticks = tuple(Tick(HEIGHT - BOTTOM - height * tick / up[-1], f"{tick:.6g}") for tick in up)
    lines = tuple(Line(name, _points(x / across[-1], y / up[-1])) for name, (x, y) in series.items())
    return Chart(x_label, y_label, _x_ticks(across, 0.0, across[-1]), y_ticks, lines=lines)


def histogram_chart(values: Float[np.ndarray, " N"], x_label: str, n_bins: int = 30) -> Chart:
    """Counts of the finite values in equal bins over their range."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    ticks = nice_ticks(low, high if high > low else low + 1.0)
    counts, edges = np.histogram(known, bins=n_bins, range=(ticks[0], ticks[-1]))
    count_ticks = [tick for tick in nice_ticks(0.0, float(max(1, counts.max()))) if tick == round(tick)]
    across, up = WIDTH - RIGHT - LEFT, HEIGHT - BOTTOM - TOP
    bars = tuple(
        Bar(
            x=LEFT + across * index / n_bins + 0.5,
            y=HEIGHT - BOTTOM - up * float(count) / count_ticks[-1],
            width=across / n_bins - 1.0,
            height=up * float(count) / count_ticks[-1],
            title=f"{edges[index]:.4g} to {edges[index + 1]:.4g}: {count}",
        )
        for index, count in enumerate(counts)
        if count
    )
    y_ticks = tuple(
        Tick(HEIGHT - BOTTOM - up * tick / count_ticks[-1], f"{tick:.0f}") for tick in count_ticks
    )
    return Chart(x_label, "count", _x_ticks(ticks, ticks[0], ticks[-1]), y_ticks, bars=bars)


def nice_ticks(low: float, high: float, n: int = 6) -> list[float]:
    """About n round values from at most `low` to at least `high`, 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / n
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(power * m for m in (1.0, 2.0, 5.0, 10.0) if power * m >= raw * 0.999))
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return [index * step for index in range(first, last + 1)]


def _x_ticks(ticks: list[float], low: float, high: float) -> tuple[Tick, ...]:
    across = WIDTH - RIGHT - LEFT
    return tuple(Tick(LEFT + across * (tick - low) / (high - low), f"{tick:.6g}") for tick in ticks)


def _percent_ticks() -> tuple[Tick, ...]:
    up = HEIGHT - BOTTOM - TOP
    return tuple(Tick(HEIGHT - BOTTOM - up * share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0))


def _points(across: Float[np.ndarray, " T"], up: Float[np.ndarray, " T"]) -> str:
    xs = LEFT + (WIDTH - RIGHT - LEFT) * across
    ys = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * up
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
