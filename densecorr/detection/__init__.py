"""Objects and their silhouettes by name, for data sets that have none: GroundingDINO finds, Segment Anything cuts out.

The networks are imported where they are used: `find.load_finder`.
"""

from .settings import SilhouetteSettings

__all__ = ["SilhouetteSettings"]
