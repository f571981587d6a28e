"""Labels without annotation: features lifted onto vertices, zero-shot matching, filters."""

from .filters import LabelFilter
from .zero_shot import ZeroShotLabels, ZeroShotSettings

__all__ = ["LabelFilter", "ZeroShotLabels", "ZeroShotSettings"]
