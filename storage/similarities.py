"""Similarities of image points with template vertices on the disk: bytes that are mapped, not read.

    similarities.json                template_id, bytes a row (`columns`), how labels were pooled
    column.npy                       int32 (V,): the column that stands for each template vertex
    shards/shard-00000/values.npy    uint8 (points of the shard, columns)
    shards/shard-00000/points.npz    ids of its instances, where their rows start; x, y and score span of each row

Bytes are `densecorr.pseudolabels.point_scores.quantise_scores`: 255 is each point's best vertex.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from densecorr.errors import ArtifactError

from .shards import finished_shards

SHARDS = "shards"
_FACTS = "similarities.json"


@dataclass(frozen=True)
class PointSimilarities:
    """Of one instance: pixels of P points, bytes (P, C) and the scores that bytes 1 and 255 stand for."""

    instance_id: str
    xy: Float[np.ndarray, "P 2"]
    values: UInt8[np.ndarray, "P C"]
    span: Float32[np.ndarray, "P 2"]


def write_similarity_shard(folder: Path, found: list[PointSimilarities], n_columns: int) -> None:
    """Fill a shard's folder."""
    folder.mkdir()
    xy = np.concatenate([np.zeros((0, 2)), *(one.xy for one in found)])
    span = np.concatenate([np.zeros((0, 2), np.float32), *(one.span for one in found)])
    lengths = [len(one.xy) for one in found]
    values = [np.zeros((0, n_columns), np.uint8), *(one.values for one in found)]
    np.save(folder / "values.npy", np.concatenate(values))
    np.savez(
        folder / "points.npz",
        instance_ids=np.array([one.instance_id for one in found], dtype=np.str_),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        xy=xy.astype(np.float32),
        span=span.astype(np.float32),
    )


def write_similarity_facts(folder: Path, template_id: str, column: np.ndarray, facts: dict) -> None:
    """Write what all shards share: the template, the column of each of its vertices and other facts."""
    np.save(folder / "column.npy", column.astype(np.int32))
    text = json.dumps({"template_id": template_id, "vertices": len(column)} | facts, indent=1)
    (folder / _FACTS).write_text(text + "\n", encoding="utf-8")


class SimilarityReader:
    """Reads one point's row at a time; only the ids and positions of points are in memory."""

    def __init__(self, folder: Path) -> None:
        """Open an artifact of the stage `similarities`.

        Raises:
            ArtifactError: the folder is none.
        """
        try:
            self.facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                "an artifact of the stage `similarities`", f"{folder} without {_FACTS}", "Name another one."
            ) from error
        self._column = np.load(folder / "column.npy")
        self._place: dict[str, tuple[int, int, int]] = {}
        self._values, self._xy = [], []
        for number, path in enumerate(finished_shards(folder / SHARDS).values()):
            with np.load(path / "points.npz") as points:
                ids, starts = points["instance_ids"].tolist(), points["starts"].tolist()
                self._xy.append(points["xy"])
            self._values.append(np.load(path / "values.npy", mmap_mode="r"))
            places = zip(ids, starts[:-1], starts[1:], strict=True)
            self._place |= {key: (number, start, end) for key, start, end in places}

    @property
    def template_id(self) -> str:
        """The template that the vertices are of."""
        return self.facts["template_id"]

    def at(self, instance_id: str, x: float, y: float, within: float) -> UInt8[np.ndarray, " V"] | None:
        """The bytes of every template vertex for the instance's point nearest a position; None if none is near.

        Args:
            instance_id: whose.
            x: full-image pixels.
            y: full-image pixels.
            within: pixels.
        """
        number, start, end = self._place.get(instance_id, (0, 0, 0))
        if start == end:
            return None
        away = np.hypot(*(self._xy[number][start:end] - (x, y)).T)
        best = int(away.argmin())
        if away[best] > within:
            return None
        return np.asarray(self._values[number][start + best])[self._column]
