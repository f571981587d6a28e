"""How an exported data set looks when it is opened: colours, the order of fields, what is shown at first."""

from collections.abc import Mapping, Sequence
from typing import Any

from .app import import_fiftyone
from .fields import BOXES, OVERLAYS

_BOX_COLOR = "#8095a8"  # a grey that lets the points' colours speak
_OPACITY = 0.6  # FiftyOne has one for masks and points


def set_appearance(dataset: Any, categories: Sequence[str], palettes: Mapping[str, set[str]]) -> None:
    """Give points their own colours and boxes one grey; show the boxes and the last label set.

    Args:
        dataset: the FiftyOne data set; not saved here.
        categories: labels of the boxes.
        palettes: the colours ('#rrggbb') that occur in each label-set field.
    """
    fo = import_fiftyone()
    colors = [_field_colors(BOXES, "label", dict.fromkeys(categories, _BOX_COLOR))]
    for field, palette in palettes.items():
        colors.append(_field_colors(field, "color", {color: color for color in sorted(palette)}))
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", opacity=_OPACITY, fields=colors)
    # What comes first in the sidebar is drawn on top: points, then the silhouettes that would hide them.
    groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    for group in groups:
        if group.name == "labels":
            group.paths = sorted(
                group.paths, key=lambda path: (path.endswith(tuple(OVERLAYS.values())), path == BOXES)
            )
    dataset.app_config.sidebar_groups = groups
    # Two label sets often mark the same pixels: show the last, the others are a click away.
    dataset.app_config.active_fields = fo.ActiveFields(paths=[*list(palettes)[-1:], BOXES])


def _field_colors(path: str, attribute: str, colors: Mapping[str, str]) -> dict[str, Any]:
    """FiftyOne's colour rule for one field: the colour of each value of an attribute."""
    values = [{"value": value, "color": color} for value, color in colors.items()]
    return {"path": path, "colorByAttribute": attribute, "valueColors": values}
