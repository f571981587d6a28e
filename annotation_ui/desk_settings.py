"""What a desk is about: written by `densecorr review open`, read in FiftyOne's server process."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from densecorr.errors import SettingsError

VARIABLE = "DENSECORR_DESK"  # names the JSON file, for the server process


@dataclass(frozen=True)
class DeskSettings:
    """One reviewer at one data set.

    Attributes:
        store: address of the store.
        dataset: artifact id of the data set.
        name: what to call it.
        reviewer: who.
        template: artifact id of the template.
        labels: artifact id of the labels to judge; None: the data set's own.
        opinion: artifact id of labels to suggest from, such as the trained model's.
        order: instances to go through, in this order; empty: all that have labels, in the table's order.
        gold: those whose truth is known, mixed into the order.
        tags: those by which the data set and the labels were named, to notice when they are replaced.
        similarities: artifact id of the stage `similarities`, for heat maps of features.
    """

    store: str
    dataset: str
    name: str
    reviewer: str
    template: str
    labels: str | None = None
    opinion: str | None = None
    order: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    similarities: str | None = None


def write_settings(path: Path, settings: DeskSettings) -> None:
    """Write the file that `VARIABLE` is to name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")


def read_settings(path: Path | str | None = None) -> DeskSettings:
    """The settings in a file, by default the one that `VARIABLE` names.

    Raises:
        SettingsError: no such file, or not one of ours.
    """
    path = path or os.environ.get(VARIABLE)
    remedy = "Start the App with: densecorr review open DATASET --reviewer NAME"
    if not path:
        raise SettingsError("an App started for a reviewer", f"no {VARIABLE}", remedy)
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return DeskSettings(**data | {key: tuple(data[key]) for key in ("order", "gold", "tags")})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError("a desk's settings", f"{path} ({error})", remedy) from error
