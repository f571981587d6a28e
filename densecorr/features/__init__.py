"""Feature extractors: one file each, behind one protocol. `Features` lists them."""

from .dinov2 import DinoV2Features
from .dinov3 import DinoV3Features
from .fused import FusedFeatures
from .hub_backbone import HubBackboneFeatures
from .placement import RunOn
from .protocol import FeatureExtractor
from .silhouette import SilhouetteFeatures
from .stable_diffusion import StableDiffusionFeatures

# to add one: a file, a name here, a test
Features = (
    SilhouetteFeatures
    | DinoV2Features
    | DinoV3Features
    | StableDiffusionFeatures
    | FusedFeatures
    | HubBackboneFeatures
)

__all__ = [
    "DinoV2Features",
    "DinoV3Features",
    "FeatureExtractor",
    "Features",
    "FusedFeatures",
    "HubBackboneFeatures",
    "RunOn",
    "SilhouetteFeatures",
    "StableDiffusionFeatures",
]
