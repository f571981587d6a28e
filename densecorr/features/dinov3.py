"""DINOv3 (Simeoni et al. 2025): patches of 16 pixels. Gated: its owner asks for consent before a download."""

from dataclasses import dataclass
from typing import Literal

from ..hub import ModelRef
from .patches import PatchExtractor, load_patch_extractor
from .placement import Precision


@dataclass(frozen=True)
class DinoV3Features:
    """Settings: the ViT models facebook/dinov3-vit*16-pretrain-lvd1689m.

    Attributes:
        model: owner/name[@revision] or a folder.
        precision: of the network; features are float32 in any case.
    """

    kind: Literal["dinov3"] = "dinov3"
    model: ModelRef = "facebook/dinov3-vitb16-pretrain-lvd1689m"
    precision: Precision = "fp32"

    def load(self, device: str = "cpu", offload: bool = False) -> PatchExtractor:
        """The extractor.

        Raises:
            DependencyError: the model cannot be had; without consent the message names its licence's page and the
                command to log in.
        """
        return load_patch_extractor(self.model, self.precision, device, offload, stride=16)
