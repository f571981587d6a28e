"""DINOv2 (Oquab et al. 2023): the semantic features of SHIC; patches of 14 pixels."""

from dataclasses import dataclass
from typing import Literal

from ..hub import ModelRef
from .patches import PatchExtractor, load_patch_extractor
from .placement import Precision


@dataclass(frozen=True)
class DinoV2Features:
    """Settings: facebook/dinov2-small, -base or -large, or with-registers; 840 pixels give 60x60 cells.

    Attributes:
        model: owner/name[@revision] or a folder.
        precision: of the network; features are float32 in any case.
    """

    kind: Literal["dinov2"] = "dinov2"
    model: ModelRef = "facebook/dinov2-base"
    precision: Precision = "fp32"

    def load(self, device: str = "cpu", offload: bool = False) -> PatchExtractor:
        """The extractor.

        Raises:
            DependencyError: the model cannot be had; the message says why.
        """
        return load_patch_extractor(self.model, self.precision, device, offload, stride=14)
