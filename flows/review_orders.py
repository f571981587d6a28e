"""Who reviews what, in which order: one JSON file a reviewer and data set, beside the journals."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from densecorr.errors import SettingsError

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class Order:
    """The instances one reviewer goes through; those of `gold` have known truth, `shared` is everybody's."""

    instances: tuple[str, ...]
    gold: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def order_path(store: "Store", dataset_id: str, reviewer: str) -> str:
    """Where the reviewer's share is kept: in the store itself, so that it is the same on every machine."""
    from storage.journal import REVIEW, check_reviewer

    return store.place.join(REVIEW, "orders", dataset_id, f"{check_reviewer(reviewer)}.json")


def write_order(store: "Store", dataset_id: str, reviewer: str, order: Order) -> None:
    """Keep a reviewer's share; an earlier one is replaced."""
    from storage.filesystem import put_file

    path = order_path(store, dataset_id, reviewer)
    put_file(store.place, path, json.dumps(asdict(order), indent=1).encode())


def read_order(store: "Store", dataset_id: str, reviewer: str, file: Path | None = None) -> Order | None:
    """The order in `file` (see `read_order_file`), else the reviewer's share, if any.

    Raises:
        SettingsError: the file is absent or holds something else.
    """
    from storage.filesystem import read_file

    if file is not None:
        return read_order_file(file)
    text = read_file(store.place.filesystem, order_path(store, dataset_id, reviewer))
    return None if text is None else _order(text, f"the share of {reviewer}")


def read_order_file(file: Path) -> Order:
    """The order in a file: ids, one a line or a JSON list.

    Raises:
        SettingsError: the file is absent or holds something else.
    """
    try:
        return _order(file.read_bytes(), str(file))
    except OSError as error:
        raise SettingsError("a file of instance ids", f"{file} ({error})", "Correct --order.") from error


def _order(text: bytes, where: str) -> Order:
    try:
        if text.lstrip()[:1] in (b"[", b"{"):
            data = json.loads(text)
            data = {"instances": data} if isinstance(data, list) else data
        else:
            lines = (line.strip() for line in text.decode("utf-8").splitlines())
            data = {"instances": [line for line in lines if line]}
        found = Order(**{key: tuple(ids) for key, ids in data.items()})
        if not found.instances or not all(isinstance(key, str) for key in found.instances):
            raise ValueError("no instance ids")
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            "instance ids, one a line, or a JSON list of them", f"{where} ({error})", "Correct the file."
        ) from error
    return found


def orders_of(store: "Store", dataset_id: str) -> dict[str, Order]:
    """Every reviewer's share of a data set."""
    from storage.filesystem import list_folder, read_file
    from storage.journal import REVIEW

    folder = store.place.join(REVIEW, "orders", dataset_id)
    shares = {}
    for info in list_folder(store.place.filesystem, folder):
        text = read_file(store.place.filesystem, info.path)
        if info.path.endswith(".json") and text is not None:
            shares[Path(info.path).stem] = _order(text, info.path)
    return shares


def selected_order(store: "Store", labels: str | None) -> Order | None:
    """The order in which the stage `select` chose, where the labels are its artifact."""
    if labels is None:
        return None
    path = store.path(labels) / "order.txt"
    return Order(tuple(path.read_text(encoding="utf-8").split("\n")[:-1])) if path.is_file() else None
