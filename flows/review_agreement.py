"""`densecorr review agreement`: how well reviewers agree, and how far each is from a known truth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class ReviewAgreement:
    """Measure the reviewers: how well they agree, and against known truth; writes agreement.json and report.html.

    The truth is that of the instances of known truth that `review assign --gold` dealt, or of all where none were.
    """

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    out: Path
    """The folder for agreement.json and report.html."""
    labels: str | None = None
    """The label artifact that was judged; by default the data set's own labels."""
    truth: str | None = None
    """A data set or label artifact whose human, synthetic or corrected labels are the truth; by default the data
    set's own human and synthetic ones."""
    template: str | None = None
    """The template artifact; by default the one that the labels were made with."""
    changed_only: bool = False
    """Agreement of points that at least one of two reviewers changed: others agree because they began alike."""
    reach: float = 0.02
    """How far from a judged point its annotated truth may be, share of the longer side of the object's box."""
    tolerance: float = 0.03
    """Error that a reviewer may let pass, share of the template's diameter: labels up to it are not wrong."""
    agree_within: float = 0.05
    """Two vertices say the same up to this share of the template's diameter; else it is a conflict."""
    incomplete: bool = False
    """Go on without a journal that cannot be read: acts that wait in it are missing from the measurement."""

    def __call__(self, session: "Session") -> None:
        """Read the decisions, measure, write both files.

        Raises:
            ArtifactError: the store holds no such data set, labels, truth or template.
            JournalError: a journal cannot be read, and `incomplete` does not allow to go on without.
            EmptyInstanceError: nothing was decided, or nothing by two people and nothing whose truth is known.
            SettingsError: the labels are of several templates, or a number is out of range.
        """
        from densecorr.evaluation.report import write_report

        from .review_agreement_evidence import check_evidence, read_evidence
        from .review_agreement_facts import facts_of
        from .review_agreement_measure import measure
        from .review_agreement_report import report_of
        from .session import said_if_slow, say
        from .whole_file import whole_file

        evidence = read_evidence(session.open_store(), self)
        check_evidence(evidence, self)
        with said_if_slow("measuring distances along the surface"):
            findings = measure(evidence, self)
        with whole_file(self.out / "agreement.json") as part:
            facts = facts_of(evidence, findings, self)
            part.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with whole_file(self.out / "report.html") as part:
            write_report(part, report_of(evidence, findings, self))
        say(
            f"{len(findings.workloads)} reviewers, {len(findings.scores)} of them against known truth, "
            f"{sum(not one.settled for one in findings.conflicts)} unsettled conflicts"
        )
        print(self.out / "report.html")
