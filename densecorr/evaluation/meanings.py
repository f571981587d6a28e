"""What each figure is called, which way is better, how it is printed and how it is defined."""

import re
from dataclasses import dataclass, replace
from typing import Literal

HEADLINES = (
    "geodesic_error_228",
    "geodesic_error_m",
    "pck",
    "gps_ap",
    "gps_ap50",
    "gps_ap75",
    "gps_ar",
    "gpsm_ap",
    "left_right_confusion",
    "missing_share",
)
"""The figures of the summary table, in order; "pck" stands for every alpha."""


@dataclass(frozen=True)
class Meaning:
    """`factor` multiplies the stored value for print (100 for percentages, and for AP as it is customary)."""

    label: str
    better: Literal["lower", "higher"]
    definition: str
    factor: float = 1.0
    digits: int = 1
    suffix: str = ""


_AP = "average precision over {s} at .50:.05:.95, COCO matching an image and category, boxes given, in %"
_GPS = "GPS is the mean over points of exp(-d^2 / (2 kappa^2))"
_GPSM = "GPSm is sqrt(GPS x IoU of the silhouettes)"
_MEANINGS = {
    "geodesic_error_228": Meaning(
        "Geodesic error (of\u00a0228)",
        "lower",
        "mean over instances of their points' geodesic distance between predicted and true vertex, "
        "on the scale on which the template's diameter is 228; a point without a vertex counts as 228",
    ),
    "geodesic_error_m": Meaning(
        "Geodesic error (m)", "lower", "the same in metres on the template", digits=3
    ),
    "geodesic_error_share": Meaning(
        "Geodesic error (% of diameter)", "lower", "the same as a share of the diameter", 100.0, 2, "%"
    ),
    "missing_share": Meaning(
        "No vertex", "lower", "share of points without a predicted vertex", 100.0, 1, "%"
    ),
    "left_right_confusion": Meaning(
        "Wrong side",
        "lower",
        "left/right confusion: share of points away from the symmetry plane whose prediction is nearer to "
        "the mirrored truth than to the truth (or missing); a blind guess scores about 50%",
        100.0,
        1,
        "%",
    ),
}
_COCO = {
    "ap": ("AP", ""),
    "ap50": ("AP50", ", at .50 only"),
    "ap75": ("AP75", ", at .75 only"),
    "ap_m": ("AP M", ", objects of 32^2 to 96^2 square pixels"),
    "ap_l": ("AP L", ", objects over 96^2 square pixels"),
}


def meaning_of(figure: str) -> Meaning:
    """How to print and explain a figure; an unknown one goes by its own name, higher being better."""
    if figure in _MEANINGS:
        return _MEANINGS[figure]
    if match := re.fullmatch(r"pck_(.+)", figure):
        near = f"{match[1]} x the longer side of the box"
        rule = f"share of points whose vertex has its best pixel within {near} of the true pixel"
        return Meaning(f"PCK@{match[1]}", "higher", rule, 100.0, 1, "%")
    if match := re.fullmatch(r"rcp_auc_(.+)", figure):
        rule = f"area under the share of points with an error up to t, t from 0 to {match[1]} cm"
        return Meaning(f"AUC {match[1]} cm", "higher", rule, digits=3)
    if match := re.fullmatch(r"(gpsm?)_a([pr])(.*)", figure):
        kind, letter, rest = match.groups()
        label, where = _COCO.get(f"ap{rest}", (f"AP{rest}", ""))
        definition = _AP.format(s=kind.upper().replace("M", "m")) + where
        found = Meaning(f"{kind.upper().replace('M', 'm')} {label}", "higher", definition, 100.0)
        if letter == "r":
            recall = definition.replace("average precision", "average recall")
            found = replace(found, label=found.label.replace(" AP", " AR"), definition=recall)
        return replace(found, definition=f"{found.definition}; {_GPSM if kind == 'gpsm' else _GPS}")
    return Meaning(figure, "higher", "", digits=3)


def format_figure(figure: str, value: float | None) -> str:
    """The value as the reports print it; a dash when there is none."""
    if value is None:
        return "\u2013"
    meaning = meaning_of(figure)
    return f"{value * meaning.factor:.{meaning.digits}f}{meaning.suffix}".replace("-", "\u2212")


def headline_figures(names: list[str]) -> list[str]:
    """Those of the given figures that belong in the summary table, in its order."""
    chosen = []
    for headline in HEADLINES:
        if headline == "pck":
            chosen += sorted((name for name in names if name.startswith("pck_")), reverse=True)
        elif headline in names:
            chosen.append(headline)
    return chosen
