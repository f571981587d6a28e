"""How silhouettes are found."""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import SettingsError
from ..hub import ModelRef


@dataclass(frozen=True)
class SilhouetteSettings:
    """Which models find objects and cut them out, and what of it is kept.

    Attributes:
        mode: "detect" looks for objects of the category in every image and fills absent silhouettes too; "missing" only
            fills, from the boxes that the data set has, and does without the detector.
        detector: a GroundingDINO model; always empty with mode "missing", so that no licence is asked for what is not
            used.
        segmenter: a SAM model.
        prompts: category to the words the detector is asked for, where the category's name is not good enough, such as
            {"tvmonitor": "a television screen"}.
        box_threshold: least score of a box.
        text_threshold: least score of a word of the prompt for the box to count as named by it.
        nms: of boxes that overlap more than this (intersection over union), the one with the best score is kept; those
            of the data set come first.
        min_area: least area of a silhouette, square pixels.
        precision: of the products in both networks; fp16 only on a GPU.
    """

    mode: Literal["detect", "missing"] = "detect"
    detector: ModelRef = "IDEA-Research/grounding-dino-base"
    segmenter: ModelRef = "facebook/sam-vit-base"
    prompts: dict[str, str] = field(default_factory=dict)
    box_threshold: float = 0.35
    text_threshold: float = 0.25
    nms: float = 0.7
    min_area: float = 100.0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        """Refuse thresholds that nothing, or everything, would pass; name no model that will not be used."""
        if self.mode == "missing":
            object.__setattr__(self, "detector", "")
        for name in ("box_threshold", "text_threshold", "nms"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise SettingsError(f"{name} in [0, 1]", str(value), "Correct the setting.")

    def prompt(self, category: str) -> str:
        """What the detector is asked for: lower case, closed by a full stop, as GroundingDINO was trained."""
        words = self.prompts.get(category)
        if words is None:
            name = category.replace("_", " ").strip().lower()
            words = f"{'an' if name[:1] in tuple('aeiou') else 'a'} {name}"
        return words.strip().lower().rstrip(".") + "."
