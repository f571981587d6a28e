"""Stable Diffusion's UNet as an extractor (Zhang et al. 2023, A Tale of Two Features; SHIC Sec. 3.2).

The image's latents get noise of one timestep and pass through the UNet up to the last decoder layer that is asked
for; what lies behind it is never computed.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..errors import FeatureError, SettingsError
from ..hub import ModelRef, load_pretrained
from .placement import DTYPES, Precision, check_device, place_network, resize_images
from .protocol import check_divisible

Layer = Literal["s5", "s4", "s3"]
LAYERS: dict[Layer, tuple[int, str, int]] = {  # decoder block and part; in the order in which they run
    "s5": (0, "resnets", 1),  # 64 pixels a cell
    "s4": (1, "attentions", 1),  # 32
    "s3": (2, "attentions", 1),  # 16
}
_MULTIPLE = 64  # the VAE shrinks by 8, the UNet by 8 again


@dataclass(frozen=True)
class StableDiffusionFeatures:
    """Settings: SD 1.5, or a 2.x-style model by its id (both have the same decoder blocks).

    Attributes:
        model: owner/name[@revision] or a folder, with unet, vae, scheduler and, for the prompt, text_encoder and
            tokenizer.
        timestep: of the noise, in [0, 1000).
        layers: decoder layers, brought to the grid of the finest one, 16 pixels a cell with s3.
        prompt: what the UNet is told; empty is the unconditional text.
        seed: an image's noise depends on it and the image's key alone.
        precision: of the networks; features are float32 in any case.
    """

    kind: Literal["stable_diffusion"] = "stable_diffusion"
    model: ModelRef = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    timestep: int = 100
    layers: tuple[Layer, ...] = ("s5", "s4", "s3")
    prompt: str = ""
    seed: int = 0
    precision: Precision = "fp32"

    def load(self, device: str = "cpu", offload: bool = False) -> "DiffusionExtractor":
        """The extractor; the text encoder is used once and let go.

        Raises:
            DependencyError: the model cannot be had.
            SettingsError: no layer, or a timestep the scheduler does not have.
        """
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

        check_device(device, self.precision)
        if not self.layers:
            raise SettingsError("at least one of the layers s5, s4, s3", "none", "Correct `layers`.")
        alphas = load_pretrained(DDPMScheduler, self.model, "scheduler").alphas_cumprod
        if not 0 <= self.timestep < len(alphas):
            raise SettingsError(f"a timestep in [0, {len(alphas)})", str(self.timestep), "Correct it.")
        text = encode_prompt(self.model, self.prompt)
        vae = load_pretrained(AutoencoderKL, self.model, "vae")
        vae.decoder = nn.Identity()  # never used here
        unet = load_pretrained(UNet2DConditionModel, self.model, "unet")
        return DiffusionExtractor(
            place_network(vae, device, self.precision, offload),
            place_network(unet, device, self.precision, offload),
            text,
            float(alphas[self.timestep]),
            self,
            device,
        )


@torch.no_grad()
def encode_prompt(model: str, prompt: str) -> Float[Tensor, "1 T D"]:
    """The text encoder's last hidden state of a prompt, padded to the encoder's length."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = load_pretrained(CLIPTokenizer, model, "tokenizer")
    encoder = load_pretrained(CLIPTextModel, model, "text_encoder").eval()
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    tokens = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return encoder(tokens.input_ids)[0].float()


class DiffusionExtractor:
    """See the module's docstring; each image on its own, its noise drawn on the CPU from its key."""

    def __init__(
        self,
        vae: Any,
        unet: nn.Module,
        text: Float[Tensor, "1 T D"],
        alpha: float,
        settings: StableDiffusionFeatures,
        device: str = "cpu",
    ) -> None:
        """Take placed networks; `alpha` is the timestep's cumulative product of the schedule."""
        self.stride = _MULTIPLE // 2 ** max(LAYERS[layer][0] for layer in settings.layers)
        self._vae, self._unet, self._alpha, self._settings = vae, unet, alpha, settings
        self._device, self._dtype = torch.device(device), DTYPES[settings.precision]
        self._text = text.to(self._device, self._dtype)

    @torch.no_grad()
    def __call__(
        self, images: Float[Tensor, "B 3 H W"], silhouettes: Bool[Tensor, "B H W"], keys: list[str]
    ) -> Float[Tensor, "B C h w"]:
        """The layers' maps, resized to one grid, concatenated and L2-normalised; float32 on the device.

        Sides that are no multiples of 64 are enlarged to the next ones, and the maps brought back to the grid.
        """
        check_divisible(images, self.stride)
        height, width = images.shape[-2:]
        sides = [_MULTIPLE * math.ceil(side / _MULTIPLE) for side in (height, width)]
        pixels = resize_images(images.float(), *sides).to(self._device, self._dtype) * 2 - 1
        latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
        noise = torch.stack([self._noise(key, latents.shape[1:]) for key in keys]).to(latents)
        noisy = self._alpha**0.5 * latents + (1 - self._alpha) ** 0.5 * noise
        text = self._text.expand(len(images), -1, -1)
        maps = decoder_maps(self._unet, noisy, self._settings.timestep, text, self._settings.layers)
        shape = height // self.stride, width // self.stride
        return normalize(torch.cat([resize_images(one.float(), *shape) for one in maps], dim=1), dim=1)

    def _noise(self, key: str, shape: torch.Size) -> Float[Tensor, "c h w"]:
        digest = hashlib.sha256(f"{self._settings.seed}/{key}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return torch.randn(shape, generator=generator)


class _Reached(Exception):
    """The last layer has fired."""


def decoder_maps(
    unet: Any,
    latents: Float[Tensor, "B c h w"],
    timestep: int,
    text: Float[Tensor, "B T D"],
    layers: tuple[Layer, ...],
) -> list[Float[Tensor, "B C H W"]]:
    """What the layers say, in the order given; the UNet stops as soon as the last of them has fired.

    Raises:
        FeatureError: a UNet without such a layer.
    """
    kept: dict[Layer, Tensor] = {}
    last = max(layers, key=list(LAYERS).index)

    def keep(layer: Layer, output: Any) -> None:
        kept[layer] = output if isinstance(output, Tensor) else output[0]
        if layer == last:
            raise _Reached

    handles = [
        _layer(unet, layer).register_forward_hook(lambda _m, _i, output, layer=layer: keep(layer, output))
        for layer in layers
    ]
    try:
        unet(latents, timestep, encoder_hidden_states=text)
    except _Reached:
        return [kept[layer] for layer in layers]
    finally:
        for handle in handles:
            handle.remove()
    raise FeatureError(f"a UNet that runs {last}", "one that ended without it", "Choose other layers.")


def _layer(unet: Any, layer: Layer) -> nn.Module:
    block, part, index = LAYERS[layer]
    try:
        return getattr(unet.up_blocks[block], part)[index]
    except (AttributeError, IndexError) as error:
        raise FeatureError(
            f"a UNet with up_blocks[{block}].{part}[{index}]", type(unet).__name__, "Choose other layers."
        ) from error
