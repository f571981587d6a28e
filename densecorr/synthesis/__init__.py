"""Images of a template with exact labels (SHIC Sec. 3.5): one file a generator. `Generator` lists them."""

from .controlnet import ControlNetGenerator
from .gate import Gate
from .generated import GeneratedImage, ImageGenerator, Subject, Verdict, make_subject
from .procedural import ProceduralGenerator
from .viewpoints import Viewpoints

Generator = ProceduralGenerator | ControlNetGenerator  # to add one: a file, a name here, a test

__all__ = [
    "ControlNetGenerator",
    "Gate",
    "GeneratedImage",
    "Generator",
    "ImageGenerator",
    "ProceduralGenerator",
    "Subject",
    "Verdict",
    "Viewpoints",
    "make_subject",
]
