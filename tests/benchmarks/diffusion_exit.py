"""Stable Diffusion features: the UNet stopped at its last tapped layer against the whole UNet.

The UNet has SD 1.5's true shapes (860 million parameters) and random weights; one image of 512 pixels.
"""

import torch

from densecorr.features.stable_diffusion import decoder_maps

from .measure import Benchmark, Comparison

LAYERS = ("s5", "s4", "s3")


def prepare() -> Benchmark:
    """Build the UNet and one image's latents."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(cross_attention_dim=768).eval().requires_grad_(False)
    latents, text = torch.randn(1, 4, 64, 64), torch.randn(1, 77, 768)

    @torch.no_grad()
    def stopped() -> list[torch.Tensor]:
        return decoder_maps(unet, latents, 100, text, LAYERS)

    @torch.no_grad()
    def whole() -> None:
        unet(latents, 100, encoder_hidden_states=text)

    def check() -> None:
        maps = stopped()
        if [tuple(one.shape[1:]) for one in maps] != [(1280, 8, 8), (1280, 16, 16), (640, 32, 32)]:
            raise AssertionError(f"maps of {[tuple(one.shape) for one in maps]}")

    return Benchmark(stopped, check, (Comparison("whole-unet", whole, 0.75),), rounds=2)
