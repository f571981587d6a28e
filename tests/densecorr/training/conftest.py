"""A globe whose colours tell where one looks: a template small enough to train on in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d

from densecorr.features import SilhouetteFeatures
from densecorr.images import box_of_silhouette
from densecorr.losses import ShicLoss
from densecorr.models import CseModelSettings, UNetBackbone
from densecorr.rendering.cameras import RigSettings, camera_rig
from densecorr.rendering.rasterize import make_scene, vertex_map
from densecorr.rendering.shading import shaded_image
from densecorr.training.augment import Augmentation
from densecorr.training.encoded import EncodeSettings, Encoding, crop_variants, encode_shard, write_info
from densecorr.training.examples import (
    EncodedExamples,
    Examples,
    LabelledInstance,
    LabelledPoints,
    read_encoded_examples,
    read_examples,
    write_encoded_examples,
    write_examples,
)
from densecorr.training.prepare import TrainingLevel
from densecorr.training.settings import TrainSettings


def make_globe() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=1)
    return np.array(sphere.vertices), np.array(sphere.faces)


@pytest.fixture(scope="session")
def globe() -> tuple[np.ndarray, np.ndarray]:
    return make_globe()


@pytest.fixture(scope="session")
def level() -> TrainingLevel:
    """The 42 vertices, functions of second order on them, great circles, and left for right."""
    V, _ = make_globe()
    x, y, z = V.T
    basis = np.stack([np.ones(len(V)), x, y, z, x * y, y * z, z * x, x * x - y * y, 3 * z * z - 1], axis=1)
    geodesics = np.arccos(np.clip(V @ V.T, -1, 1))
    mirror = np.linalg.norm(V * [-1, 1, 1] - V[:, None], axis=-1).argmin(axis=1)
    return TrainingLevel(
        basis, geodesics, mirror, float(geodesics.max()), np.sign(np.round(x, 6)).astype(np.int64)
    )


def globe_instances(size: int = 48) -> list[LabelledInstance]:
    V, F = make_globe()
    scene, instances = make_scene(V, F), []
    for index, camera in enumerate(camera_rig(V, RigSettings(n_azimuths=6, elevations=(0.0,), size=size))):
        fragments = scene.fragments(camera)
        image = shaded_image(fragments, V, F, (V + 1) / 2)
        silhouette = fragments.face >= 0
        ys, xs = np.nonzero(silhouette)
        some = np.random.default_rng(index).choice(len(xs), 60, replace=False)
        instances.append(
            LabelledInstance(
                image,
                silhouette,
                box_of_silhouette(silhouette),
                np.stack([xs, ys], axis=1)[some].astype(np.float64),
                vertex_map(fragments, F)[ys[some], xs[some]].astype(np.int64),
                np.ones(60),
            )
        )
    return instances


@pytest.fixture(scope="session")
def instances() -> list[LabelledInstance]:
    """The globe from six sides, each pixel painted by its place."""
    return globe_instances()


@pytest.fixture(scope="session")
def examples_folder(instances: list[LabelledInstance], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `examples` lie."""
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder, instances, len(instances), 16, 0.1, n_points=60, seed=0)
    return folder


@pytest.fixture(scope="session")
def examples(examples_folder: Path) -> Examples:
    return read_examples(examples_folder)


@pytest.fixture(scope="session")
def encoded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `encoded` lie."""
    root = tmp_path_factory.mktemp("encoded")
    labels = [
        LabelledPoints(f"globe/{i}", one.xy, one.vertex, one.weight)
        for i, one in enumerate(globe_instances())
    ]
    encoding = Encoding(_write_encoding(root / "encoding"))
    write_encoded_examples(root / "labels", encoding, labels, len(labels), 60, seed=0)
    return root / "labels"


@pytest.fixture(scope="session")
def encoded(encoded_folder: Path) -> EncodedExamples:
    """The globe's labels on its encoded crops."""
    return read_encoded_examples(encoded_folder)


class ColorExtractor:
    """Passes the crop's colours and its silhouette on, a cell each two pixels."""

    stride = 2

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        return avg_pool2d(torch.cat([images, silhouettes[:, None].float()], dim=1), 2)


def _write_encoding(folder: Path, damage: str = "", **changed) -> Path:
    """The globe's instances, encoded by their colours, in shards of four; `damage` puts a NaN into one."""
    values = {
        "features": SilhouetteFeatures(),
        "crop_size": 16,
        "variants": 2,
        "augmentation": Augmentation(**STILL),
    }
    settings = EncodeSettings(**(values | changed))
    instances = globe_instances()
    (folder / "shards").mkdir(parents=True)
    ids = [f"globe/{index}" for index in range(len(instances))]
    for number, start in enumerate(range(0, len(instances), 4)):
        crops = [
            crop_variants(one.image, one.silhouette, one.xywh, key, settings, 2)
            for one, key in list(zip(instances, ids, strict=True))[start : start + 4]
        ]
        tensors = encode_shard(crops, ColorExtractor(), settings)
        if damage in ids[start : start + 4]:
            tensors["features"][ids.index(damage) - start, :, :, 1, 3, 3] = torch.nan
        save_file(tensors, folder / "shards" / f"shard-{number:05d}.safetensors")
    write_info(folder, settings, ids, 4, 2)
    return folder


STILL = {"rotation": 8.0, "scale": 0.05, "shift": 0.02, "brightness": 0.0, "color": 0.0}


@pytest.fixture(scope="session")
def make_encoding() -> Callable[..., Path]:
    """Write an encoding of the globe into a folder."""
    return _write_encoding


def _settings(**changed) -> TrainSettings:
    model = CseModelSettings(
        embedding=4, n_eigenfunctions=9, crop_size=16, backbone=UNetBackbone(widths=(6, 8), dropout=0.2)
    )
    loss = ShicLoss(softness=0.05, equivariance=0.01, cycle_points=12)
    values = {
        "steps": 11,
        "batch_size": 3,
        "synthetic_batch": 2,
        "points": 20,
        "learning_rate": 1e-2,
        "checkpoint_every": 4,
        "log_every": 3,
        "precision": "fp32",
        "model": model,
        "loss": loss,
    }
    return TrainSettings(**(values | changed))


@pytest.fixture(scope="session")
def make_settings() -> Callable[..., TrainSettings]:
    """Eleven steps of a tiny network with every term of the loss, and dropout."""
    return _settings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
