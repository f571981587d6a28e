"""Extractors of hub models on tiny random ones, loaded as real ones are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from densecorr.config import from_jsonable, to_jsonable
from densecorr.errors import DependencyError, FeatureError, ImageError, SettingsError
from densecorr.features import (
    DinoV2Features,
    DinoV3Features,
    FeatureExtractor,
    Features,
    FusedFeatures,
    HubBackboneFeatures,
    StableDiffusionFeatures,
)
from densecorr.features.fused import FusedExtractor
from densecorr.features.patches import tokens_to_grid
from densecorr.features.stable_diffusion import decoder_maps
from densecorr.hub import load_pretrained, named_models
from tests import tiny_models


def photos(n: int, height: int, width: int) -> tuple[Tensor, Tensor, list[str]]:
    images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))
    return images, torch.ones(n, height, width, dtype=torch.bool), [f"image-{k}" for k in range(n)]


@pytest.fixture(scope="module", params=["dinov2", "registers", "dinov3", "backbone", "sd", "sd2", "fused"])
def settings(
    request: pytest.FixtureRequest, tmp_path_factory, dinov2: Path, stable_diffusion: Path
) -> Features:
    folder = tmp_path_factory.mktemp("models")
    if request.param == "registers":
        return DinoV2Features(model=str(tiny_models.write_dinov2(folder, registers=4)))
    if request.param == "dinov3":
        return DinoV3Features(model=str(tiny_models.write_dinov3(folder)))
    if request.param == "sd2":
        return StableDiffusionFeatures(model=str(tiny_models.write_stable_diffusion(folder, second=True)))
    return {
        "dinov2": DinoV2Features(model=str(dinov2)),
        "backbone": HubBackboneFeatures(model=str(dinov2)),
        "sd": StableDiffusionFeatures(model=str(stable_diffusion)),
        "fused": FusedFeatures(
            backbone=DinoV2Features(model=str(dinov2)),
            diffusion=StableDiffusionFeatures(model=str(stable_diffusion)),
        ),
    }[request.param]


@pytest.fixture(scope="module")
def extractor(settings: Features) -> FeatureExtractor:
    return settings.load()


def test_each_gives_a_cell_for_each_stride_of_pixels(extractor: FeatureExtractor) -> None:
    images, masks, keys = photos(2, 4 * extractor.stride, 6 * extractor.stride)
    grid = extractor(images, masks, keys)
    assert grid.shape[0] == 2
    assert grid.shape[2:] == (4, 6)
    assert grid.dtype == torch.float32
    assert torch.isfinite(grid).all()


def test_an_image_does_not_depend_on_its_batch_mates(extractor: FeatureExtractor) -> None:
    images, masks, keys = photos(4, 4 * extractor.stride, 4 * extractor.stride)
    together = extractor(images, masks, keys)
    alone = torch.cat([extractor(images[k : k + 1], masks[k : k + 1], keys[k : k + 1]) for k in range(4)])
    turned = extractor(images.flip(0), masks, keys[::-1]).flip(0)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, turned, atol=1e-5, rtol=0)


def test_the_same_image_gives_the_same_bytes_again(settings: Features, extractor: FeatureExtractor) -> None:
    images, masks, keys = photos(1, 4 * extractor.stride, 4 * extractor.stride)
    torch.manual_seed(5)
    first = extractor(images, masks, keys)
    torch.manual_seed(6)
    assert torch.equal(first, settings.load()(images, masks, keys))


def test_settings_survive_a_pipeline_file_and_name_their_models(settings: Features) -> None:
    assert from_jsonable(Features, to_jsonable(settings)) == settings
    assert len(named_models(settings)) == (2 if settings.kind == "fused" else 1)


def test_sides_that_do_not_fit_are_refused(extractor: FeatureExtractor) -> None:
    images, masks, keys = photos(1, 4 * extractor.stride + 1, 4 * extractor.stride)
    with pytest.raises(ImageError, match="divisible"):
        extractor(images, masks, keys)


def test_half_precision_is_near_full_precision(dinov2: Path) -> None:
    images, masks, keys = photos(1, 56, 56)
    full = DinoV2Features(model=str(dinov2)).load()(images, masks, keys)
    half = DinoV2Features(model=str(dinov2), precision="bf16").load()(images, masks, keys)
    assert half.dtype == torch.float32
    cosine = torch.cosine_similarity(full, half, dim=1)
    assert 0.99 < float(cosine.min()) < 1.0


def test_fp16_wants_a_gpu_and_a_gpu_must_be_here(dinov2: Path) -> None:
    with pytest.raises(SettingsError, match="fp32 or bf16"):
        DinoV2Features(model=str(dinov2), precision="fp16").load()
    with pytest.raises(SettingsError, match="CUDA devices"):
        DinoV2Features(model=str(dinov2)).load("cuda:7")


def test_an_absent_model_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DependencyError, match="models fetch"):
        DinoV2Features().load()


def test_a_backbone_without_a_patch_grid_is_refused() -> None:
    with pytest.raises(FeatureError, match="3 tokens"):
        tokens_to_grid(torch.zeros(1, 3, 8), 4, 4, "x")
    with pytest.raises(FeatureError, match="a map of"):
        tokens_to_grid(torch.zeros(1, 8, 3, 3), 4, 4, "x")


def test_tokens_lie_row_by_row_behind_the_special_ones() -> None:
    tokens = torch.arange(2 + 6).float()[None, :, None]
    assert tokens_to_grid(tokens, 2, 3, "x")[0, 0].tolist() == [[2, 3, 4], [5, 6, 7]]


# ---- Stable Diffusion


def test_noise_comes_from_seed_and_key(stable_diffusion: Path) -> None:
    images, masks, _ = photos(1, 64, 64)
    first = StableDiffusionFeatures(model=str(stable_diffusion)).load()
    other = StableDiffusionFeatures(model=str(stable_diffusion), seed=1).load()
    assert not torch.equal(first(images, masks, ["a"]), first(images, masks, ["b"]))
    assert not torch.equal(first(images, masks, ["a"]), other(images, masks, ["a"]))


def test_the_unet_stops_at_its_last_layer_and_gives_what_a_whole_pass_gives(stable_diffusion: Path) -> None:
    from diffusers import UNet2DConditionModel

    unet = load_pretrained(UNet2DConditionModel, str(stable_diffusion), "unet").eval()
    latents, text = torch.randn(1, 4, 16, 16), torch.randn(1, 3, 16)
    whole: dict[str, Tensor] = {}
    ran: list[str] = []
    for name, module in unet.named_modules():
        if name in ("up_blocks.0.resnets.1", "up_blocks.2.attentions.1"):
            module.register_forward_hook(lambda m, i, out, name=name: whole.setdefault(name, out))
    with torch.no_grad():
        unet(latents, 100, encoder_hidden_states=text)
        for name, module in unet.named_modules():
            module.register_forward_pre_hook(lambda m, i, name=name: ran.append(name))
        s5, s3 = decoder_maps(unet, latents, 100, text, ("s5", "s3"))
    assert torch.equal(s5, whole["up_blocks.0.resnets.1"])
    found = whole["up_blocks.2.attentions.1"]
    assert torch.equal(s3, found if isinstance(found, Tensor) else found[0])
    assert "up_blocks.2.attentions.1" in ran
    assert not any(name.startswith(("up_blocks.3", "conv_out", "up_blocks.2.resnets.2")) for name in ran)
    assert s5.shape[-1] == 2  # 64 pixels a cell: 16 latents are 128 pixels
    assert s3.shape[-1] == 8


def test_fewer_layers_give_a_coarser_grid(stable_diffusion: Path) -> None:
    images, masks, keys = photos(1, 128, 128)
    coarse = StableDiffusionFeatures(model=str(stable_diffusion), layers=("s5",)).load()
    assert coarse.stride == 64
    assert coarse(images, masks, keys).shape[-2:] == (2, 2)


def test_the_prompt_matters(stable_diffusion: Path) -> None:
    images, masks, keys = photos(1, 64, 64)
    plain = StableDiffusionFeatures(model=str(stable_diffusion)).load()(images, masks, keys)
    told = StableDiffusionFeatures(model=str(stable_diffusion), prompt="a cab").load()(images, masks, keys)
    assert not torch.equal(plain, told)


@pytest.mark.parametrize(("changed", "match"), [({"timestep": 1000}, "timestep"), ({"layers": ()}, "layers")])
def test_bad_diffusion_settings_are_named(stable_diffusion: Path, changed: dict, match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        StableDiffusionFeatures(model=str(stable_diffusion), **changed).load()


# ---- fused


class CellMeans:
    """An extractor whose features are the mean colours of its cells: positions can be read off a ramp."""

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self._pool = nn.AvgPool2d(stride)

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        grid = self._pool(images)
        return torch.cat([grid, torch.ones_like(grid[:, :1])], dim=1)  # the last channel undoes normalising


@pytest.mark.parametrize("strides", [(14, 16), (16, 14), (14, 64), (8, 16)])
def test_the_cells_of_all_parts_have_the_same_centres(strides: tuple[int, int]) -> None:
    side = strides[0] * 20
    x = (torch.arange(side) / side).expand(side, -1)
    ramp = torch.stack([x, x.T, torch.zeros(side, side)])[None]
    fused = FusedExtractor((CellMeans(strides[0]), CellMeans(strides[1])), (1.0, 1.0))
    grid = fused(ramp, torch.ones(1, side, side, dtype=torch.bool), ["a"])[0]
    centres = (np.arange(20) + 0.5) * strides[0] - 0.5
    for part in (grid[:4], grid[4:]):
        at = part / part[3]
        inner = slice(2, -2)  # the antialiasing filter repeats the border
        np.testing.assert_allclose((at[0, 7] * side)[inner], centres[inner], atol=0.05 * strides[0])
        np.testing.assert_allclose((at[1, :, 7] * side)[inner], centres[inner], atol=0.05 * strides[0])


def test_each_part_is_normalised_and_weighted(dinov2: Path, stable_diffusion: Path) -> None:
    settings = FusedFeatures(
        backbone=DinoV2Features(model=str(dinov2)),
        diffusion=StableDiffusionFeatures(model=str(stable_diffusion)),
        backbone_weight=0.8,
        diffusion_weight=0.3,
    )
    images, masks, keys = photos(1, 70, 70)
    grid = settings.load()(images, masks, keys)[0]
    torch.testing.assert_close(grid[:32].norm(dim=0), torch.full((5, 5), 0.8))
    torch.testing.assert_close(grid[32:].norm(dim=0), torch.full((5, 5), 0.3))
    with pytest.raises(SettingsError, match="positive"):
        replace(settings, backbone_weight=0.0).load()
