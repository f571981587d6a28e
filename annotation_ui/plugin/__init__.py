"""FiftyOne's side of the review panel: an operator for each method of the desk.

FiftyOne loads this file by its path, in its server process, once a request; the desk itself lives in
`annotation_ui.desk_process`.
"""

from typing import Any

import fiftyone.operators as foo

from annotation_ui.desk_process import OPERATORS, answer


def _operator(name: str) -> type[foo.Operator]:
    """The operator that hands a call to the desk's method of the same name."""

    class DeskOperator(foo.Operator):
        @property
        def config(self) -> foo.OperatorConfig:
            return foo.OperatorConfig(name=name, label=f"densecorr: {name}", unlisted=True)

        def execute(self, ctx: Any) -> dict[str, Any]:
            return answer(name, ctx.params)

    return DeskOperator


def register(plugin: Any) -> None:
    """Called by FiftyOne."""
    for name in OPERATORS:
        plugin.register(_operator(name))
