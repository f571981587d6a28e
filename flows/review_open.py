"""An App for one reviewer: the desk's settings, the plugin, a port of its own."""

import atexit
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotation_ui.app import LOOPBACK, port_is_free
from annotation_ui.desk_settings import VARIABLE, DeskSettings, read_settings, write_settings
from densecorr.errors import SettingsError

from .review_next import export_command
from .review_orders import orders_of, read_order, selected_order
from .review_templates import find_template
from .session import say, state_folder

if TYPE_CHECKING:
    from storage.artifacts import Store

FIRST_PORT = 5151


def free_port(first: int = FIRST_PORT, address: str = LOOPBACK) -> int:
    """The first free TCP port of an address from `first` on.

    Raises:
        SettingsError: none of a hundred is, or the address is not this machine's.
    """
    for port in range(first, first + 100):
        if port_is_free(address, port):
            return port
    raise SettingsError(f"a free port from {first} on", "none of 100", "Name one with --port.")


def reserve_port(reviewer: str | None = None, address: str = LOOPBACK) -> int:
    """A free port that no App of this user which is starting just now has taken; taken until this process ends.

    The one that the reviewer had last, else the first: a browser keeps acts that were not stored by address and port.

    Raises:
        SettingsError: as `free_port`, or a name that cannot be a reviewer's.
    """
    from filelock import FileLock, Timeout

    from storage.filesystem import write_atomically
    from storage.journal import check_reviewer

    folder = state_folder() / "review" / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    last = None if reviewer is None else folder / f"{check_reviewer(reviewer)}.last"
    port = free_port(int(last.read_text()) if last and last.exists() else FIRST_PORT, address)
    while True:
        lock = FileLock(folder / f"{address}-{port}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            port = free_port(port + 1, address)
            continue
        atexit.register(lock.release)
        if last is not None:
            write_atomically(last, str(port).encode())
        return port


def prepare_desk(
    store: "Store",
    dataset_id: str,
    name: str,
    reviewer: str,
    labels: Sequence[str],
    opinion: str | None,
    templates: Sequence[str],
    order: Path | None,
) -> DeskSettings:
    """The settings of a reviewer's desk; refuses here what would fail in the App.

    Args:
        store: where everything is.
        dataset_id: the data set.
        name: what to call it.
        reviewer: who; letters, digits, '.', '_', '-', '@'.
        labels: ids of the labels to judge: one, or none for the data set's own.
        opinion: id of labels to suggest from.
        templates: ids of templates to look among first.
        order: a file of instance ids; None: the reviewer's share, if `review assign` made one, else `select`'s order.

    Raises:
        SettingsError: several labels, a name that cannot be a reviewer's, an order that is none.
        ArtifactError: no template for the labels.
        JournalError: the reviewer's journal is damaged, or cannot be read.
    """
    from storage.journal import Journal, check_reviewer, journal_path

    check_reviewer(reviewer)
    if len(labels) > 1:
        raise SettingsError(
            "one label artifact to judge",
            f"{len(labels)}",
            "Name one with --labels; others can be browsed without --reviewer.",
        )
    chosen = next(iter(labels), None)
    settings = DeskSettings(
        store=store.place.uri,
        dataset=dataset_id,
        name=name,
        reviewer=reviewer,
        template=find_template(store, chosen or dataset_id, [chosen or dataset_id, dataset_id], templates),
        labels=chosen,
        opinion=opinion,
    )
    share = read_order(store, dataset_id, reviewer, order) or selected_order(store, chosen)
    Journal(journal_path(store, reviewer), check=True).close()
    return settings if share is None else replace(settings, order=share.instances, gold=share.gold)


def gold_is_dealt(store: "Store", settings: DeskSettings) -> bool:
    """Whether this reviewer or any other got instances of known truth: then no reviewer may see it."""
    shares = orders_of(store, settings.dataset).values()
    return bool(settings.gold) or any(share.gold for share in shares)


def with_similarities(store: "Store", settings: DeskSettings, similarities: str) -> DeskSettings:
    """The settings with heat maps of features; refuses here what would fail in the App.

    Raises:
        ArtifactError: the artifact holds none, or those to another template.
    """
    from annotation_ui.desk_similarity import DeskSimilarity
    from densecorr.templates.stored import read_template

    DeskSimilarity(read_template(store.path(settings.template)), store.path(similarities))
    return replace(settings, similarities=similarities)


def make_blank(
    store: "Store", dataset_id: str, labels: Sequence[str], templates: Sequence[str], category: str | None
) -> str:
    """The label artifact to annotate from scratch, made if there is none yet: an empty label set an object.

    Raises:
        SettingsError: labels are named as well, or not exactly one template.
    """
    from .blank_labels import STAGE, BlankLabels
    from .progress import StageProgress
    from .stage import run_stage

    if labels:
        raise SettingsError("either --scratch or --labels", "both", "Leave one out.")
    if len(templates) != 1:
        raise SettingsError(
            "the template to annotate with", f"{len(templates)}", "Name one: --scratch --templates TEMPLATE"
        )
    command = BlankLabels(dataset=dataset_id, template=store.resolve(templates[0]), category=category)
    with StageProgress("blank-labels") as progress:
        return run_stage(STAGE, command, store, progress)


def use_desk(settings: DeskSettings) -> None:
    """Hand the settings and the plugin to a FiftyOne that is imported later; one folder a reviewer and data set."""
    from annotation_ui.plugins import use_review_plugin

    key = hashlib.sha256(f"{settings.store}\0{settings.dataset}".encode()).hexdigest()[:12]
    folder = state_folder() / "review" / f"{key}-{settings.reviewer}"
    write_settings(folder / "desk.json", settings)
    os.environ[VARIABLE] = str(folder / "desk.json")
    use_review_plugin(folder / "plugins")


def no_login_warning(address: str, port: int, reviewer: str | None) -> str:
    """What everyone can do who reaches an App on an address that is not a loop-back one."""
    acts = "" if reviewer is None else f" and decide as {reviewer}"
    return (
        f"WARNING: the App listens on {address}:{port}, and FiftyOne has no login. Whoever reaches that port can look "
        f"at the images and every other file you can read{acts}. See 'Over a network' in docs/review.md."
    )


def finish(store: "Store", dataset_id: str, reviewer: str) -> None:
    """After the App: give back the leases, copy what still waits in the journals into the decisions table."""
    from annotation_ui.desk_leases import DeskLeases
    from annotation_ui.leases import MongoLeases, database_name
    from annotation_ui.mongo import running_uri
    from storage.decisions import compact

    uri = running_uri()
    if uri is not None:
        DeskLeases(MongoLeases(uri, database_name(), dataset_id), reviewer).release(None)
    report = compact(store)
    if report.n_added:
        say(f"{report.n_added} decisions copied into the store's table")
    for problem in report.problems:
        say(problem)
    if os.environ.get(VARIABLE):
        settings = read_settings()
        say(f"to make the corrected labels: {export_command(store, settings.dataset, settings.labels)}")
