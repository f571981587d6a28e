"""Feature extractors: one file each, behind one protocol. `Features` lists them."""

from .protocol import FeatureExtractor
from .silhouette import SilhouetteFeatures

Features = SilhouetteFeatures  # a union once a second extractor is added: a file, a name here, a test

__all__ = ["FeatureExtractor", "Features", "SilhouetteFeatures"]
