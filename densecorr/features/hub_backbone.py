"""Any vision backbone of `transformers` by its id that keeps a grid of patches (ViT, Swin, ConvNeXt, CLIP)."""

from dataclasses import dataclass
from typing import Literal

from ..hub import ModelRef
from .patches import PatchExtractor, load_patch_extractor
from .placement import Precision


@dataclass(frozen=True)
class HubBackboneFeatures:
    """Settings of any other backbone; its stride is found by a trial when it is loaded.

    Attributes:
        model: owner/name[@revision] or a folder.
        precision: of the network; features are float32 in any case.
    """

    model: ModelRef
    kind: Literal["hub_backbone"] = "hub_backbone"
    precision: Precision = "fp32"

    def load(self, device: str = "cpu", offload: bool = False) -> PatchExtractor:
        """The extractor.

        Raises:
            DependencyError: the model cannot be had.
            FeatureError: it gives no patch grid.
        """
        return load_patch_extractor(self.model, self.precision, device, offload)
