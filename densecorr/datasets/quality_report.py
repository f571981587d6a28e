"""Findings about a data set as a table and as one HTML page with pictures of the worst."""

import base64
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from .quality import KINDS, Finding, QualitySettings
from .quality_pictures import BOX, OUTLINE, SIDE, SIDES

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
        ("other", pa.string()),
    ]
)

_STYLE = """
:root { color-scheme: light dark; --error: light-dark(#b00020, #ff7b8f); --warning: light-dark(#8a5a00, #f0b64a) }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  background: light-dark(#fff, #16181c); color: light-dark(#222, #ddd) }
h2 { margin: 2rem 0 .5rem } h2 small, .quiet { font-size: 14px; font-weight: 400; opacity: .75 }
table { border-collapse: collapse } td, th { padding: .25rem 1.5rem .25rem 0; text-align: left }
td.n, th.n { text-align: right } .error { color: var(--error) } .warning { color: var(--warning) }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.25rem 1rem }
figure { margin: 0 } figure.wide { grid-column: span 2 } img { max-width: 100%; max-height: 320px; display: block }
figcaption { font-size: 13px; overflow-wrap: anywhere }
i { display: inline-block; width: .7em; height: .7em; margin: 0 .25em 0 .9em; border-radius: 50% }
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
            shown_of = sum(one.kind == finding.kind for one, _ in pictures)
            heading = f"{html.escape(KINDS[finding.kind])}; {shown_of} of {counts[finding.kind]:,}"
            sections.append(
                f'{"</div>" if shown else ""}<h2>{finding.kind} <small>{heading}</small></h2><div class="row">'
            )
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
        f'</p><p class="quiet">Drawn:{_legend()}. Keypoints are crosses. Points have sides where sides are judged.</p>'
        '<table><tr><th>kind</th><th class="n">found</th><th>severity</th><th>meaning</th></tr>'
        f"{''.join(rows)}</table>{''.join(sections)}<h2>Settings</h2><table>{values}</table></body></html>\n"
    )


def _legend() -> str:
    """What the colours of the pictures stand for."""
    words = {"box": BOX, "mask": OUTLINE, "point": SIDES[0], "left": SIDES[1], "right": SIDES[-1]}
    return "".join(
        f'<i style="background: rgb({r}, {g}, {b})"></i>{word}' for word, (r, g, b) in words.items()
    )


def _figure(finding: Finding, picture: UInt8[np.ndarray, "_h _w 3"] | None) -> str:
    import cv2

    drawn = ""
    if picture is not None:
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        text = base64.b64encode(encoded.tobytes()).decode()
        drawn = f'<img alt="{html.escape(finding.image_id)}" src="data:image/jpeg;base64,{text}">'
    name = html.escape(finding.instance_id or finding.image_id)
    wide = picture is not None and picture.shape[1] > 1.5 * SIDE
    start = '<figure class="wide">' if wide else "<figure>"
    return f"{start}{drawn}<figcaption><b>{name}</b><br>{html.escape(finding.message)}</figcaption></figure>"
