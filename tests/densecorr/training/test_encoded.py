import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor
from torch.nn.functional import avg_pool2d

from densecorr import hub
from densecorr.config import from_jsonable
from densecorr.errors import ArtifactError, FeatureError, SettingsError
from densecorr.features import DinoV2Features, SilhouetteFeatures
from densecorr.models import CseModelSettings, DecoderBackbone
from densecorr.training.augment import Augmentation
from densecorr.training.encoded import (
    EncodeSettings,
    Encoding,
    check_stride,
    crop_variants,
    encode_shard,
    write_info,
)
from densecorr.training.prepare import encoded_model

BOX = (30.0, 20.0, 80.0, 60.0)
SETTINGS = EncodeSettings(features=SilhouetteFeatures(), crop_size=64, padding=0.2, variants=5)


class Colors:
    """Passes the crops on, four pixels a cell; what `spoil` says happens to the grid of the crop with that key."""

    stride = 4

    def __init__(self, spoil: str = "", value: float = torch.nan, cut: int = 0) -> None:
        self._spoil, self._value, self._cut = spoil, value, cut

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        grid = avg_pool2d(images, 4)
        for index, key in enumerate(keys):
            if key == self._spoil:
                grid[index, 0, 2, 2] = self._value
        return grid[..., self._cut :]


def dotted_image() -> np.ndarray:
    """A soft dot in each channel, a few pixels wide."""
    ys, xs = np.mgrid[:100, :140]
    dots = [np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 18.0) for x, y in DOTS]
    return (np.stack(dots, axis=-1) * 255).round().astype(np.uint8)


DOTS = np.array([[60.0, 45.0], [80.0, 50.0], [70.0, 62.0]])


def centroids(crop: Tensor) -> np.ndarray:
    ys, xs = torch.meshgrid(*(torch.arange(float(side)) for side in crop.shape[-2:]), indexing="ij")
    weight = (crop - 0.1).clamp(min=0)
    total = weight.sum(dim=(1, 2))
    return torch.stack(
        [(weight * xs).sum(dim=(1, 2)) / total, (weight * ys).sum(dim=(1, 2)) / total], dim=1
    ).numpy()


def crops(key: str = "a", settings: EncodeSettings = SETTINGS, silhouette: np.ndarray | None = None):
    return crop_variants(dotted_image(), silhouette, BOX, key, settings, 4)


def test_the_transform_leads_to_where_the_crop_shows_a_point() -> None:
    still_colors = replace(SETTINGS, augmentation=Augmentation(brightness=0.0, color=0.0))
    made = crops(settings=still_colors)
    assert len(made.pictures) == 10
    for crop, affine in zip(made.pictures[::2], made.affine.numpy(), strict=True):
        expected = DOTS @ affine[:, :2].T + affine[:, 2]
        assert_allclose(centroids(crop.image), expected, atol=0.15)


def test_behind_each_crop_comes_its_mirror_image() -> None:
    made = crops(silhouette=dotted_image().max(axis=-1) > 60)
    for crop, mirrored in zip(made.pictures[::2], made.pictures[1::2], strict=True):
        assert torch.equal(mirrored.image, crop.image.flip(-1))
        assert torch.equal(mirrored.silhouette, crop.silhouette.flip(-1))


def test_variants_differ_and_depend_on_the_seed_and_the_instance_alone() -> None:
    made = crops()
    assert not torch.equal(made.affine[0], made.affine[1])
    assert torch.equal(made.affine, crops().affine)
    assert not torch.equal(made.affine, crops("b").affine)
    assert not torch.equal(made.affine, crops(settings=replace(SETTINGS, seed=1)).affine)


def test_the_share_is_the_silhouette_s_and_none_without_one() -> None:
    silhouette = np.zeros((100, 140), bool)
    silhouette[40:60, 50:90] = True
    made = crops(silhouette=silhouette)
    assert made.known
    assert made.share.shape == (5, 64, 64)
    for crop, share in zip(made.pictures[::2], made.share, strict=True):
        assert float(share.float().mean() / 255) == pytest.approx(
            float(crop.silhouette.float().mean()), abs=0.02
        )
    without = crops()
    assert not without.known
    assert not without.share.any()


def test_a_shard_holds_every_variant_in_half_precision() -> None:
    shard = encode_shard([crops("a"), crops("b")], Colors(), SETTINGS)
    assert shard["features"].shape == (2, 5, 2, 3, 16, 16)
    assert shard["features"].dtype == torch.float16
    expected = avg_pool2d(crops("b").pictures[3].image[None], 4)[0]
    torch.testing.assert_close(shard["features"][1, 1, 1].float(), expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(shard["affine"][1], crops("b").affine)


@pytest.mark.parametrize("value", [torch.nan, 1e6])  # 1e6 is beyond float16
def test_features_that_are_not_finite_name_the_instance(value: float) -> None:
    with pytest.raises(FeatureError, match="b"):
        encode_shard([crops("a"), crops("b")], Colors("b", value), SETTINGS)


def test_a_grid_that_does_not_fill_the_crop_is_an_error() -> None:
    with pytest.raises(FeatureError, match=r"16x16.*\(16, 15\) for 'a'"):
        encode_shard([crops("a")], Colors(cut=1), SETTINGS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"crop_size": 66}, "multiple of the encoder's stride, 4"), ({"variants": 0}, "variant")],
)
def test_settings_that_do_not_fit_are_refused(changed: dict[str, int], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_stride(Colors(), replace(SETTINGS, **changed))


# ---- reading


def test_an_encoding_reads_any_instance_from_its_shard(make_encoding, tmp_path: Path) -> None:
    encoding = Encoding(make_encoding(tmp_path / "e"))
    assert encoding.ids == [f"globe/{i}" for i in range(6)]
    assert encoding.channels == 4
    grids = [encoding.read(row, variant)[0] for row in range(6) for variant in range(2)]
    assert all(grid.shape == (2, 4, 8, 8) and grid.dtype == torch.float16 for grid in grids)
    assert len({grid.numpy().tobytes() for grid in grids}) == 12
    features, affine, share, known = encoding.read(5, 1)
    assert (affine.shape, share.shape, known) == ((2, 3), (16, 16), True)
    torch.testing.assert_close(features[0][3].float(), features[1][3].flip(-1).float())


def test_other_folders_are_refused(make_encoding, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="`encode` artifact"):
        Encoding(tmp_path)
    folder = make_encoding(tmp_path / "e")
    info = json.loads((folder / "encode.json").read_text())
    info["settings"]["crop_size"] = 32
    (folder / "encode.json").write_text(json.dumps(info))
    with pytest.raises(ArtifactError, match="16x16 cells"):
        Encoding(folder)
    (folder / "shards" / "shard-00000.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="shard"):
        Encoding(folder)


def test_an_encoding_names_its_encoder_by_commit_and_fits_settings_that_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "resolved_revision", lambda reference: "c0ffee")
    write_info(tmp_path, EncodeSettings(features=DinoV2Features()), ["a"], 16, 14)
    info = json.loads((tmp_path / "encode.json").read_text())
    assert info["settings"]["features"]["model"] == "facebook/dinov2-base@c0ffee"
    encoded = from_jsonable(EncodeSettings, info["settings"])
    for encoder in (None, DinoV2Features(), encoded.features):
        backbone = DecoderBackbone(encoder=encoder)
        made = encoded_model(CseModelSettings(backbone=backbone), backbone, encoded)
        assert made.backbone == replace(backbone, encoder=encoded.features)
    monkeypatch.setattr(hub, "resolved_revision", lambda reference: "decade")  # `main` has moved on
    backbone = DecoderBackbone(encoder=DinoV2Features())
    with pytest.raises(SettingsError, match=r"decade.*c0ffee"):
        encoded_model(CseModelSettings(backbone=backbone), backbone, encoded)
