"""What the page of `review agreement` says of conflicts."""

from typing import Any, cast

from densecorr.review.resolver import Conflict
from flows.review_agreement_measure import Findings
from flows.review_agreement_tables import conflict_table


def test_how_a_conflict_is_settled_is_said_as_it_is() -> None:
    conflicts = [
        Conflict("i/0", "l", "vertex", {"ann": 3, "bob": 4}, False, 7),
        Conflict("i/0", "l", "visible", {"ann": True, "bob": False, "cho": True}, True, 2),
        Conflict("i/0", "l", "mask", {"ann": 120.0, "bob": None}, True),
    ]
    findings = Findings([], [], [], {}, [], conflicts, [None] * 3)
    table = conflict_table(findings, cast(Any, None))
    said = {str(row[1]): (row[3], row[-1]) for row in table.rows}
    assert table.columns[-1] == "settled"
    assert said["vertex"] == ("ann: 3, bob: 4", "no")
    assert said["visible"] == ("ann: yes, bob: no, cho: yes", "by majority")
    assert said["mask"] == ("ann: 120 px², bob: the data set's", "by the latest")
