"""Heat maps on the template: how alike the image is at a point, where that was computed, else how near vertices are."""

from pathlib import Path
from typing import Any

import numpy as np

from densecorr.errors import ArtifactError
from densecorr.templates.stored import Template
from storage.similarities import SimilarityReader

from .desk_template import distances_from, encode_array, likeness

_NEAR_PX = 4.0  # a position that far from a labelled point shows something else


class DeskSimilarity:
    """The heat maps of one desk."""

    def __init__(self, template: Template, similarities: Path | None) -> None:
        self._template = template
        self._reader = None if similarities is None else SimilarityReader(similarities)
        if self._reader is not None and self._reader.template_id != template.template_id:
            raise ArtifactError(
                f"similarities to the template {template.template_id}",
                f"to {self._reader.template_id}",
                "Compute them for these labels: densecorr similarities.",
            )

    def features(self, instance_id: str, x: float, y: float) -> dict[str, Any] | None:
        """The answer for the labelled point at a position (full-image pixels), if one is near and was compared."""
        if self._reader is None:
            return None
        values = self._reader.at(instance_id, float(x), float(y), _NEAR_PX)
        return None if values is None else {"kind": "features", "values": encode_array(values, "u1")}

    def geodesic(self, vertex: int | None) -> dict[str, Any]:
        """The answer by distance from a vertex; all zero where none is known."""
        if vertex is None:
            values = np.zeros(len(self._template.V), np.uint8)
        else:
            values = likeness(distances_from(self._template, vertex))
        return {"kind": "geodesic", "values": encode_array(values, "u1")}
