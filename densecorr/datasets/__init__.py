"""Data sets: one file a format, read into the same tables. `Dataset` lists the formats' settings.

Reading needs Arrow and OpenCV and is imported from where it is defined: `coco.read_coco`,
`export.write_coco`.
"""

from .coco_types import CocoSettings
from .silhouettes import GrabCut

Dataset = CocoSettings  # a union once a second format is added: a file, a name here, a test

__all__ = ["CocoSettings", "Dataset", "GrabCut"]
