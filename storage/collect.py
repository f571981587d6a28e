"""Garbage: drafts nobody works on, artifacts that no tag needs, and what is no artifact at all.

Nothing a live process works on is touched: its draft is locked, the inputs its draft names are kept, and so
is every artifact that was found or made within `min_age_s`, with its inputs, because a pipeline between two
stages holds no lock.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pyarrow import fs

from . import catalog
from .copies import copy_folder
from .drafts import FoundDraft, find_drafts, remove_if_free, remove_stray_locks
from .filesystem import TEMPORARY_PREFIX, Place, folder_bytes, list_folder, remove_folder
from .lineage import ancestors
from .manifest import MANIFEST_NAME, Manifest
from .publish import set_aside
from .recipe import ArtifactId

UPLOAD_GRACE_S = 86400.0  # an upload without a manifest may belong to a live process on another machine


@dataclass(frozen=True)
class GcItem:
    """One thing that nothing reachable needs; `free` is False if it is spared, for the reason in `why`."""

    kind: Literal["draft", "artifact", "leftover", "copy"]
    path: str
    n_bytes: int
    free: bool
    why: str


@dataclass(frozen=True)
class GcReport:
    """What gc found; with `deleted` the items marked `free` are gone."""

    items: list[GcItem]
    deleted: bool

    @property
    def freed_bytes(self) -> int:
        """Bytes of the items marked `free`."""
        return sum(item.n_bytes for item in self.items if item.free)


@dataclass(frozen=True)
class _Scan:
    """The store as gc found it; `used` is when each artifact was last found or made, seconds since 1970."""

    manifests: dict[ArtifactId, Manifest]
    used: dict[ArtifactId, float]
    drafts: list[FoundDraft]
    now: float
    min_age_s: float


def collect_garbage(place: Place, *, delete: bool = False, min_age_s: float | int = 3600.0) -> GcReport:
    """Find, and with `delete` remove, what neither a tag nor a live process needs.

    Args:
        place: the store.
        delete: remove the items; otherwise only say what would go.
        min_age_s: spare artifacts and resumable drafts used within this time, and half-made uploads for a
            day; 0 spares only what is in use.
    """
    drafts = find_drafts(place)  # before the manifests: a draft published in between is then both, and spared
    manifests = {manifest.artifact_id: manifest for manifest in catalog.list_manifests(place)}
    used = {artifact_id: _last_use(place, manifest) for artifact_id, manifest in manifests.items()}
    scan = _Scan(manifests, used, drafts, time.time(), float(min_age_s))

    draft_items = [_draft_item(found, scan) for found in drafts]
    artifact_items = _artifact_items(place, scan, draft_items)
    leftovers = _leftover_items(place, scan)
    going = {Path(item.path).name for item in artifact_items if item.free}
    items = [*draft_items, *artifact_items, *leftovers, *_copy_items(place, set(manifests) - going)]
    if delete:
        items = [item for item in items if not item.free or _remove(place, item, scan)]
        remove_stray_locks(place)
    return GcReport(items, delete)


def _last_use(place: Place, manifest: Manifest) -> float:
    info = place.filesystem.get_file_info(_manifest_path(place, manifest.artifact_id))
    return _time_of(info) or datetime.fromisoformat(manifest.created).timestamp()


def _manifest_path(place: Place, artifact_id: ArtifactId) -> str:
    return f"{catalog.artifact_folder(place, artifact_id)}/{MANIFEST_NAME}"


def _time_of(info: fs.FileInfo) -> float | None:
    return info.mtime_ns / 1e9 if info.mtime_ns is not None else None


def _draft_item(found: FoundDraft, scan: _Scan) -> GcItem:
    size = folder_bytes(found.folder)
    if found.in_use:
        note = found.note or {}
        return GcItem("draft", str(found.folder), size, False, f"in use by process {note.get('pid', '?')}")
    if found.resumable and scan.now - _newest(found.folder) < scan.min_age_s:
        return GcItem("draft", str(found.folder), size, False, "interrupted a short time ago, can be resumed")
    return GcItem("draft", str(found.folder), size, True, "interrupted, nobody works on it")


def _newest(folder: Path) -> float:
    times = [folder.lstat().st_mtime]
    for path in folder.rglob("*"):
        times.append(path.lstat().st_mtime)
    return max(times)


def _artifact_items(place: Place, scan: _Scan, draft_items: list[GcItem]) -> list[GcItem]:
    """The artifacts that no tag reaches, newest first, so that none outlives what it was made from."""
    kept = ancestors(scan.manifests, set(catalog.read_tags(place).values()))
    working = [found for found, item in zip(scan.drafts, draft_items, strict=True) if not item.free]
    if any(
        found.note is None for found in working
    ):  # a run that starts right now: its inputs are not known yet
        in_use = set(scan.manifests)
    else:
        in_use = ancestors(scan.manifests, {key for found in working for key in found.inputs})
    recent = {key for key, when in scan.used.items() if scan.now - when < scan.min_age_s}
    recent = ancestors(scan.manifests, recent)
    items = []
    for artifact_id in sorted(
        set(scan.manifests) - kept, key=lambda key: scan.manifests[key].created, reverse=True
    ):
        manifest = scan.manifests[artifact_id]
        if artifact_id in in_use:
            free, why = False, "an input of a run in progress"
        elif artifact_id in recent:
            free, why = False, f"used, or an input of one used, in the last {scan.min_age_s / 60:.0f} minutes"
        else:
            free, why = True, f"{manifest.stage}: no tag needs it"
        items.append(
            GcItem("artifact", catalog.artifact_folder(place, artifact_id), manifest.size, free, why)
        )
    return items


def _leftover_items(place: Place, scan: _Scan) -> list[GcItem]:
    """What is in the store's folders and no artifact: no manifest, lost uploads, temporary files."""
    items = []
    for info in list_folder(place.filesystem, place.join(catalog.ARTIFACTS)):
        manifest = scan.manifests.get(info.base_name)
        if manifest is None:
            if not place.filesystem.get_file_info(f"{info.path}/{MANIFEST_NAME}").is_file:
                items.append(_leftover(place, info, scan, "no manifest"))
        elif not place.is_local:
            for upload in list_folder(place.filesystem, info.path):
                if upload.base_name not in (MANIFEST_NAME, manifest.data_folder):
                    items.append(_leftover(place, upload, scan, "an upload that another one overtook"))
    folders = [place.join(catalog.REFS), place.join("sources")] if place.is_local else []
    for info in (found for folder in folders for found in list_folder(place.filesystem, folder)):
        if (
            info.base_name.startswith(TEMPORARY_PREFIX)
            and scan.now - (_time_of(info) or 0.0) >= scan.min_age_s
        ):
            items.append(GcItem("leftover", info.path, info.size or 0, True, "half-written"))
    return items


def _leftover(place: Place, info: fs.FileInfo, scan: _Scan, why: str) -> GcItem:
    inside = [info] if info.is_file else list_folder(place.filesystem, info.path, recursive=True)
    size = sum(found.size or 0 for found in inside if found.is_file)
    if (
        not place.is_local and scan.min_age_s > 0
    ):  # locally an artifact appears with its manifest or not at all
        newest = max((_time_of(found) or scan.now for found in inside), default=scan.now)
        if scan.now - newest < max(scan.min_age_s, UPLOAD_GRACE_S):
            return GcItem("leftover", info.path, size, False, f"{why}, but may still be going up")
    return GcItem("leftover", info.path, size, True, why)


def _copy_items(place: Place, staying: set[ArtifactId]) -> list[GcItem]:
    """Local copies of artifacts of an object store that are no longer there."""
    if place.is_local:
        return []
    copies = list_folder(fs.LocalFileSystem(), str(place.workspace / catalog.ARTIFACTS))
    return [
        GcItem(
            "copy", info.path, folder_bytes(Path(info.path)), True, "local copy of an artifact that is gone"
        )
        for info in copies
        if info.base_name not in staying
    ]


def _remove(place: Place, item: GcItem, scan: _Scan) -> bool:
    """Remove one item; False if it came into use since the scan."""
    if item.kind == "draft":
        return remove_if_free(Path(item.path))
    if item.kind == "copy":
        remove_folder(Path(item.path))
        return True
    artifact_id = Path(item.path).name
    if item.kind == "artifact" and _last_use(place, scan.manifests[artifact_id]) != scan.used[artifact_id]:
        return False
    if place.is_local:
        set_aside(place, Path(item.path))
        return True
    if item.kind == "artifact":
        place.filesystem.delete_file(_manifest_path(place, artifact_id))  # from here on it does not exist
        remove_folder(copy_folder(place, artifact_id))
    if place.filesystem.get_file_info(item.path).is_file:
        place.filesystem.delete_file(item.path)
    else:
        place.filesystem.delete_dir(item.path)
    return True
