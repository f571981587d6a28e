import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d

from densecorr.config import to_jsonable
from densecorr.errors import FeatureError, SettingsError
from densecorr.features import DinoV2Features, FusedFeatures, SilhouetteFeatures, StableDiffusionFeatures
from densecorr.models import CseModel, CseModelSettings, DecoderBackbone, Predictor, load_predictor
from densecorr.models.decoder import needs_silhouettes, runnable_on
from densecorr.models.stored import write_surface
from tests import tiny_models

TINY = CseModelSettings(
    embedding=6, n_eigenfunctions=8, crop_size=32, padding=0.0,
    backbone=DecoderBackbone(encoder=SilhouetteFeatures(), widths=(6, 8), upsample=2),
)  # fmt: skip


@pytest.mark.parametrize("upsample", [1, 2, 4, 8])
def test_the_output_is_finer_than_the_encoder_s_grid(upsample: int) -> None:
    network = DecoderBackbone(upsample=upsample).build(12).eval()
    assert network(torch.zeros(1, 12, 5, 5)).shape == (1, 64, 5 * upsample, 5 * upsample)
    assert len(network.layers) == 5


@pytest.mark.parametrize(
    "settings", [DecoderBackbone(upsample=3), DecoderBackbone(upsample=0), DecoderBackbone(widths=(8, 8), upsample=4),
                 DecoderBackbone(widths=())],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: DecoderBackbone) -> None:
    with pytest.raises(SettingsError, match="upsample"):
        settings.build(4)


def test_a_decoder_without_encoded_images_says_where_they_come_from() -> None:
    with pytest.raises(SettingsError, match="densecorr encode"):
        CseModel(TINY, torch.randn(20, 9))


def test_a_mirrored_grid_gives_a_mirrored_answer_up_to_the_weights() -> None:
    """The network has no place of its own: a shifted grid gives a shifted answer, away from the border."""
    network = DecoderBackbone(widths=(6, 6), upsample=2).build(3).eval()
    grid = torch.randn(1, 3, 12, 12)
    here, there = network(grid), network(grid.roll(2, dims=3))
    torch.testing.assert_close(here[..., 8:-8], there.roll(-4, dims=3)[..., 8:-8], atol=1e-5, rtol=1e-5)


def test_which_encoders_need_silhouettes() -> None:
    assert needs_silhouettes(SilhouetteFeatures())
    assert needs_silhouettes(DecoderBackbone(encoder=SilhouetteFeatures()))
    assert not needs_silhouettes(DecoderBackbone(encoder=DinoV2Features()))
    assert not needs_silhouettes(DecoderBackbone())
    assert not needs_silhouettes(FusedFeatures())


# ---- predicting


class Colors:
    """Passes colours on, four pixels a cell."""

    stride = 4

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        return torch.cat([avg_pool2d(images, 4)] * 2, dim=1)


def mirror_pairs(n: int) -> np.ndarray:
    """0 and 1 are partners, 2 and 3, ...; the last lies on the plane of symmetry."""
    return np.append(np.arange(n - 1) ^ 1, n - 1)


def make_predictor(encoder: object = DinoV2Features()) -> Predictor:
    torch.manual_seed(3)
    full = torch.randn(33, 8)
    backbone = replace(TINY.backbone, encoder=encoder)
    model = CseModel(replace(TINY, backbone=backbone), full[:13], channels=6)
    surface = {
        "basis": full,
        "colors": torch.zeros(33, 3, dtype=torch.uint8),
        "mirror": torch.from_numpy(mirror_pairs(33)),
        "mirror_coarse": torch.from_numpy(mirror_pairs(13)),
    }
    predictor = Predictor(model, surface, {})
    predictor.__dict__["encoder"] = Colors()  # in place of the one that would be loaded
    return predictor


def test_a_mirrored_image_gets_the_mirrored_answer() -> None:
    model = make_predictor()
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    box, box_flipped = (10.0, 4.0, 32.0, 32.0), (60.0 - 10 - 32, 4.0, 32.0, 32.0)
    here = model.embed(image, box)
    there = model.embed(np.ascontiguousarray(image[:, ::-1]), box_flipped)
    torch.testing.assert_close(there.logit.flip(-1), here.logit)
    xy = np.random.default_rng(1).uniform([10, 4], [41, 35], (300, 2))
    vertex, _ = model.vertices_at(here, xy)
    vertex_flipped, _ = model.vertices_at(there, np.stack([59 - xy[:, 0], xy[:, 1]], axis=1))
    assert (vertex_flipped == mirror_pairs(33)[vertex]).mean() > 0.99
    assert (mirror_pairs(33)[vertex] != vertex).mean() > 0.5


def test_an_encoder_of_silhouettes_asks_for_one() -> None:
    model = make_predictor(SilhouetteFeatures())
    assert model.needs_silhouettes
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    with pytest.raises(FeatureError, match="--silhouettes"):
        model.predict(image, (10.0, 4.0, 32.0, 32.0))
    silhouette = np.zeros((40, 60), dtype=bool)
    silhouette[10:30, 15:35] = True
    prediction = model.predict(image, (10.0, 4.0, 32.0, 32.0), silhouette)
    np.testing.assert_array_equal(prediction.vertex_map(40, 60) >= 0, silhouette)


def write_model(folder: Path, settings: CseModelSettings, channels: int) -> None:
    model = CseModel(settings, torch.randn(13, 8), channels=channels)
    save_file(model.state_dict(), folder / "model.safetensors")
    write_surface(
        folder,
        np.random.default_rng(0).normal(size=(33, 8)).astype(np.float32),
        np.zeros((33, 3), np.uint8),
    )
    (folder / "config.json").write_text(json.dumps({"train": {"model": to_jsonable(settings)}}))


def test_a_trained_decoder_is_read_back_with_its_encoder(tmp_path: Path) -> None:
    write_model(tmp_path, TINY, 97)
    predictor = load_predictor(tmp_path)
    assert predictor.settings == TINY
    assert predictor.encoder.stride == 4


def test_an_encoder_in_fp16_runs_in_fp32_on_a_cpu(tmp_path: Path) -> None:
    folder = tiny_models.write_dinov2(tmp_path / "dinov2")
    backbone = replace(TINY.backbone, encoder=DinoV2Features(model=str(folder), precision="fp16"))
    settings = replace(TINY, crop_size=56, backbone=backbone)
    write_model(tmp_path, settings, 32)
    model = load_predictor(tmp_path)
    assert model.settings == settings  # as it was trained
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert model.embed(image, (10.0, 4.0, 32.0, 32.0)).pixel.isfinite().all()


def test_only_fp16_changes_and_only_on_a_cpu_but_in_all_parts() -> None:
    half = FusedFeatures(
        backbone=DinoV2Features(precision="fp16"), diffusion=StableDiffusionFeatures(precision="fp16")
    )
    assert runnable_on(half, torch.device("cuda:1")) is half
    assert runnable_on(half, torch.device("cpu")) == FusedFeatures()
    for other in (SilhouetteFeatures(), DinoV2Features(precision="bf16")):
        assert runnable_on(other, torch.device("cpu")) == other
