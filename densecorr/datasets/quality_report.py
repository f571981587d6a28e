"""Findings about a data set as a table and as one HTML page with pictures of the worst."""

import base64
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, UInt8

from .quality import KINDS, Finding, QualitySettings

SIDE = 320  # pixels of a picture's longer side
_BOX, _OUTLINE, _POINT = (255, 170, 0), (0, 200, 255), (255, 40, 90)
_LEAST_IS_WORST = ("box_off_mask", "tiny", "empty_mask")

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("instance_id", pa.string()),
        ("image_id", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("message", pa.string()),
    ]
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .25rem .9rem .25rem 0; text-align: left }
td.n { text-align: right } .error { color: #b00020 } .warning { color: #8a5a00 }
.row { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 320px }
img { max-width: 100%; display: block } figcaption { font-size: 13px; overflow-wrap: anywhere }
"""


def findings_table(findings: Sequence[Finding]) -> pa.Table:
    """One row a finding."""
    return pa.Table.from_pylist([asdict(finding) for finding in findings], schema=SCHEMA)


def worst_findings(findings: Sequence[Finding], most: int) -> dict[str, list[Finding]]:
    """Of each kind that was found, the `most` worst, the worst first."""
    chosen = {}
    for kind in KINDS:
        sign = 1 if kind in _LEAST_IS_WORST else -1
        members = sorted((one for one in findings if one.kind == kind), key=lambda one: sign * one.value)
        if members:
            chosen[kind] = members[:most]
    return chosen


def draw_instance(
    image: UInt8[np.ndarray, "H W 3"],
    xywh: tuple[float, float, float, float] | None = None,
    silhouette: Bool[np.ndarray, "H W"] | None = None,
    xy: Float[np.ndarray, "P 2"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """The part of an image around a box, with the box, the silhouette's outline and the points drawn.

    Points far outside stay in the picture: the part drawn includes them as far as the image goes.
    """
    import cv2

    height, width = image.shape[:2]
    corners = [] if xywh is None else [[xywh[0], xywh[1]], [xywh[0] + xywh[2], xywh[1] + xywh[3]]]
    seen = np.array([*corners, *([] if xy is None else xy.tolist())], dtype=np.float64).reshape(-1, 2)
    seen = seen[np.isfinite(seen).all(axis=1)]
    low, high = (
        (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.array([width, height]))
    )
    pad = 0.15 * max(20.0, float((high - low).max()))
    x0, y0 = (
        int(max(0, min(value, side - 2))) for value, side in zip(low - pad, (width, height), strict=True)
    )
    x1, y1 = (int(np.ceil(value)) for value in high + pad)
    part = image[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)]
    scale = SIDE / max(part.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in part.shape[1::-1])
    out = np.ascontiguousarray(
        cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    )

    def place(points: np.ndarray) -> np.ndarray:
        """Pixels with centres at integers, in the picture."""
        return np.rint((points + 0.5 - [x0, y0]) * scale - 0.5).astype(np.int32)

    if silhouette is not None:
        mask = silhouette[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]].astype(np.uint8)
        large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, contours, -1, _OUTLINE, 1)
    if xywh is not None:
        first, second = place(np.array(corners) - 0.5).tolist()
        cv2.rectangle(out, first, second, _BOX, 1)
    if xy is not None:
        for point in place(xy[np.isfinite(xy).all(axis=1)]).tolist():
            cv2.circle(out, point, 3, _POINT, cv2.FILLED, cv2.LINE_AA)
    return out


def quality_page(
    title: str,
    findings: Sequence[Finding],
    n_instances: int,
    settings: QualitySettings,
    left_out: Mapping[str, str],
    pictures: Sequence[tuple[Finding, UInt8[np.ndarray, "_h _w 3"] | None]],
) -> str:
    """One HTML page, complete in itself: counts of each kind, what was not checked, the worst, the settings.

    Args:
        title: the data set's name.
        findings: all of them.
        n_instances: how many instances were checked.
        settings: the thresholds.
        left_out: kinds that were not checked, and why.
        pictures: the worst findings, grouped by kind, each with its picture if there is one.
    """
    counts = Counter(one.kind for one in findings)
    severity = {one.kind: one.severity for one in findings}
    rows = []
    for kind, meaning in KINDS.items():
        number = "not checked" if kind in left_out else f"{counts[kind]:,}"
        note = left_out.get(kind, "")
        mark = severity.get(kind, "")
        rows.append(
            f'<tr><td class="{mark}">{kind}</td><td class="n">{number}</td><td>{mark}</td>'
            f"<td>{html.escape(meaning)}{html.escape(f' ({note})' if note else '')}</td></tr>"
        )
    sections, shown = [], ""
    for finding, picture in pictures:
        if finding.kind != shown:
            sections.append(f'{"</div>" if shown else ""}<h2>{finding.kind}</h2><div class="row">')
            shown = finding.kind
        sections.append(_figure(finding, picture))
    sections.append("</div>" if shown else "<p>Nothing suspicious was found.</p>")
    values = "".join(
        f'<tr><td>{name}</td><td class="n">{value:g}</td></tr>' for name, value in asdict(settings).items()
    )
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data check: {name}</title>'
        f"<style>{_STYLE}</style></head><body><h1>Data check: {name}</h1>"
        f"<p>{n_instances:,} instances, {len(findings):,} findings. "
        "Box orange, mask outline blue, labelled points red.</p>"
        "<table><tr><th>kind</th><th>found</th><th>severity</th><th>meaning</th></tr>"
        f"{''.join(rows)}</table>{''.join(sections)}<h2>Settings</h2><table>{values}</table></body></html>\n"
    )


def _figure(finding: Finding, picture: UInt8[np.ndarray, "_h _w 3"] | None) -> str:
    import cv2

    drawn = ""
    if picture is not None:
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        text = base64.b64encode(encoded.tobytes()).decode()
        drawn = f'<img alt="{html.escape(finding.image_id)}" src="data:image/jpeg;base64,{text}">'
    name = html.escape(finding.instance_id or finding.image_id)
    return f"<figure>{drawn}<figcaption><b>{name}</b><br>{html.escape(finding.message)}</figcaption></figure>"
