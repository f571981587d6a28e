"""The leaderboard: runs of many days on one page, ranked where they were scored alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .bootstrap import BootstrapSettings, Interval, paired_difference
from .evaluate import GroupResult
from .meanings import format_figure
from .report import page_environment
from .report_tables import cell_text, headline_table

NOTHING = "\u2013"


@dataclass(frozen=True)
class LeaderboardRow:
    """One method of one run.

    `made_from` says in a line each what it was made from, `settings` are those of the stages behind it by name,
    `lineage` is the whole tree as text. `errors` are an instance's values of the group's figure by instance id, for
    paired comparisons; `n_runs` counts the runs with exactly this row, of which this is the newest.
    """

    name: str
    figures: Mapping[str, Interval]
    date: str
    source: str
    link: str | None = None
    made_from: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    lineage: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    n_runs: int = 1


@dataclass(frozen=True)
class LeaderboardGroup:
    """Rows that were scored on the same things in the same way, ranked by `figure`.

    `known`: the figures are those of `densecorr evaluate`, which `meanings` names and prints.
    """

    title: str
    facts: str
    rows: tuple[LeaderboardRow, ...]
    figure: str
    better: Literal["lower", "higher"]
    known: bool = True


@dataclass(frozen=True)
class AgainstBest:
    """A row's figure less that of the best row over the same instances; None where they cannot be paired."""

    difference: Interval | None
    verdict: str


def ranked(group: LeaderboardGroup) -> list[LeaderboardRow]:
    """Best first; rows without the figure last."""

    def place(row: LeaderboardRow) -> tuple[bool, float]:
        interval = row.figures.get(group.figure)
        if interval is None or interval.value is None:
            return (True, 0.0)
        return (False, interval.value if group.better == "lower" else -interval.value)

    return sorted(group.rows, key=place)


def against_best(
    rows: Sequence[LeaderboardRow], better: Literal["lower", "higher"], settings: BootstrapSettings
) -> list[AgainstBest]:
    """Each ranked row less the first, resampled together over instances; "clear" leaves zero out of the interval."""
    if not rows:
        return []
    best = rows[0].errors
    found = [AgainstBest(None, "best" if best else "")]
    ids = sorted(best)
    for row in rows[1:]:
        if not best or not row.errors:
            found.append(AgainstBest(None, ""))
            continue
        if row.errors.keys() != best.keys():
            found.append(AgainstBest(None, "other instances"))
            continue
        a, b = (np.array([errors[i] for i in ids], dtype=np.float64) for errors in (row.errors, best))
        interval = paired_difference(a, b, settings)
        worse = interval.low if better == "lower" else None if interval.high is None else -interval.high
        found.append(
            AgainstBest(interval, "clearly worse" if worse is not None and worse > 0 else "not clearly worse")
        )
    return found


def differences(rows: Sequence[LeaderboardRow]) -> list[dict[str, str]]:
    """By row, its settings that another row, which has the same setting, has otherwise."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.settings.items():
            values.setdefault(name, set()).add(value)
    return [{name: v for name, v in row.settings.items() if len(values[name]) > 1} for row in rows]


def write_page(
    path: Path,
    groups: Sequence[LeaderboardGroup],
    notes: Sequence[str] = (),
    settings: BootstrapSettings | None = None,
) -> None:
    """Write the page: one HTML file, nothing fetched, every text escaped; links are to the runs' own reports."""
    settings = settings or BootstrapSettings()
    page = (
        page_environment()
        .get_template("leaderboard.html")
        .render(groups=[_shown(group, settings) for group in groups], notes=notes, bootstrap=settings)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _shown(group: LeaderboardGroup, settings: BootstrapSettings) -> dict[str, Any]:
    """A group as the template prints it."""
    rows = ranked(group)
    keyed = {str(index): GroupResult(dict(row.figures), 0, 0) for index, row in enumerate(rows)}
    table = headline_table(keyed) if group.known else _plain_table(rows, group)
    compared = against_best(rows, group.better, settings)
    return {
        "title": group.title,
        "facts": group.facts,
        "paired": any(one.verdict for one in compared),
        "columns": table["columns"],
        "rows": [
            {"row": row, "cells": cells["cells"], "against": _words(one, group), "differs": differs}
            for row, cells, one, differs in zip(rows, table["rows"], compared, differences(rows), strict=True)
        ],
    }


def _plain_table(rows: Sequence[LeaderboardRow], group: LeaderboardGroup) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    ways = {group.figure: group.better}  # of the others it is not said
    columns = [{"label": name, "better": ways.get(name, ""), "definition": name} for name in names]
    shown = []
    for index, row in enumerate(rows):
        cells = []
        for name in names:
            interval = row.figures.get(name, Interval(None))
            spread = ""
            if interval.low is not None:
                spread = f"{cell_text(interval.low)}{NOTHING}{cell_text(interval.high)}"
            best = index == 0 and len(rows) > 1 and name == group.figure
            cells.append({"value": cell_text(interval.value), "spread": spread, "best": best})
        shown.append({"cells": cells})
    return {"columns": columns, "rows": shown}


def _words(one: AgainstBest, group: LeaderboardGroup) -> dict[str, str]:
    interval = one.difference
    if interval is None or interval.value is None:
        return {"value": "", "verdict": one.verdict}
    value = format_figure(group.figure, interval.value)
    if interval.low is not None:
        low, high = (format_figure(group.figure, end) for end in (interval.low, interval.high))
        value += f" ({low} to {high})"
    return {"value": value, "verdict": one.verdict}
