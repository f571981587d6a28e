"""Photo-realistic images of a template by Stable Diffusion with a depth ControlNet (SHIC Sec. 3.5): the settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import SettingsError
from ..hub import ModelRef
from .conditions import Blend, check_blend
from .gate import Gate, check_gate
from .viewpoints import Viewpoints, check_viewpoints, write_prompt

if TYPE_CHECKING:
    from .controlnet_painter import ControlNetPainter  # not at run time: it imports torch


@dataclass(frozen=True)
class ControlNetGenerator:
    """Settings: the template's depth before a background's is told to the ControlNet, its image checked by the gate.

    Attributes:
        model: Stable Diffusion 1.5: owner/name[@revision] or a folder.
        controlnet: a ControlNet for depth that fits it.
        depth_model: estimates the depth of backgrounds and of the images made; the larger Depth Anything models are
            non-commercial.
        prompt: with {category} and {view}, the view in words.
        negative_prompt: what the images should not show.
        steps: denoising steps (UniPC).
        guidance: how much the prompt counts; over 1 each step runs twice.
        control_scale: how much the depth counts.
        size: side of the images in pixels, a multiple of 8; SD 1.5 knows 512.
        depth_side: side that images are resized to for the depth model, a multiple of 14.
        batch_size: images a run of the network.
        precision: of all networks; fp16 needs a GPU.
        safety_checker: also load the model's own checker for offensive images and drop those it flags. Off by
            default: it is one more model, and flags animals by mistake.
        blend: how template and background share the range of depths.
        gate: which images are kept.
        viewpoints: from where the template is seen.
    """

    kind: Literal["controlnet"] = "controlnet"
    model: ModelRef = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    controlnet: ModelRef = "lllyasviel/control_v11f1p_sd15_depth"
    depth_model: ModelRef = "depth-anything/Depth-Anything-V2-Small-hf"
    prompt: str = "a photo of a {category}, {view} view"
    negative_prompt: str = "drawing, blurry, low quality, deformed, text, watermark"
    steps: int = 30
    guidance: float = 7.5
    control_scale: float = 1.0
    size: int = 512
    depth_side: int = 518
    batch_size: int = 1
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    safety_checker: bool = False
    blend: Blend = field(default_factory=Blend)
    gate: Gate = field(default_factory=Gate)
    viewpoints: Viewpoints = field(default_factory=Viewpoints)

    def load(
        self, device: str = "cpu", backgrounds: Path | None = None, offload: bool = False
    ) -> "ControlNetPainter":
        """The generator with its networks on a device.

        `offload` keeps each network in main memory until it is its turn on the GPU.

        Raises:
            SettingsError: a setting that cannot be.
            DependencyError: a model that cannot be had; the message says why.
            ImageError: a background file that cannot be used.
        """
        self.check()
        from .controlnet_painter import load_painter

        return load_painter(self, device, backgrounds, offload)

    def check(self) -> None:
        """Raise a SettingsError for what cannot be, before anything is loaded."""
        for name, least in (("steps", 1), ("batch_size", 1), ("size", 64)):
            if getattr(self, name) < least:
                raise SettingsError(
                    f"generator.{name} of at least {least}", str(getattr(self, name)), "Correct it."
                )
        if self.size % 8:
            raise SettingsError("generator.size as a multiple of 8", str(self.size), "Use 512.")
        write_prompt(self.prompt, "category", 0.0)
        check_viewpoints(self.viewpoints)
        check_blend(self.blend)
        check_gate(self.gate)
