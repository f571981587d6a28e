"""`densecorr review`: look at a data set and its labels in FiftyOne, and decide about them in a panel there."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from annotation_ui.app import LOOPBACK, is_loopback
from densecorr.errors import SettingsError

from .review_agreement import ReviewAgreement
from .review_assign import ReviewAssign
from .review_export import ReviewExport
from .review_import import ReviewImport
from .review_open import (
    finish,
    gold_is_dealt,
    make_blank,
    no_login_warning,
    prepare_desk,
    reserve_port,
    use_desk,
    with_similarities,
)
from .review_reconcile import ReviewReconcile
from .review_recover import ReviewRecover
from .review_simulate import ReviewSimulate
from .review_status import ReviewStatus
from .review_sync import ReviewSync, fiftyone_names, sync, writing_to_fiftyone
from .review_templates import find_colors, foreign_labels
from .session import Session, say

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class ReviewOpen:
    """Browse a data set with its labels in FiftyOne until Ctrl-C; with --reviewer, review it blind."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    labels: tuple[str, ...] = ()
    """Label artifacts to show beside the data set's own labels."""
    templates: tuple[str, ...] = ()
    """Template artifacts to colour the points with; by default those the labels were made with."""
    name: str | None = None
    """Name of the FiftyOne data set (-review is added for reviewers); by default densecorr-<first digits of the id>."""
    reviewer: str | None = None
    """Your name: opens the review panel on the label set named, or the data set's own; one App a reviewer."""
    opinion: str | None = None
    """With --reviewer: a label artifact, such as the trained model's, to suggest corrections from."""
    similarities: str | None = None
    """With --reviewer: an artifact of the stage `similarities`, for heat maps of the image's features."""
    scratch: bool = False
    """Annotate from scratch: an empty label set for each object, of the template that --templates names."""
    category: str | None = None
    """With --scratch: objects of this category only."""
    order: Path | None = None
    """With --reviewer: a file of instance ids to go through, one a line; by default your share (`review assign`)."""
    port: int | None = None
    """Port of the App; 5151, with --reviewer the first free one from there on."""
    address: str = LOOPBACK
    """Where the App listens. Any other, such as 0.0.0.0, lets in all who can reach it: FiftyOne has no login."""
    overlays: tuple[Literal["colors", "iuv", "error"], ...] = ()
    """Also paint each silhouette like its nearest labelled point: its colour, chart position or expected error."""
    browser: bool = False
    """Open your browser as well."""
    export_only: bool = False
    """Bring the FiftyOne data set up to date and stop there."""

    def __call__(self, session: Session) -> None:
        """Export, then serve the App."""
        main(self, session.open_store())


@dataclass(frozen=True)
class ReviewRemove:
    """Remove an exported data set from FiftyOne; the artifacts stay."""

    name: Positional[str]
    """Name of the FiftyOne data set."""

    def __call__(self, session: Session) -> None:
        """Remove it."""
        from annotation_ui.samples import remove_dataset

        remove_dataset(self.name)
        say(f"removed '{self.name}' from FiftyOne")


Review = OmitSubcommandPrefixes[
    Annotated[ReviewOpen, subcommand("open")]
    | Annotated[ReviewStatus, subcommand("status")]
    | Annotated[ReviewAssign, subcommand("assign")]
    | Annotated[ReviewAgreement, subcommand("agreement")]
    | Annotated[ReviewReconcile, subcommand("reconcile")]
    | Annotated[ReviewRecover, subcommand("recover")]
    | Annotated[ReviewSimulate, subcommand("simulate")]
    | Annotated[ReviewSync, subcommand("sync")]
    | Annotated[ReviewExport, subcommand("export")]
    | Annotated[ReviewImport, subcommand("import")]
    | Annotated[ReviewRemove, subcommand("remove")]
]


def main(command: ReviewOpen, store: "Store") -> None:
    """Bring FiftyOne's copy up to date and, unless `export_only`, serve the App until Ctrl-C.

    Raises:
        ArtifactError: the store holds no such data set, labels or template.
        DependencyError: no MongoDB for FiftyOne.
        SettingsError: the port is in use, the address is not this machine's, the name belongs to another FiftyOne data
            set, or an option of a review without a reviewer.
    """
    from annotation_ui.app import check_address, database_answers, import_fiftyone, open_app
    from annotation_ui.plugins import PANEL
    from annotation_ui.samples import export_dataset

    from .progress import StageProgress

    if command.reviewer is None and (command.opinion or command.order or command.similarities):
        raise SettingsError(
            "--reviewer with --opinion, --order and --similarities", "none", "Add --reviewer NAME."
        )
    if command.category is not None and not command.scratch:
        raise SettingsError(
            "--category with --scratch", "without", "Name the labels of one category instead."
        )
    dataset_id = store.resolve(command.dataset)
    label_ids = [store.resolve(text) for text in command.labels]
    for warning in filter(None, (foreign_labels(store, dataset_id, one) for one in label_ids)):
        say(warning)
    if command.scratch:
        label_ids.insert(0, make_blank(store, dataset_id, label_ids, command.templates, command.category))
    port = command.port or reserve_port(command.reviewer, command.address)
    if not command.export_only:
        check_address(command.address, port)
    names = fiftyone_names(dataset_id, command.name)
    name = names[command.reviewer is not None]
    shown, order, with_truth = label_ids, None, True
    if command.reviewer is not None:
        opinion = None if command.opinion is None else store.resolve(command.opinion)
        desk = prepare_desk(
            store, dataset_id, name, command.reviewer, label_ids, opinion, command.templates, command.order
        )
        tags = store.tags()
        tags = tuple(text for text in (command.dataset, *command.labels) if text in tags)
        if command.similarities is not None:
            desk = with_similarities(store, desk, store.resolve(command.similarities))
        use_desk(replace(desk, tags=tags))
        shown = label_ids if opinion is None or opinion in label_ids else [*label_ids, opinion]
        order = desk.order if command.order is not None else None
        with_truth = not gold_is_dealt(store, desk)
    colors = find_colors(store, [dataset_id, *shown], command.templates)
    say("starting FiftyOne")
    import_fiftyone()
    with writing_to_fiftyone(), StageProgress("review") as progress:
        folders = [store.path(label_id) for label_id in shown]
        summary = export_dataset(
            store.path(dataset_id),
            folders,
            colors,
            name,
            overlays=command.overlays,
            progress=progress,
            blind=command.reviewer is not None,
            with_truth=with_truth,
        )
    say(str(summary))
    synced = partial(sync, store, dataset_id, next(iter(label_ids), None), names, order)
    synced()
    if command.export_only:
        return
    if command.reviewer is not None:
        say(f"{command.reviewer} reviews in the App's tab 'Review'")
    else:
        say("no --reviewer: browsing only; to judge labels add --reviewer NAME")
    if not is_loopback(command.address):
        say(no_login_warning(command.address, port, command.reviewer))
    try:
        panel = PANEL if command.reviewer else None
        open_app(name, port, command.address, browser=command.browser, panel=panel)
    finally:
        if command.reviewer is not None:
            finish(store, dataset_id, command.reviewer)
        if database_answers():
            synced()
