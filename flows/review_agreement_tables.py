"""The tables of `review agreement`, and how its figures read."""

import math
from collections.abc import Sequence

from densecorr.evaluation.bootstrap import BootstrapSettings, Interval
from densecorr.evaluation.report import ReportTable
from densecorr.evaluation.report_tables import Cell
from densecorr.review.agreement import Agreement, scaled
from densecorr.review.resolver import Conflict
from densecorr.templates.template import Template

from .review_agreement_evidence import Evidence
from .review_agreement_facts import simulated_settings, to_toml
from .review_agreement_measure import Findings

N_CONFLICTS = 25  # on the page; agreement.json has all
VERDICTS = ("accept", "reject", "unsure")
DASH = "\u2013"


def tables_of(
    evidence: Evidence, findings: Findings, reach: float, tolerance: float
) -> tuple[ReportTable, ...]:
    """The tables that have a row; `reach` and `tolerance` are the command's."""
    tables = (
        _work_table(findings),
        _gold_table(findings, evidence, reach),
        _agreement_table(findings, evidence),
        _model_table(findings, evidence.template, tolerance),
        conflict_table(findings, evidence),
    )
    return tuple(table for table in tables if table.rows)


def _work_table(findings: Findings) -> ReportTable:
    columns = (
        "reviewer",
        "instances",
        "points",
        "changed",
        "minutes",
        "seconds an instance",
        "seconds a point",
    )
    rows: list[tuple[Cell, ...]] = []
    for one in findings.workloads:
        said = [one.verdicts.get(action, 0) for action in VERDICTS]
        rows.append(
            (
                one.reviewer,
                one.n_instances,
                one.n_points,
                one.n_changed,
                round(one.seconds / 60, 1),
                round(one.seconds / one.n_instances, 1) if one.n_instances else None,
                round(one.seconds / one.n_points, 2) if one.n_points else None,
                *said,
                sum(one.verdicts.values()) - sum(said),
            )
        )
    note = "Seconds are all that were spent, undone acts included; a point is one that was shown, changed or not."
    return ReportTable("Reviewers", (*columns, "accepted", "rejected", "unsure", "other"), tuple(rows), note)


def _gold_table(findings: Findings, evidence: Evidence, reach: float) -> ReportTable:
    template = evidence.template
    columns = ("annotator", "instances", "points", *_distance_columns("error", template))
    rows = tuple(
        (
            one.reviewer,
            one.n_instances,
            one.n_points,
            *_distances(one.error, one.error_share, one.auc, template),
            _percent(one.confusion),
            _percent(one.missing_share),
        )
        for one in findings.scores
    )
    note = (
        f"Geodesic distance from the true vertex, on {evidence.gold_from}, where the annotator accepted the label "
        "set; a deleted point counts as the diameter. The truth of a point is the nearest annotated one, at most "
        f"{reach:.1%} of the box away: errors about as small as that are not resolved. {_intervals()}"
    )
    return ReportTable("Against known truth", (*columns, "left for right", "left out"), rows, note)


def _agreement_table(findings: Findings, evidence: Evidence) -> ReportTable:
    template = evidence.template
    columns = ("reviewers", "instances", "points", "changed", *_distance_columns("distance", template))
    rows = tuple(
        (
            pair_text(one.reviewers),
            one.n_instances,
            one.n_points,
            f"{one.changed_share:.0%}",
            *_distances(one.error, one.error_share, one.auc, template),
            _text(one.kappa, "{:.2f}"),
        )
        for one in distinct(findings.agreements)
    )
    note = (
        "Geodesic distance between two reviewers' vertices of a point, where both accepted. They begin with the same "
        'labels: a point that neither changed agrees by construction, so read "changed" (by at least one of the '
        f"two) beside it. Kappa is Cohen's, of the verdicts: 1 full agreement, 0 chance. {_intervals()}"
    )
    return ReportTable("Agreement", (*columns, "kappa"), rows, note)


def _model_table(findings: Findings, template: Template, tolerance: float) -> ReportTable:
    size = float(template.diameter)
    rows = []
    for one in findings.models:
        costs = one.costs.costs
        fitted = not math.isnan(one.costs.residual)
        rows.append(
            (
                one.reviewer or "all together",
                f"{costs.per_instance:.1f}" if fitted else f"{costs.per_instance:.1f} (assumed)",
                f"{costs.per_point:.1f}" if fitted else f"{costs.per_point:.1f} (assumed)",
                interval_text(one.intervals.sigma, template) if one.intervals else "too few points",
                _percent(one.intervals.slip) if one.intervals else DASH,
                _percent(one.intervals.miss) if one.intervals else DASH,
                f"annotator = {to_toml(simulated_settings(one, size, tolerance))}",
            )
        )
    columns = (
        "annotator",
        "seconds an instance",
        "seconds a changed point",
        "spread sigma",
        "slips",
        "overlooked",
    )
    note = (
        "The last column is the setting of a collect stage that simulates such an annotator. Spread: of vertices given "
        f"to points that were wrong by more than {tolerance:.0%} of the diameter. Slips: among them, those put on the "
        "other side. Overlooked: wrong labels left as they were. Costs are assumed with fewer than ten reviews or "
        "where all changed equally many points."
    )
    return ReportTable("Fitted costs and noise", (*columns, "to paste"), tuple(rows), note)


def _settled(conflict: Conflict) -> str:
    """How `resolver.Majority` settles a difference: of masks the one counts whose review is the latest."""
    if not conflict.settled:
        return "no"
    return "by the latest" if conflict.what == "mask" else "by majority"


def conflict_table(findings: Findings, evidence: Evidence) -> ReportTable:
    """The differences between reviewers and how they are settled, the first of them."""
    pairs = list(zip(findings.conflicts, findings.apart, strict=True))
    rows = tuple(
        (
            one.instance_id,
            one.what,
            DASH if one.point_id is None else str(one.point_id),
            ", ".join(f"{name}: {_said(value, one.what)}" for name, value in one.values.items()),
            DASH if apart is None else length_text(apart, evidence.template),
            _settled(one),
        )
        for one, apart in pairs[:N_CONFLICTS]
    )
    more = (
        f" The first {N_CONFLICTS} of {len(pairs)}; agreement.json lists all."
        if len(pairs) > N_CONFLICTS
        else ""
    )
    note = f"Differences of those who decided, unsettled ones first, then the furthest apart.{more}"
    return ReportTable("Conflicts", ("instance", "what", "point", "values", "apart", "settled"), rows, note)


def _distance_columns(what: str, template: Template) -> tuple[str, ...]:
    metric = (what, "of the diameter", "AUC_10", "AUC_30")
    return metric if template.unit != "none" else (f"{what} of the diameter",)


def _distances(
    error: Interval, share: Interval, auc: Sequence[Interval], template: Template
) -> tuple[str, ...]:
    areas = tuple(_text(one, "{:.3f}") for one in auc)
    shares = _text(share, "{:.2%}")
    return (interval_text(error, template), shares, *areas) if template.unit != "none" else (shares,)


def length_text(value: float, template: Template) -> str:
    """A length in metres or centimetres, or as a share of the diameter for a template without a unit."""
    if template.unit == "none":
        return f"{value / float(template.diameter):.1%} of the diameter"
    return f"{value:.2f} m" if value >= 1 else f"{100 * value:.1f} cm"


def interval_text(interval: Interval, template: Template) -> str:
    """A length with its interval: centimetres, or a share of the diameter for a template without a unit."""
    if template.unit == "none":
        return _text(scaled(interval, 1 / float(template.diameter)), "{:.2%}")
    return _text(scaled(interval, 100.0), "{:.2f}", " cm")


def _percent(interval: Interval) -> str:
    return _text(interval, "{:.1%}")


def _text(interval: Interval, form: str, unit: str = "") -> str:
    if interval.value is None:
        return DASH
    value = form.format(interval.value) + unit
    if interval.low is None or interval.high is None:
        return value
    low, high = form.format(interval.low), form.format(interval.high)
    return f"{value} ({low}\u00a0to\u00a0{high})"  # breaks before the bracket, not in it


def distinct(agreements: Sequence[Agreement]) -> Sequence[Agreement]:
    """Without all pairs together where there is only one pair."""
    return agreements[1:] if len(agreements) == 2 else agreements


def pair_text(names: Sequence[str]) -> str:
    """Two reviewers, or all pairs."""
    return " and ".join(names) or "all pairs together"


def _said(value: object, what: str) -> str:
    if what == "mask":
        return "the data set's" if value is None else f"{value:g} px²"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _intervals() -> str:
    drawn = BootstrapSettings()
    return f"In brackets {drawn.level:.0%} bootstrap intervals over images ({drawn.n_resamples} resamples)."
