"""`densecorr score --report`: one page with figures, slices and the worst instances as pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from densecorr.errors import ImageError, SettingsError

if TYPE_CHECKING:
    import numpy as np

    from densecorr.evaluation.densepose_score import TruthRow
    from densecorr.evaluation.densepose_types import DensePoseSet, ScoredImage

N_NAMED = 3


def write_score_report(
    path: Path,
    scored: "DensePoseSet",
    said: dict[str, Any],
    rows: "list[TruthRow]",
    images: Path | None,
    worst: int,
) -> None:
    """Write the page; it opens anywhere, offline.

    Args:
        path: the HTML file.
        scored: what was scored.
        said: the record that `--json` writes.
        rows: every annotated instance with the result chosen for it, by the record's protocol.
        images: the folder in which `file_name` starts; without it, and for images that are not there, pictures are on
            grey.
        worst: how many of the least similar instances are shown.

    Raises:
        SettingsError: a negative number of instances.
    """
    from densecorr.evaluation.report import write_report
    from densecorr.evaluation.score_pictures import (
        PictureSettings,
        geodesic_colors,
        instance_pictures,
        worst_of,
    )
    from densecorr.evaluation.score_report import score_report

    if worst < 0:
        raise SettingsError("at least 0 worst instances", str(worst), "Correct --worst.")
    settings = PictureSettings(said["metric"], said["protocol"], float(said["settings"]["kappa"]))
    places = {image.id: image for image in scored.images}
    shown = worst_of(rows, worst, settings.metric)
    meshes = sorted({row.mesh for row in shown}) if scored.geodesics else []
    colors = {mesh: geodesic_colors(scored.distances_of(mesh)) for mesh in meshes}
    absent: list[str] = []
    pictures = []
    for row in shown:  # one image in memory at a time
        image = _image(images, places[row.image_id], absent)
        pictures.append(instance_pictures(row, scored, settings, colors, image))
    notes = []
    if shown and images is None:
        notes.append("Pictures are on grey: no folder of images was given (--images).")
    elif absent:
        reasons = list(dict.fromkeys(absent))
        named = "; ".join(reasons[:N_NAMED]) + ("; and so on" if len(reasons) > N_NAMED else "")
        notes.append(f"{len(absent)} of {len(shown)} instances are on grey: {named}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(path, score_report(said, rows, pictures, notes))


def _image(folder: Path | None, place: "ScoredImage", absent: list[str]) -> "np.ndarray | None":
    """The image as annotated; None, and why in `absent`, where there is none."""
    from densecorr.images import read_image

    if folder is None:
        return None
    if place.file_name is None:
        absent.append(f"image {place.id} has no file_name")
        return None
    try:
        image = read_image(folder / place.file_name)
    except ImageError as error:
        absent.append(str(error.args[1]))
        return None
    if image.shape[:2] != (place.height, place.width):
        height, width = image.shape[:2]
        absent.append(f"{place.file_name} is {width} x {height}, annotated {place.width} x {place.height}")
        return None
    return image
