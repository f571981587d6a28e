"""The charts stage's work on label records."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from densecorr.datasets.charts import ChartTable
from densecorr.errors import AnnotationError, EmptyInstanceError
from densecorr.records import LabelRecord
from densecorr.templates.template import Template

ORIGINAL = {"dp_x", "dp_y", "dp_I", "dp_U", "dp_V", "dp_vertex", "ref_model"}  # would outlive the conversion


def convert_labels(
    records: list[LabelRecord],
    charts: ChartTable,
    template: Template,
    direction: Literal["to-vertices", "to-iuv"],
    producer: str,
) -> tuple[list[LabelRecord], dict[str, Any]]:
    """Label sets with the missing one of vertices and charts, and a summary; source and points stay what they are.

    Points of part 0 have vertex -1; vertices on no chart have part 0.

    Raises:
        EmptyInstanceError: no label set has what is converted.
        AnnotationError: the chart table names vertices that the template does not have, or labels are for another one.
    """
    if charts.n_vertices > len(template.V):
        raise AnnotationError(
            f"a chart table for {template.template_id}, of vertices below {len(template.V)}",
            f"vertex {charts.n_vertices - 1}",
            "Name the template that the chart table belongs to.",
        )
    made, distances, n_points, n_placed = [], [np.zeros(0)], 0, 0
    for record in records:
        if direction == "to-vertices":
            if record.part is None or record.u is None or record.v is None:
                continue
            vertex, distance = charts.locate(record.part, record.u, record.v)
            placed = vertex >= 0
            distances.append(distance[placed])
            fields: dict[str, Any] = {"vertex": vertex}
        else:
            if not (record.vertex >= 0).any():
                continue
            if record.template_id != template.template_id:
                raise AnnotationError(
                    f"labels for the template {template.template_id}",
                    f"labels for {record.template_id or 'none'}",
                    "Name the labels' own template, and its chart table.",
                )
            part, u, v = charts.vertex_to_iuv(np.asarray(record.vertex, dtype=np.int64))
            placed = part > 0
            fields = {"part": part.astype(np.uint8), "u": u.astype(np.float32), "v": v.astype(np.float32)}
        n_points, n_placed = n_points + len(placed), n_placed + int(placed.sum())
        kept = {name: value for name, value in record.extra.items() if name not in ORIGINAL}
        made.append(
            replace(
                record,
                label_id=f"{producer}/{record.label_id}",
                template_id=template.template_id,
                producer=producer,
                extra=kept,
                **fields,
            )
        )
    if not made:
        wanted = "charts (part, u, v)" if direction == "to-vertices" else "vertices"
        raise EmptyInstanceError(
            f"label sets with {wanted}",
            f"none among {len(records)}",
            "Name a data set with DensePose labels, or set direction to the other one.",
        )
    away = np.concatenate(distances)
    summary: dict[str, Any] = {"labels": len(made), "points": n_points, "placed": n_placed}
    if len(away):
        summary |= {"mean_uv_distance": float(away.mean()), "max_uv_distance": float(away.max())}
    return made, summary
