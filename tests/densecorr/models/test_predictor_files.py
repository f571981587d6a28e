"""A trained model's folder: all that is needed to predict, or an error that names what is wrong."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.torch import save_file

from densecorr.config import to_jsonable
from densecorr.errors import ArtifactError, SettingsError
from densecorr.models import CseModel, CseModelSettings, UNetBackbone, load_predictor
from densecorr.models.stored import write_surface
from densecorr.training.checkpoints import save_model


def write_model(folder: Path, mirror: bool = False) -> CseModel:
    settings = CseModelSettings(
        embedding=4, n_eigenfunctions=5, crop_size=32, backbone=UNetBackbone(widths=(4, 6)), unit="both"
    )
    generator = torch.Generator().manual_seed(0)
    full = torch.randn(30, 7, generator=generator)
    model = CseModel(settings, full[:12])
    folder.mkdir(exist_ok=True)
    save_model(folder, model, {"train": {"model": to_jsonable(asdict(settings))}, "category": "thing"})
    scale = full[:12].square().mean().sqrt()
    colors = np.random.default_rng(0).integers(0, 256, (30, 3), dtype=np.uint8)
    partners = (np.arange(30)[::-1], np.arange(12)[::-1]) if mirror else (None, None)
    write_surface(folder, (full[:, :5] / scale).numpy(), colors, *partners)
    return model.eval()


@pytest.mark.parametrize("mirror", [False, True])
def test_a_model_s_folder_is_all_that_is_needed_to_predict(tmp_path: Path, mirror: bool) -> None:
    model = write_model(tmp_path, mirror)
    predictor = load_predictor(tmp_path)
    assert predictor.config["category"] == "thing"
    assert predictor.settings == model.settings
    assert predictor.colors.shape == (30, 3)
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    embedded = predictor.embed(image, (5.0, 5.0, 30.0, 30.0))
    assert len(embedded.pixel) == (8 if mirror else 4)
    crop_pixels = np.array([[12.0, 9.0], [20.0, 25.0]])
    vertex, _ = predictor.vertices_at(embedded, crop_pixels)
    assert ((vertex >= 0) & (vertex < 30)).all()
    again = load_predictor(str(tmp_path)).predict(image, (5.0, 5.0, 30.0, 30.0))
    assert_array_equal(again.vertices, predictor.predict(image, (5.0, 5.0, 30.0, 30.0)).vertices)


@pytest.mark.parametrize("name", ["config.json", "surface.safetensors", "model.safetensors"])
@pytest.mark.parametrize("damage", ["absent", "cut", "empty"])
def test_a_folder_that_is_not_a_whole_model_names_what_is_wrong(
    name: str, damage: str, tmp_path: Path
) -> None:
    write_model(tmp_path)
    stored = (tmp_path / name).read_bytes()
    if damage == "absent":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(stored[: len(stored) // 2 if damage == "cut" else 0])
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        load_predictor(tmp_path)


def test_another_stage_s_folder_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"something": 1}')
    for name in ("surface.safetensors", "model.safetensors"):
        save_file({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ArtifactError, match="train"):
        load_predictor(tmp_path)
    with pytest.raises(ArtifactError, match="train"):
        load_predictor(tmp_path / "nowhere")


def test_a_device_that_is_not_here_is_named(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert load_predictor(tmp_path).device == torch.device("cpu")
    with pytest.raises(SettingsError, match="cuda:99"):
        load_predictor(tmp_path, "cuda:99")


@pytest.mark.gpu
@pytest.mark.parametrize("mirror", [False, True])
def test_a_gpu_gives_the_answers_of_the_cpu_in_main_memory(tmp_path: Path, mirror: bool) -> None:
    write_model(tmp_path, mirror)
    here, there = (load_predictor(tmp_path, device) for device in ("cpu", "cuda"))
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    box = (5.0, 5.0, 30.0, 30.0)
    expected, embedded = here.embed(image, box), there.embed(image, box)
    torch.testing.assert_close(embedded.pixel, expected.pixel, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(embedded.logit, expected.logit, atol=1e-3, rtol=1e-3)
    assert_array_equal(there.pixels_of(expected, np.arange(30)), here.pixels_of(expected, np.arange(30)))
    torch.testing.assert_close(there.vertex_embedding, here.vertex_embedding)
    vertices = here.dense(expected, box).vertices
    assert (there.dense(expected, box).vertices == vertices).mean() > 0.99
