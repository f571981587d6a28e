"""Tiny models of the ControlNet generator with random weights: they prove loading, shapes and seeds, never quality."""

from pathlib import Path

import torch

from densecorr.synthesis import ControlNetGenerator, Gate

from . import tiny_models

ANYTHING = Gate(min_depth_agreement=-1.0, min_silhouette_iou=0.0)  # random weights agree with nothing


def write_depth_model(folder: Path, kind: str = "relative") -> Path:
    """A Depth Anything of 16 channels; patches of 14 pixels; `kind` is relative or metric."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, neck_hidden_sizes=[4, 8, 8, 8],
        fusion_hidden_size=8, head_in_channels=8, head_hidden_size=8, depth_estimation_type=kind,
        max_depth=1,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


def write_controlnet(folder: Path, stable_diffusion: Path) -> Path:
    """A ControlNet of the tiny Stable Diffusion's shape."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(stable_diffusion / "unet")
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 4, 4))
    for block in (*network.controlnet_down_blocks, network.controlnet_mid_block):
        torch.nn.init.normal_(
            block.weight, std=0.5
        )  # a new ControlNet says nothing: its last layers are zero
    torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight)
    network.save_pretrained(folder)
    return folder


def write_safety_checker(stable_diffusion: Path, *, flags: bool) -> None:
    """A safety checker, beside the other parts, that flags every image or none."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPTextConfig, CLIPVisionConfig

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = CLIPVisionConfig(**sizes, image_size=32, patch_size=16)
    config = CLIPConfig(
        text_config=CLIPTextConfig(**sizes, vocab_size=50).to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0 if flags else 2.0)  # thresholds of a cosine
    checker.special_care_embeds_weights.data.fill_(2.0)
    checker.save_pretrained(stable_diffusion / "safety_checker")
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(stable_diffusion / "feature_extractor")


def write_generator(folder: Path) -> ControlNetGenerator:
    """All three models, and settings that name them: images of 64 pixels in two steps, kept whatever they show."""
    sd = tiny_models.write_stable_diffusion(folder / "sd")
    return ControlNetGenerator(
        model=str(sd),
        controlnet=str(write_controlnet(folder / "controlnet", sd)),
        depth_model=str(write_depth_model(folder / "depth")),
        steps=2,
        size=64,
        depth_side=56,
        gate=ANYTHING,
    )
