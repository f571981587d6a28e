"""What a training run needs before its first step: settings that fit the data, and batches by step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from ..errors import SettingsError
from ..hub import pinned_reference, with_models
from ..models import CseModelSettings, DecoderBackbone
from .augment import Batch
from .batches import indices_at, sample_batch
from .encoded import EncodeSettings
from .examples import EncodedExamples, Examples
from .processes import Processes, part_of
from .settings import TrainSettings, with_steps, without_mirror

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingLevel:
    """The template at the level a model is trained on: K vertices.

    `side` is 1 for vertices on the left of the mirror plane, -1 on the right, 0 near it; `symmetric` says whether left
    and right are mirror images, so that `mirror` can be trusted.
    """

    basis: Float[np.ndarray, "K M"]
    geodesics: Float[np.ndarray, "K K"]
    mirror: Int[np.ndarray, " K"]
    diameter: float
    side: Int[np.ndarray, " K"]
    symmetric: bool = True


def resolve_settings(
    settings: TrainSettings,
    real: Examples | EncodedExamples,
    synthetic: Examples | EncodedExamples | None,
    level: TrainingLevel,
    say: Say | None,
) -> TrainSettings:
    """The settings a run goes by: epochs as steps, the encoding's crops, no mirror where there is none.

    Raises:
        SettingsError: examples that are encoded for a network that looks at pictures, or with another encoder.
    """
    settings = with_steps(settings, len(real))
    backbone = settings.model.backbone
    for examples in (real, synthetic):
        if examples is None:
            continue
        encoded = isinstance(examples, EncodedExamples)
        if encoded is not isinstance(backbone, DecoderBackbone):
            raise SettingsError(
                "encoded images, real and synthetic, for a decoder, and plain ones for the unet",
                f"{'encoded' if encoded else 'plain'} images and a {backbone.kind}",
                "Name `encode` artifacts as `encoded` and `encoded_synthetic`, or set model.backbone.kind.",
            )
    if isinstance(real, EncodedExamples) and isinstance(backbone, DecoderBackbone):
        model = encoded_model(settings.model, backbone, real.encoding.settings)
        if isinstance(synthetic, EncodedExamples):
            assert isinstance(model.backbone, DecoderBackbone)
            if encoded_model(model, model.backbone, synthetic.encoding.settings) != model:
                raise SettingsError(
                    f"synthetic images in crops of {model.crop_size} pixels, padding {model.padding}",
                    str(synthetic.encoding.settings),
                    "Encode them with the settings of the real ones.",
                )
        settings = replace(settings, model=model)
    if not level.symmetric and (settings.augmentation.flip > 0 or settings.loss.equivariance > 0):
        if say is not None:
            say("the template is not mirror symmetric: no flips, no equivariance term")
        settings = without_mirror(settings)
    return settings


def check_batches(settings: TrainSettings, synthetic: bool, n_processes: int) -> None:
    """Raise a SettingsError unless every process gets a crop of each batch."""
    used = {"batch_size": settings.batch_size}
    if synthetic and settings.synthetic_batch > 0:
        used["synthetic_batch"] = settings.synthetic_batch
    for name, size in used.items():
        if size < n_processes:
            raise SettingsError(
                f"a {name} of at least {n_processes}, one crop a process",
                str(size),
                "Raise it, or use fewer processes.",
            )


def encoded_model(
    model: CseModelSettings, backbone: DecoderBackbone, encoded: EncodeSettings
) -> CseModelSettings:
    """The model's settings with the encoder and the crops of encoded images.

    Raises:
        SettingsError: the backbone names another encoder.
    """
    named = with_models(backbone.encoder, pinned_reference)  # as the encoding names its own
    if named not in (None, encoded.features):
        raise SettingsError(
            f"images encoded by {named}",
            str(encoded.features),
            "Encode all with the same settings, and leave model.backbone.encoder out.",
        )
    return replace(
        model,
        backbone=replace(backbone, encoder=encoded.features),
        crop_size=encoded.crop_size,
        padding=encoded.padding,
    )


def make_batches(
    real: Examples | EncodedExamples,
    synthetic: Examples | EncodedExamples | None,
    mirror: torch.Tensor,
    settings: TrainSettings,
    processes: Processes,
    step: int,
) -> list[Batch]:
    """This process's part of a step's batch, then of its synthetic batch if there is one."""
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    sources = [(real, settings.batch_size, settings.loss.equivariance > 0)]
    if synthetic is not None and settings.synthetic_batch > 0 and settings.loss.synthetic > 0:
        sources.append((synthetic, settings.synthetic_batch, False))
    return [
        sample_batch(
            examples,
            indices_at(len(examples), size, step, settings.seed),
            settings.points,
            mirror,
            settings.augmentation,
            generator,
            part_of(size, processes),
            mirrored,
        )
        for examples, size, mirrored in sources
    ]
