"""Keypoints as landmarks of a template: two small tables that a user can edit, and errors of labels against them.

`keypoint_landmarks.csv` (keypoint_set, keypoint, landmark) says which landmark a keypoint stands for, by where
annotators put it; `landmarks_<shape>.csv` (landmark, vertex) where the landmark is on a shipped shape
(infra/make_landmarks.py). Keypoints are joints or features, a landmark is one vertex on the skin near it: on a person
6 to 14 cm of error at a joint are the tables', not the labels' (docs/keypoints.md).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import AnnotationError, DatasetNotFoundError
from ..templates import catalog_names, load_catalog_mesh
from ..templates.template import Template, geodesic_rows
from .keypoints import KeypointSet

SHIC_SCALE = 228.0  # SHIC, sec. 4: the template's diameter is 228


@dataclass(frozen=True)
class LandmarkErrors:
    """One row a keypoint that a label was compared with.

    `keypoint` is an index into the set's names; `error` metres along the surface (inf: no label within reach);
    `swapped`: the label is nearer to the other side's landmark; `paired`: there is another side.
    """

    keypoint: Int[np.ndarray, " N"]
    error: Float[np.ndarray, " N"]
    swapped: Bool[np.ndarray, " N"]
    paired: Bool[np.ndarray, " N"]


def default_landmarks(template: Template) -> dict[str, int] | None:
    """Landmark to vertex of the shipped shape that a template was made of; None for any other mesh."""
    for shape in catalog_names():
        V, F = load_catalog_mesh(shape)
        if len(V) == len(template.V) and np.array_equal(F, template.F):
            return parse_landmarks(_shipped(f"landmarks_{shape}.csv"), shape)
    return None


def read_landmarks(path: Path) -> dict[str, int]:
    """A user's table (.csv: landmark, vertex).

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another header, a row without a vertex, a landmark twice.
    """
    return parse_landmarks(_read(path), str(path))


def parse_landmarks(text: str, name: str) -> dict[str, int]:
    """The rows of a landmark table; rows whose vertex is left empty are left out. Errors as of `read_landmarks`."""
    found: dict[str, int] = {}
    for row in _rows(text, name, ("landmark", "vertex")):
        if not row["vertex"]:
            continue
        if not row["vertex"].isdecimal() or not row["vertex"].isascii():
            raise AnnotationError(
                "a vertex from 0", f"'{row['vertex']}' for {row['landmark']} in {name}", "Correct it."
            )
        if row["landmark"] in found:
            raise AnnotationError("each landmark once", f"{row['landmark']} again in {name}", "Keep one row.")
        found[row["landmark"]] = int(row["vertex"])
    return found


def keypoint_landmarks(keypoint_set: str, path: Path | None = None) -> dict[str, str]:
    """Keypoint to landmark of one set, from the shipped table or a user's (.csv: keypoint_set, keypoint, landmark).

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another header, or no row of that set.
    """
    name = "keypoint_landmarks.csv" if path is None else str(path)
    text = _shipped(name) if path is None else _read(path)
    rows = _rows(text, name, ("keypoint_set", "keypoint", "landmark"))
    found = {
        r["keypoint"]: r["landmark"] for r in rows if r["keypoint_set"] == keypoint_set and r["landmark"]
    }
    if not found:
        known = sorted({row["keypoint_set"] for row in rows})
        raise AnnotationError(
            f"rows of the keypoint set '{keypoint_set}'", f"only {', '.join(known)} in {name}", "Add them."
        )
    return found


def format_landmarks(landmarks: Sequence[str], vertices: Mapping[str, int]) -> str:
    """A landmark table as text, to be edited; the vertex stays empty where it is not known."""
    return "".join(
        f"{row}\n" for row in ("landmark,vertex", *(f"{n},{vertices.get(n, '')}" for n in landmarks))
    )


def keypoint_vertices(
    keypoint_set: KeypointSet, landmarks: Mapping[str, str], vertices: Mapping[str, int], template: Template
) -> Int[np.ndarray, " K"]:
    """The template vertex of each keypoint of a set, -1 where a table has none.

    Raises:
        AnnotationError: a vertex that the template does not have, or no keypoint with a vertex at all.
    """
    found = np.array(
        [vertices.get(landmarks.get(name, ""), -1) for name in keypoint_set.names], dtype=np.int64
    )
    if found.max() >= len(template.V):
        raise AnnotationError(
            f"vertices below {len(template.V)} ({template.template_id})",
            f"{found.max()} for {keypoint_set.names[int(found.argmax())]}",
            "The landmark table belongs to another mesh.",
        )
    if (found < 0).all():
        raise AnnotationError(
            f"landmarks for keypoints of {keypoint_set.name}: {', '.join(landmarks.values())}",
            f"only {', '.join(vertices) or 'none'}",
            "Give their vertices in the table.",
        )
    return found


def landmark_errors(
    template: Template,
    keypoint_set: KeypointSet,
    vertices: Int[np.ndarray, " K"],
    instances: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    reach: float,
) -> LandmarkErrors:
    """How far, along the surface, the label nearest to each keypoint lies from the keypoint's landmark.

    Args:
        template: whose vertices the labels name.
        keypoint_set: names and pairs.
        vertices: of each keypoint (`keypoint_vertices`); those at -1 are left out.
        instances: keypoints' xy (K, 2) and whether each counts (K,); labels' xy (P, 2) and vertex (P,), -1 unknown.
        reach: pixels; a keypoint without a label within it has an infinite error.
    """
    distance = np.full((len(vertices), len(template.V)), np.inf, dtype=np.float32)
    has_vertex = vertices >= 0
    distance[has_vertex] = geodesic_rows(template, vertices[has_vertex])
    mirror = keypoint_set.mirror
    paired = (mirror != np.arange(len(mirror))) & has_vertex & has_vertex[mirror]
    kept, errors, swapped = [], [], []
    for xy, counts, label_xy, label_vertex in instances:
        known = label_vertex >= 0
        places, targets = label_xy[known], label_vertex[known]
        for k in np.flatnonzero(counts & has_vertex).tolist():
            kept.append(k)
            away = np.linalg.norm(places - xy[k], axis=1)
            if not len(away) or away.min() > reach:
                errors.append(np.inf)
                swapped.append(False)
                continue
            vertex = targets[int(away.argmin())]
            errors.append(float(distance[k, vertex]))
            swapped.append(bool(paired[k] and distance[mirror[k], vertex] < distance[k, vertex]))
    keypoint = np.array(kept, dtype=np.int64)
    return LandmarkErrors(keypoint, np.array(errors, float), np.array(swapped, bool), paired[keypoint])


def summarise_errors(
    found: LandmarkErrors, names: Sequence[str], template: Template
) -> list[dict[str, object]]:
    """A row a keypoint, the last over all: counts, mean and median error (m and of 228), share left for right.

    Means and shares are over keypoints with a label within reach; `n_missing` counts the others. Metres are left out
    for a template without a unit.
    """
    rows: list[dict[str, object]] = []
    for name, mine in [
        *((name, found.keypoint == k) for k, name in enumerate(names)),
        ("all", np.ones(len(found.keypoint), dtype=bool)),
    ]:
        if not mine.any():
            continue
        reached = mine & np.isfinite(found.error)
        error, sided = found.error[reached], reached & found.paired
        row: dict[str, object] = {
            "keypoint": name,
            "n": int(reached.sum()),
            "n_missing": int((mine & ~reached).sum()),
        }
        for key, value in (("mean", np.mean), ("median", np.median)):
            metres = float(value(error)) if len(error) else None
            if template.unit != "none":
                row[f"{key}_m"] = metres
            row[f"{key}_228"] = None if metres is None else metres / template.diameter * SHIC_SCALE
        row["swapped_share"] = float(found.swapped[sided].mean()) if sided.any() else None
        rows.append(row)
    return rows


def _rows(text: str, name: str, header: tuple[str, ...]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != header:
        raise AnnotationError(
            f"the columns {', '.join(header)}", f"{', '.join(reader.fieldnames or ()) or 'none'} in {name}",
            "Correct the first line.",
        )  # fmt: skip
    return [{key: (row[key] or "").strip() for key in header} for row in reader]


def _shipped(name: str) -> str:
    return files("densecorr.datasets").joinpath(f"data/{name}").read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetNotFoundError(
            "a landmark table",
            f"{path} ({error})",
            "`densecorr data landmarks --write-table` writes one to edit.",
        ) from error
