"""Acts of a page that is older than this App: on label sets that it does not show, but that the store knows."""

from functools import lru_cache

from densecorr.records import LabelRecord
from storage.artifacts import Store
from storage.label_tables import label_tables, read_label_sets

from .desk_data import DeskData, label_digest
from .desk_errors import DeskError


class EarlierLabels:
    """Label sets of other artifacts, looked for when an act names one."""

    def __init__(self, store: Store, dataset_id: str, template_id: str) -> None:
        self._store, self._dataset_id, self._template_id = store, dataset_id, template_id
        self.find = lru_cache(64)(self._find)

    def of_act(
        self, data: DeskData, instance_id: str, label_id: str, revision: str
    ) -> tuple[LabelRecord, DeskError | None]:
        """The label set that an act is about and, where it is not the one that `data` shows, what to say of it.

        Raises:
            DeskError: as `DeskData.check_seen`, where the store does not know the label set either.
        """
        try:
            return data.check_seen(instance_id, label_id, revision), None
        except DeskError as error:
            label = None if error.kind != "stale" else self.find(instance_id, label_id, revision)
            if label is None or label_id == data.label_id(instance_id):
                raise
            return label, _kept_notice(label)

    def _find(self, instance_id: str, label_id: str, revision: str) -> LabelRecord | None:
        """The label set that a page showed, of the same template; None if the store has it not, or not any more."""
        for _, path in label_tables(self._store, {self._dataset_id}):
            for label in read_label_sets(path, {label_id}):
                same = (label.instance_id, label.template_id) == (instance_id, self._template_id)
                if same and label_digest(label) == revision:
                    return label
        return None


def _kept_notice(label: LabelRecord) -> DeskError:
    """What the reviewer is told (`stale`) when such an act was stored."""
    return DeskError(
        "stale",
        "an act on the labels that this App shows",
        f"one on '{label.label_id}', from a page that is older",
        "It is stored, about those labels. Reload the page, and carry decisions over with: densecorr review reconcile",
    )
