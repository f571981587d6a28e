"""The loaded ControlNet generator: parts of diffusers' pipeline, put together and run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from ..errors import DependencyError, FeatureError, SettingsError
from ..features.placement import DTYPES, check_device
from ..hub import is_local, load_pretrained
from ..rendering.rasterize import Fragments, vertex_map
from .backgrounds import crop_background, draw_scene, list_backgrounds
from .conditions import DepthCondition, blend_depths
from .controlnet import ControlNetGenerator
from .depth import DepthEstimator, load_depth_estimator
from .gate import judge_image
from .generated import NOTHING_VISIBLE, GeneratedImage, Subject, Verdict
from .viewpoints import SampledView, image_rng, image_seed, sample_view, write_prompt

FLAGGED = "flagged by the safety checker"


@dataclass(frozen=True)
class Plan:
    """What is known of an image before it is made; `condition` is None where the view shows nothing."""

    index: int
    view: SampledView
    fragments: Fragments
    condition: DepthCondition | None
    prompt: str
    background: str


def load_painter(
    settings: ControlNetGenerator, device: str, backgrounds: Path | None, offload: bool
) -> "ControlNetPainter":
    """The networks on their device; see `ControlNetGenerator.load`."""
    target = check_device(device, settings.precision)
    files = list_backgrounds(backgrounds) if backgrounds else ()
    depth = load_depth_estimator(
        settings.depth_model, device, settings.precision, settings.depth_side, offload
    )
    pipeline = load_pipeline(settings)
    if offload and target.type != "cpu":
        pipeline.enable_model_cpu_offload(device=target)
    else:
        pipeline.to(target)
    return ControlNetPainter(settings, pipeline, depth, files)


def load_pipeline(settings: ControlNetGenerator) -> Any:
    """StableDiffusionControlNetPipeline from its parts, each with the errors of `densecorr.hub`."""
    from diffusers import (
        AutoencoderKL,
        ControlNetModel,
        StableDiffusionControlNetPipeline,
        UNet2DConditionModel,
        UniPCMultistepScheduler,
    )
    from transformers import CLIPTextModel, CLIPTokenizer

    networks = {
        name: load_pretrained(kind, settings.model, name)
        for name, kind in (
            ("vae", AutoencoderKL),
            ("unet", UNet2DConditionModel),
            ("text_encoder", CLIPTextModel),
        )
    }
    networks["controlnet"] = load_pretrained(ControlNetModel, settings.controlnet)
    check_fit(settings, networks["unet"], networks["controlnet"])
    checker: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    if settings.safety_checker:
        networks["safety_checker"], checker["feature_extractor"] = load_safety_checker(settings.model)
    dtype = DTYPES[settings.precision]
    placed = {name: network.eval().requires_grad_(False).to(dtype) for name, network in networks.items()}
    pipeline = StableDiffusionControlNetPipeline(
        **{**checker, **placed},
        tokenizer=load_pretrained(CLIPTokenizer, settings.model, "tokenizer"),
        scheduler=load_pretrained(UniPCMultistepScheduler, settings.model, "scheduler"),
        requires_safety_checker=settings.safety_checker,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_fit(settings: ControlNetGenerator, unet: Any, controlnet: Any) -> None:
    """Raise a SettingsError unless the ControlNet was made for this kind of Stable Diffusion."""
    for name in ("cross_attention_dim", "block_out_channels"):
        wanted, found = unet.config[name], controlnet.config[name]
        if wanted != found:
            raise SettingsError(
                f"a ControlNet that fits {settings.model} ({name} {wanted})",
                f"{settings.controlnet} ({name} {found})",
                "Name one that was trained for this version of Stable Diffusion.",
            )


def load_safety_checker(model: str) -> tuple[Any, Any]:
    """The checker that comes with a Stable Diffusion, and what prepares images for it.

    Raises:
        DependencyError: it is not there; the message also says how it is fetched, as a model comes without it.
    """
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPImageProcessorPil

    try:
        return (
            load_pretrained(StableDiffusionSafetyChecker, model, "safety_checker"),
            load_pretrained(CLIPImageProcessorPil, model, "feature_extractor"),
        )
    except DependencyError as error:
        if is_local(model):
            raise
        expected, received, remedy = error.args
        how = f"The safety checker: `densecorr models fetch --safety-checker {model}`."
        raise DependencyError(expected, received, f"{remedy} {how}") from error


class ControlNetPainter:
    """See `ControlNetGenerator`; an image's noise is drawn on the CPU from its own seed."""

    def __init__(
        self,
        settings: ControlNetGenerator,
        pipeline: Any,
        depth: DepthEstimator,
        backgrounds: Sequence[Path] = (),
    ) -> None:
        """Take a pipeline and a depth estimator that are ready to run."""
        self._settings, self._pipeline, self._depth = settings, pipeline, depth
        self._backgrounds, self.batch_size = backgrounds, settings.batch_size

    def __call__(self, subject: Subject, seed: int, indices: Sequence[int]) -> list[GeneratedImage]:
        """One image an index, all in one run of the networks."""
        plans = [self.plan(subject, seed, index) for index in indices]
        drawn = [plan for plan in plans if plan.condition is not None]
        results = dict(zip((plan.index for plan in drawn), self._draw(drawn, seed), strict=True))
        return [self._judge(plan, subject, seed, *results.get(plan.index, (None, False))) for plan in plans]

    def plan(self, subject: Subject, seed: int, index: int) -> Plan:
        """Viewpoint, background, condition and prompt of one image."""
        rng, settings = image_rng(seed, index), self._settings
        view = sample_view(subject.V, settings.viewpoints, settings.size, rng)
        fragments = subject.scene.fragments(view.camera)
        if self._backgrounds:
            picture, name = crop_background(self._backgrounds, settings.size, rng)
        else:
            picture, name = draw_scene(settings.size, rng), ""
        condition = None
        if (fragments.face >= 0).any():
            condition = blend_depths(fragments, self._depth(picture), settings.blend)
        prompt = write_prompt(settings.prompt, subject.category, view.azimuth)
        return Plan(index, view, fragments, condition, prompt, name)

    def _draw(self, plans: list[Plan], seed: int) -> list[tuple[UInt8[np.ndarray, "S S 3"], bool]]:
        """An image a plan, and whether the safety checker flags it.

        Raises:
            FeatureError: values that are not finite.
        """
        if not plans:
            return []
        settings = self._settings
        depths = np.stack([plan.condition.depth for plan in plans if plan.condition is not None])
        generators = [torch.Generator("cpu").manual_seed(image_seed(seed, plan.index)) for plan in plans]
        result = self._pipeline(
            prompt=[plan.prompt for plan in plans],
            negative_prompt=[settings.negative_prompt] * len(plans),
            image=torch.from_numpy(depths)[:, None].expand(-1, 3, -1, -1),
            height=settings.size,
            width=settings.size,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            controlnet_conditioning_scale=settings.control_scale,
            generator=generators,
            output_type="np",
        )
        if not np.isfinite(result.images).all():
            raise FeatureError(
                "finite images", "NaN or infinity", "Set generator.precision = 'fp32' or 'bf16'."
            )
        images = np.rint(np.clip(result.images, 0, 1) * 255).astype(np.uint8)
        flags = result.nsfw_content_detected or [False] * len(plans)
        return [(image, bool(flag)) for image, flag in zip(images, flags, strict=True)]

    def _judge(
        self,
        plan: Plan,
        subject: Subject,
        seed: int,
        image: UInt8[np.ndarray, "S S 3"] | None,
        flagged: bool,
    ) -> GeneratedImage:
        if image is None or plan.condition is None:
            image = np.zeros((self._settings.size, self._settings.size, 3), dtype=np.uint8)
            verdict = Verdict(NOTHING_VISIBLE)
        elif flagged:  # the checker has painted it black: nothing is left to compare
            verdict = Verdict(FLAGGED)
        else:
            verdict = judge_image(self._depth(image), plan.condition, self._settings.gate)
        return GeneratedImage(
            plan.index,
            image,
            plan.fragments.face >= 0,
            vertex_map(plan.fragments, subject.F),
            plan.view,
            plan.prompt,
            image_seed(seed, plan.index),
            plan.background,
            verdict,
        )
