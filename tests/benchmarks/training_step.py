"""A training step of SHIC's recipe on cached features of DINOv2-base, against the same step that runs the encoder.

True sizes, random weights: 336-pixel crops, 24x24 cells of 768 numbers, the default decoder, every term of the loss. A
small batch, so that the encoder is done in seconds on a CPU; both sides grow with it in the same way.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from densecorr.config import from_jsonable
from densecorr.features.patches import PatchExtractor
from densecorr.models import CseModel
from densecorr.training import EncodeSettings, TrainingLevel, TrainSettings
from densecorr.training.augment import Batch
from densecorr.training.encoded import Encoding, crop_variants, encode_shard, write_info
from densecorr.training.examples import EncodedExamples, LabelledPoints, write_encoded_examples
from densecorr.training.prepare import make_batches, resolve_settings
from densecorr.training.processes import OneProcess, memory_format
from densecorr.training.score import score_batches

from .measure import Benchmark, Comparison

N_IMAGES, N_VERTICES, BATCH = 4, 2_500, 4
SMALL = {"batch_size": BATCH, "synthetic_batch": 1, "precision": "fp32", "log_every": 1}


class Step:
    """One optimiser step, its inputs from the cache or from the encoder; `folder` is deleted with it."""

    folder: tempfile.TemporaryDirectory[str]

    def __init__(self, real: EncodedExamples, encoder: PatchExtractor) -> None:
        level = make_level()
        settings = from_jsonable(TrainSettings, {"preset": "shic-paper", **SMALL})
        self.settings = resolve_settings(settings, real, real, level, None)
        self.encoder, self.real, self.number = encoder, real, 0
        self.processes = OneProcess(torch.device("cpu"), "fp32")
        torch.manual_seed(0)
        self.model = CseModel(self.settings.model, torch.from_numpy(level.basis), real.encoding.channels)
        self.model = self.model.to(memory_format=memory_format(self.processes.device))
        self.mirror = torch.from_numpy(level.mirror)
        self.geometry = self.settings.loss.geometry(
            torch.from_numpy(level.geodesics), level.diameter, self.mirror
        )
        self.processes.prepare(self.model, torch.optim.Adam(self.model.parameters(), lr=1e-3), {})
        side = self.settings.model.crop_size
        n = 2 * BATCH + 1  # the real crops, their mirror images and a synthetic one
        self.crops = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))

    def inputs(self) -> list[Batch]:
        """The next step's batches from the cache."""
        self.number += 1
        return make_batches(self.real, self.real, self.mirror, self.settings, self.processes, self.number)

    def run(self, batches: list[Batch]) -> None:
        """Network, loss, gradients, step."""
        self.model.train()
        scored = score_batches(self.model, self.model, batches, self.processes, equivariance=True)
        terms = self.settings.loss(scored[0], scored[1], self.geometry)
        self.processes.step(torch.stack(list(terms.values())).sum(), self.settings.clip)

    def cached(self) -> None:
        """The product's way."""
        self.run(self.inputs())

    def encoding(self) -> None:
        """The same, and the encoder over the step's crops."""
        self.encode()
        self.run(self.inputs())

    def encode(self) -> Tensor:
        """The grids of the step's crops, one image at a time as on any CPU."""
        none = torch.zeros(1, *self.crops.shape[-2:], dtype=torch.bool)
        return torch.cat([self.encoder(crop[None], none, [""]) for crop in self.crops])


def make_level() -> TrainingLevel:
    """A sphere's worth of random vertices: the time does not depend on the surface."""
    generator = torch.Generator().manual_seed(0)
    V = normalize(torch.randn(N_VERTICES, 3, generator=generator), dim=1)
    geodesics = torch.arccos((V @ V.T).clamp(-1, 1)).numpy()
    basis = torch.randn(N_VERTICES, 64, generator=generator).numpy()
    side = np.sign(V[:, 0].numpy()).astype(np.int64)
    return TrainingLevel(basis, geodesics, np.arange(N_VERTICES), float(np.pi), side)


def make_encoder() -> PatchExtractor:
    """DINOv2-base with random weights."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, image_size=518, patch_size=14
    )
    return PatchExtractor(Dinov2Model(config).eval(), 14, "dinov2-base")


def write_examples(folder: Path, encoder: PatchExtractor) -> EncodedExamples:
    """A few noise images, encoded, with labels everywhere."""
    settings = EncodeSettings(variants=1)
    rng, ids = np.random.default_rng(0), [f"image/{k}" for k in range(N_IMAGES)]
    images = [rng.integers(0, 256, (300, 300, 3), dtype=np.uint8) for _ in ids]
    crops = [
        crop_variants(image, np.ones((300, 300), bool), (0.0, 0.0, 300.0, 300.0), key, settings, 14)
        for image, key in zip(images, ids, strict=True)
    ]
    (folder / "encoding" / "shards").mkdir(parents=True)
    save_file(
        encode_shard(crops, encoder, settings), folder / "encoding" / "shards" / "shard-00000.safetensors"
    )
    write_info(folder / "encoding", settings, ids, N_IMAGES, 14)
    labels = [
        LabelledPoints(key, rng.uniform(60, 240, (400, 2)), rng.integers(0, N_VERTICES, 400), np.ones(400))
        for key in ids
    ]
    return write_encoded_examples(
        folder / "labels", Encoding(folder / "encoding"), labels, N_IMAGES, 400, seed=0
    )


def make_step() -> Step:
    """Everything, in a folder that lives as long as the process."""
    encoder, folder = make_encoder(), tempfile.TemporaryDirectory(prefix="densecorr-bench-")
    step = Step(write_examples(Path(folder.name), encoder), encoder)
    step.folder = folder
    return step


def prepare() -> Benchmark:
    """Cached features against the encoder run each step."""
    step = make_step()

    def check() -> None:
        """What the cache holds is what the encoder says of the crop."""
        encoding = step.real.encoding
        image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        (crop, _) = crop_variants(
            image, np.ones((300, 300), bool), (0.0, 0.0, 300.0, 300.0), "image/0", encoding.settings, 14
        ).pictures
        again = step.encoder(crop.image[None], crop.silhouette[None], [""])[0]
        if not torch.allclose(encoding.read(0, 0)[0][0].float(), again, atol=5e-3, rtol=5e-3):
            raise AssertionError("the cached features are not the encoder's")

    return Benchmark(step.cached, check, (Comparison("encoder-each-step", step.encoding, 1 / 5),), rounds=5)


def prepare_inputs() -> Benchmark:
    """The input pipeline's share of a step on cached features."""
    step = make_step()

    def check() -> None:
        batches = step.inputs()
        if [len(batch.images) for batch in batches] != [BATCH, 1] or not batches[0].images.isfinite().all():
            raise AssertionError("not the batches asked for")

    return Benchmark(step.inputs, check, (Comparison("step", step.cached, 0.1),), rounds=9)
