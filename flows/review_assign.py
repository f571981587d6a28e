"""`densecorr review assign`: who reviews what. Shares without overlap, some instances for all, some of known truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tyro.conf import Positional

from densecorr.errors import SettingsError

from .review_orders import Order, read_order, write_order
from .session import Session, say

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class ReviewAssign:
    """Deal a data set's instances to reviewers; `review open --reviewer NAME` then shows each their own."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    reviewers: tuple[str, ...]
    """Their names."""
    labels: str | None = None
    """The label artifact to judge; by default the data set's own labels."""
    share: int | None = None
    """Instances that each reviewer gets alone; by default all there are, dealt out evenly."""
    overlap: int = 0
    """Instances that every reviewer gets, to measure how well they agree."""
    gold: int = 0
    """Instances with known truth (labels of the data set's own) mixed in, the same for all; needs --labels."""
    order: Path | None = None
    """A file of instance ids, one a line, most informative first; by default the table's order."""
    out: Path | None = None
    """A folder for the shares as files, too, `<reviewer>.txt` with an id a line, such as for `review export`."""
    seed: int = 0
    """Which instances are shared, and where the known ones stand."""

    def __call__(self, session: Session) -> None:
        """Write the shares."""
        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        labels = None if self.labels is None else store.resolve(self.labels)
        known, candidates = find_candidates(store, dataset_id, labels)
        ranking = read_order(store, dataset_id, self.reviewers[0], self.order) if self.order else None
        if ranking is not None:
            strangers = set(ranking.instances) - set(candidates)
            if strangers:
                say(f"{len(strangers)} instances of {self.order} have no labels here and are left out")
            candidates = [key for key in ranking.instances if key not in strangers]
        orders = deal(candidates, known, self.reviewers, self.share, self.overlap, self.gold, seed=self.seed)
        for reviewer, order in orders.items():
            write_order(store, dataset_id, reviewer, order)
            if self.out is not None:
                self.out.mkdir(parents=True, exist_ok=True)
                text = "".join(f"{key}\n" for key in order.instances)
                (self.out / f"{reviewer}.txt").write_text(text, encoding="utf-8")
            say(
                f"{reviewer}: {len(order.instances)} instances, {len(order.shared)} of them shared, "
                f"{len(order.gold)} of known truth"
            )


def find_candidates(store: "Store", dataset_id: str, labels: str | None) -> tuple[list[str], list[str]]:
    """Instances of known truth, and instances with labels to judge; neither crowds nor ignored ones."""
    from storage.tables import read_table

    folder = store.path(dataset_id)
    table = read_table(folder / "instances.parquet", "instances", ["instance_id", "iscrowd", "ignore"])
    kept = [
        key
        for key, *out in zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        if not any(out)
    ]
    own = read_table(folder / "labels.parquet", "labels", ["instance_id", "source"]).to_pylist()
    if labels is None:
        return [], [key for key in kept if key in {row["instance_id"] for row in own}]
    path = store.path(labels) / "labels.parquet"
    judged = set(read_table(path, "labels", ["instance_id"])["instance_id"].to_pylist())
    true = {row["instance_id"] for row in own if row["source"] in ("human", "synthetic")}
    return [key for key in kept if key in judged & true], [key for key in kept if key in judged]


def deal(
    candidates: Sequence[str],
    known: Sequence[str],
    reviewers: Sequence[str],
    share: int | None,
    overlap: int,
    gold: int,
    seed: int = 0,
) -> dict[str, Order]:
    """Each reviewer's order: a share of their own, what all get, known instances at random places.

    The candidates' order is kept: all reviewers get equally good ones, the best first.

    Raises:
        SettingsError: fewer instances than asked for, none for someone, nobody, or a name twice.
    """
    _check(reviewers, share, overlap, gold, len(known))
    rng = np.random.default_rng(seed)
    chosen: list[int] = sorted(rng.choice(len(known), gold, replace=False).tolist()) if gold else []
    golden = [str(known[i]) for i in chosen]
    rest = [key for key in candidates if key not in set(golden)]
    each = max(0, len(rest) - overlap) // len(reviewers) if share is None else share
    wanted = overlap + each * len(reviewers)
    if wanted > len(rest):
        raise SettingsError(
            f"at least {wanted} instances", f"{len(rest)}", "Ask for smaller shares or less overlap."
        )
    extra = len(rest) - wanted if share is None else 0  # of an uneven division, one each for the first
    dealt = rest[: wanted + extra]
    common = {dealt[i] for i in rng.choice(len(dealt), overlap, replace=False)} if overlap else set()
    single = [key for key in dealt if key not in common]
    orders = {}
    for i, reviewer in enumerate(reviewers):
        own = set(single[i :: len(reviewers)])
        order = [key for key in dealt if key in own or key in common]
        for key, place in zip(
            golden, sorted(rng.integers(0, len(order) + 1, gold), reverse=True), strict=True
        ):
            order.insert(int(place), key)
        if not order:
            remedy = "Ask for more with --share, --overlap or --gold, or name fewer reviewers."
            raise SettingsError("an instance for each reviewer", f"none for {reviewer}", remedy)
        orders[reviewer] = Order(tuple(order), tuple(golden), tuple(key for key in dealt if key in common))
    return orders


def _check(reviewers: Sequence[str], share: int | None, overlap: int, gold: int, n_known: int) -> None:
    if not reviewers or len(set(reviewers)) < len(reviewers):
        raise SettingsError(
            "reviewers' names, each once", ", ".join(reviewers) or "none", "Correct --reviewers."
        )
    if min(share or 0, overlap, gold) < 0:
        raise SettingsError("numbers from 0 on", f"{share}, {overlap}, {gold}", "Correct the numbers.")
    if gold > n_known:
        raise SettingsError(
            f"{gold} instances of known truth",
            f"{n_known} with labels to judge and human or synthetic ones of the data set's own",
            "Ask for fewer with --gold, or name the labels to judge with --labels.",
        )
