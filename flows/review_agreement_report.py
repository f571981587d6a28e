"""The page of `review agreement`: tables, curves and maps of what was found."""

from typing import TYPE_CHECKING

import numpy as np

from densecorr.evaluation.report import Curves, PictureRow, ReportData
from densecorr.review.gold import AnnotatorScore
from densecorr.templates.template import Template

from .review_agreement_evidence import Evidence
from .review_agreement_maps import map_rows
from .review_agreement_measure import BANDWIDTH, THRESHOLDS, Findings
from .review_agreement_tables import distinct, interval_text, length_text, pair_text, tables_of

if TYPE_CHECKING:
    from .review_agreement import ReviewAgreement


def report_of(evidence: Evidence, findings: Findings, command: "ReviewAgreement") -> ReportData:
    """The page, in centimetres where the template has a unit, else in shares of its diameter."""
    unsettled = sum(not one.settled for one in findings.conflicts)
    template = evidence.template
    return ReportData(
        title="How good are the annotators?",
        subtitle=f"{len(evidence.labels)} label sets on template {template.template_id} "
        f"(diameter {length_text(float(template.diameter), template)})",
        counts={
            "reviewers": len(findings.workloads),
            "label sets reviewed": sum(map(bool, evidence.reviews.values())),
            "by two or more": sum(len(own) > 1 for own in evidence.reviews.values()),
            "of known truth": sum(bool(evidence.reviews[label.label_id]) for label, _ in evidence.gold),
            "unsettled conflicts": unsettled,
        },
        notes=_notes(evidence, findings),
        curves=_curves(findings, template),
        tables=tables_of(evidence, findings, command.reach, command.tolerance),
        overlays=_maps(findings, template),
        overlays_title=f"Where each annotator errs (mean error within about {BANDWIDTH:.0%} of the diameter)",
        settings={"command": command, "inputs": dict(evidence.inputs)},
    )


def _notes(evidence: Evidence, findings: Findings) -> tuple[str, ...]:
    notes = [f"INCOMPLETE: {sentence}" for sentence in evidence.left_out]
    if not findings.scores:
        notes.append(
            "No accepted label set has a known truth, so nobody's error is known: deal some with "
            "densecorr review assign --gold, or name the truth with --truth."
        )
    if not findings.agreements:
        notes.append(
            "No label set was reviewed by two people: deal some to all with densecorr review assign --overlap."
        )
    if evidence.n_elsewhere:
        notes.append(
            f"{evidence.n_elsewhere} decisions are on other label sets of this data set and play no part here "
            "(densecorr review reconcile says what became of them)."
        )
    return tuple(notes)


def _curves(findings: Findings, template: Template) -> tuple[Curves, ...]:
    metric = template.unit != "none"
    x, label = 100 * THRESHOLDS, "within (cm)" if metric else "within (% of the diameter)"
    found = []
    if findings.scores:
        series = {one.reviewer: (x, 100 * np.array(one.rcp)) for one in findings.scores}
        note = "Share of points whose vertex is within a distance of the true one (thesis, sec. 4.2.3)."
        found.append(
            Curves("Ratio of correct points, against known truth", label, "% of points", series, note)
        )
    if findings.agreements:
        shown = distinct(findings.agreements)
        series = {pair_text(one.reviewers): (x, 100 * np.array(one.rcp)) for one in shown}
        note = "The same between two reviewers' vertices of a point."
        found.append(Curves("Agreement of two reviewers", label, "% of points", series, note))
    return tuple(found)


def _maps(findings: Findings, template: Template) -> tuple[PictureRow, ...]:
    facts = {one.reviewer: _map_facts(one, template) for one in findings.scores}
    scale, unit = (100.0, "cm") if template.unit != "none" else (100 / float(template.diameter), "%")
    return map_rows(findings.maps, template, scale, unit, facts)


def _map_facts(score: AnnotatorScore, template: Template) -> str:
    return f"{score.n_points} points, mean error {interval_text(score.error, template)}"
