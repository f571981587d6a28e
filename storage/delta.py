"""The Delta table of the decisions: opened, checked, extended by what it does not hold yet, kept in few files.

Every commit carries a number under one application id, and of two commits that read the same number Delta takes
one: the other reads again what is there. So no row comes twice, from however many machines.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from filelock import FileLock

from densecorr.errors import ArtifactError

from .filesystem import Place, explain_full_disk, flush_folder, is_disk_full
from .journal import REVIEW, review_folder
from .schemas import DECISIONS, NAME_KEY, READABLE, VERSION, VERSION_KEY

_APP = "densecorr.decisions"
_ATTEMPTS = 50
_MANY_FILES = 64
_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")
_CONFIGURATION = {
    "delta.appendOnly": "true",
    "delta.dataSkippingStatsColumns": "decision_id,dataset_id,instance_id,reviewer,time",
    NAME_KEY.decode(): "decisions",
    VERSION_KEY.decode(): VERSION,
}


def table_address(place: Place) -> tuple[str, dict[str, str]]:
    """The table's folder or address, and the options Delta needs to reach it.

    What pyarrow reads from the address of an S3 store (keys, region, endpoint) becomes options; all else Delta
    takes from the usual variables (AWS_..., GOOGLE_..., AZURE_...).

    Raises:
        ArtifactError: Delta does not know such a place.
    """
    if place.is_local:
        path = place.join(REVIEW, "decisions")
        if "%" in path:
            raise ArtifactError(
                "a store for decisions without '%' in its path",
                path,
                "Rename the folder: Delta misreads '%'.",
            )
        return path, {}
    parts = urlsplit(place.uri)
    if parts.scheme not in _SCHEMES:
        raise ArtifactError(
            f"a store for decisions in a local folder or under {', '.join(_SCHEMES)}",
            place.uri,
            "Review in another store.",
        )
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    options = {"AWS_REGION": query.get("region"), "AWS_ENDPOINT_URL": query.get("endpoint_override")}
    if endpoint := options["AWS_ENDPOINT_URL"]:
        scheme = query.get("scheme", "https")
        options["AWS_ENDPOINT_URL"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        options["AWS_ALLOW_HTTP"] = "true" if scheme == "http" else None
    if parts.username:
        options["AWS_ACCESS_KEY_ID"] = unquote(parts.username)
        options["AWS_SECRET_ACCESS_KEY"] = unquote(parts.password or "")
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/{REVIEW}/decisions"
    return address, {key: value for key, value in options.items() if value}


def read_rows(place: Place, condition: ds.Expression | None) -> pa.Table:
    """The rows of the table that fit; none if there is no table yet.

    Raises:
        ArtifactError: the table is damaged, cannot be reached, or is not ours.
    """
    table = _open(place)
    return DECISIONS.empty_table() if table is None else _select(place, table, condition)


def append_rows(place: Place, rows: pa.Table) -> tuple[int, list[str]]:
    """Add the rows whose id the table does not hold; how many those were, and the ids held with other content.

    The rows are on the disk when this returns, where the store is local.

    Raises:
        ArtifactError: the table is damaged, cannot be reached or is not ours, the disk is full, or other
            processes were faster again and again.
    """
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        try:
            with explain_full_disk(place, "decisions"), _locked(place):
                return _append_once(place, rows)
        except CommitFailedError as error:  # another commit came in between: look again what is there
            failure = error
            time.sleep(random.uniform(0, 0.02 * (attempt + 1)))
    raise ArtifactError(
        f"to add decisions to {table_address(place)[0]}",
        f"{_ATTEMPTS} times '{failure}'",
        "Other processes add decisions all the time: try again later.",
    ) from failure


def tidy(place: Place) -> None:
    """Make few files of many; files that no reader can be at any more (a week old) are deleted.

    Raises:
        ArtifactError: the table is damaged or cannot be reached, or the disk is full.
    """
    with explain_full_disk(place, "decisions"), _locked(place):
        table = _open(place)
        if table is None or len(table.file_uris()) < _MANY_FILES:
            return
        started = time.time()
        with _explained(place), contextlib.suppress(CommitFailedError):  # another machine was at it, too
            table.optimize.compact()
            _flush(place, started)
            table.vacuum(dry_run=False)


def _open(place: Place) -> DeltaTable | None:
    address, options = table_address(place)
    with _explained(place):
        try:
            table = DeltaTable(address, storage_options=options)
        except TableNotFoundError:
            return None
        found = table.metadata().configuration
        schema = pa.schema(table.schema().to_arrow())
    version = found.get(VERSION_KEY.decode())
    if found.get(NAME_KEY.decode()) != "decisions" or version not in READABLE:
        raise ArtifactError(
            f"version {VERSION} of the table decisions in {address}",
            f"{found.get(NAME_KEY.decode(), 'a table without that mark')}, version {version or 'unknown'}",
            "Use the densecorr version that made it, or move the folder away.",
        )
    if not schema.equals(DECISIONS, check_metadata=False):
        differ = sorted({str(field) for field in schema} ^ {str(field) for field in DECISIONS})
        raise ArtifactError(
            f"the columns {', '.join(DECISIONS.names)} in {address}",
            f"others ({', '.join(differ)})",
            "Another program changed the table: move the folder away, or restore it from a copy.",
        )
    return table


def _create(place: Place) -> DeltaTable:
    address, options = table_address(place)
    with _explained(place):
        with contextlib.suppress(CommitFailedError):  # another machine was faster
            DeltaTable.create(
                address,
                DECISIONS,
                mode="ignore",
                name="decisions",
                configuration=_CONFIGURATION,
                storage_options=options,
                raise_if_key_not_exists=False,
            )
        return DeltaTable(address, storage_options=options)


def _known(place: Place, table: DeltaTable, rows: pa.Table) -> pa.Table:
    """The rows of the table that have the ids of these; files that cannot hold them are not read."""
    ids, key = rows["decision_id"].combine_chunks(), ds.field("decision_id")
    ends = pc.min_max(ids)
    return _select(place, table, (key >= ends["min"]) & (key <= ends["max"]) & key.isin(ids))


def _select(place: Place, table: DeltaTable, condition: ds.Expression | None) -> pa.Table:
    with _explained(place):
        return table.to_pyarrow_dataset().to_table(filter=condition).cast(DECISIONS)


def _clashes(known: pa.Table, rows: pa.Table) -> list[str]:
    """The ids that two tables hold with different content."""
    same = rows.filter(pc.is_in(rows["decision_id"], known["decision_id"])).sort_by("decision_id")
    known = known.sort_by("decision_id")
    if same.equals(known):
        return []
    pairs = zip(same.to_pylist(), known.to_pylist(), strict=True)
    return [ours["decision_id"] for ours, theirs in pairs if ours != theirs]


def _append_once(place: Place, rows: pa.Table) -> tuple[int, list[str]]:
    started = time.time()
    table = _open(place) or _create(place)
    known = _known(place, table, rows)
    new = rows.filter(pc.invert(pc.is_in(rows["decision_id"], known["decision_id"])))
    if len(new):
        number = table.transaction_version(_APP)
        mark = Transaction(_APP, 0 if number is None else number + 1)
        with _explained(place):
            write_deltalake(
                table,
                new,
                mode="append",
                writer_properties=WriterProperties(compression="ZSTD"),
                commit_properties=CommitProperties(app_transactions=[mark]),
            )
    _flush(place, started)
    return len(new), _clashes(known, rows)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """One writer at a time on this machine; between machines Delta's own check decides."""
    folder = review_folder(place)
    with _explained(place):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "decisions.lock"):
            yield


def _flush(place: Place, started: float) -> None:
    """Bring to the disk what was written since: Delta does not, and a journal forgets what it has handed over."""
    if not place.is_local:
        return
    root = Path(table_address(place)[0])
    for path in root.rglob("*"):
        if path.is_file() and path.stat().st_mtime >= started - 1:  # the file system's clock is coarser
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    for folder in (root / "_delta_log", root, root.parent, root.parent.parent):
        flush_folder(folder)


@contextlib.contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Turn Delta's complaints into an ArtifactError."""
    failures: Any = (DeltaError, OSError, pa.ArrowException)
    try:
        yield
    except failures as error:
        if isinstance(error, CommitFailedError) or is_disk_full(error):
            raise
        raise ArtifactError(
            f"to read or write the decisions in {table_address(place)[0]}",
            f"'{error}'",
            "Check permissions, credentials and the network. If a file was damaged by a power cut, delete the newest "
            "file of _delta_log: the acts of that commit are still in the journals.",
        ) from error
