"""`densecorr data summary`: what a data set holds, counted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Summary:
    """Count a data set's images, instances, label sets and points, by category, split, source, size and more."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The data set: an id, a unique prefix, a tag, or its folder."""
    json: Path | None = None
    """Also write the counts to this JSON file."""

    def __call__(self, session: "Session") -> None:
        """Print the table."""
        from densecorr.datasets.summary import format_summary, summarise_dataset

        from .data_query import dataset_folder

        summary = summarise_dataset(dataset_folder(session, self.dataset))
        if self.json is not None:
            self.json.parent.mkdir(parents=True, exist_ok=True)
            self.json.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        print(format_summary(summary))
