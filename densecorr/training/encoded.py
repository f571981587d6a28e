"""The frozen encoder's grids of augmented crops, computed once and kept: SHIC trains a decoder on them (Sec. 3.4).

A folder holds `encode.json` and shards of instances. For each instance there are `variants` random crops, each also
mirrored, with the transform from the full image to the crop; labels are not part of it, so other labels reuse it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..config import from_jsonable, to_jsonable
from ..errors import ArtifactError, FeatureError, SettingsError
from ..features import DinoV2Features, FeatureExtractor, Features
from ..features.batching import Picture, extract_all
from ..features.protocol import check_finite
from ..hub import pinned_reference, with_models
from ..images import CropFrame, crop_frame, crop_image, crop_mask, to_crop
from .augment import Augmentation, Change, change_pixels, draw_change

INFO_FILE = "encode.json"
SHARE_CELLS = 4  # cells of the silhouette's grid in one of the encoder's, an axis


@dataclass(frozen=True)
class EncodeSettings:
    """Which encoder, and which crops.

    Attributes:
        crop_size: side of the crops, pixels; a multiple of the encoder's stride (336 is one of 4, 8, 14 and 16).
        padding: margin around the box, share of its longer side.
        variants: random crops an instance; training takes one of them each time, mirrored or not.
        augmentation: ranges of the crops, rotations and colours; `flip` and `hint` play no part here.
    """

    features: Features = field(default_factory=DinoV2Features)
    crop_size: int = 336
    padding: float = 0.1
    variants: int = 4
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0


def check_stride(extractor: FeatureExtractor, settings: EncodeSettings) -> None:
    """Raise a SettingsError unless the encoder's cells fill the crop, and there is a variant."""
    if settings.crop_size % extractor.stride or settings.crop_size < extractor.stride:
        raise SettingsError(
            f"a crop_size that is a multiple of the encoder's stride, {extractor.stride}",
            str(settings.crop_size),
            "Correct the crop_size.",
        )
    if settings.variants < 1:
        raise SettingsError("at least 1 variant", str(settings.variants), "Correct `variants`.")


@dataclass(frozen=True)
class InstanceCrops:
    """One instance's variants before they are encoded: each crop and behind it its mirror image.

    `affine` leads from full-image to crop pixels, `share` is 255 where the silhouette covers a cell.
    """

    pictures: list[Picture]
    affine: Float[Tensor, "B 2 3"]
    share: UInt8[Tensor, "B s s"]
    known: bool


def crop_variants(
    image: UInt8[np.ndarray, "H W 3"],
    silhouette: Bool[np.ndarray, "H W"] | None,
    xywh: tuple[float, float, float, float],
    key: str,
    settings: EncodeSettings,
    stride: int,
) -> InstanceCrops:
    """Random crops of one instance; they depend on the seed and the key, not on other instances."""
    frame = crop_frame(xywh, settings.crop_size, settings.padding)
    pixels = torch.from_numpy(crop_image(image, frame)).permute(2, 0, 1).float() / 255
    mask = np.zeros((frame.size, frame.size), bool) if silhouette is None else crop_mask(silhouette, frame)
    n = settings.variants
    seed = int(np.random.default_rng([settings.seed, *key.encode()]).integers(2**62))
    both_sides = replace(settings.augmentation, flip=0.0)
    change = draw_change(n, both_sides, torch.Generator().manual_seed(seed))
    images, shares = change_pixels(
        pixels.expand(n, -1, -1, -1), torch.from_numpy(mask).float().expand(n, -1, -1), change
    )
    pictures = [
        Picture(crop, inside >= 0.5, key)
        for one, share in zip(images, shares, strict=True)
        for crop, inside in ((one, share), (one.flip(-1), share.flip(-1)))
    ]
    s = min(SHARE_CELLS * settings.crop_size // stride, settings.crop_size)
    share = (adaptive_avg_pool2d(shares, s) * 255).round().to(torch.uint8)
    return InstanceCrops(pictures, full_to_crop(frame, change), share, silhouette is not None)


def encode_shard(
    instances: Iterable[InstanceCrops],
    extractor: FeatureExtractor,
    settings: EncodeSettings,
    batch: int = 0,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Encode some instances' crops; `instances` are cropped as they are needed.

    Returns:
        `features` (N, variants, 2, C, h, w) float16, `affine` (N, variants, 2, 3) float64, `share` (N, variants, s, s)
        uint8 and `known` (N,) bool.

    Raises:
        FeatureError: NaN, or infinity in float16, or a grid that does not fill the crop; names the instance.
    """
    kept: list[InstanceCrops] = []

    def pictures() -> Iterator[Picture]:
        for one in instances:
            kept.append(replace(one, pictures=[]))
            yield from one.pictures
            keys.extend(picture.key for picture in one.pictures)

    keys: list[str] = []
    grids = [grid.half().cpu() for grid in extract_all(extractor, pictures(), batch, device)]
    side = settings.crop_size // extractor.stride
    for grid, key in zip(grids, keys, strict=True):
        if grid.shape[-2:] != (side, side):
            raise FeatureError(
                f"an encoder's grid of {side}x{side} cells",
                f"{tuple(grid.shape[-2:])} for '{key}'",
                "Choose another crop_size, or another encoder.",
            )
        check_finite(grid[None], [key])
    return {
        "features": torch.stack(grids).unflatten(0, (len(kept), settings.variants, 2)),
        "affine": torch.stack([one.affine for one in kept]),
        "share": torch.stack([one.share for one in kept]),
        "known": torch.tensor([one.known for one in kept]),
    }


def full_to_crop(frame: CropFrame, change: Change) -> Float[Tensor, "B 2 3"]:
    """From full-image pixels to those of the changed crop, pixel centres at integers in both."""
    half = frame.size / 2
    origin = torch.from_numpy(to_crop(np.zeros(2), frame))  # of the full image, in crop pixels
    forward, shift = change.forward.double(), change.shift.double()
    middle = (origin + 0.5) / half - 1
    moved = ((forward @ middle + shift + 1) * half - 0.5)[..., None]
    return torch.cat([forward * frame.scale, moved], dim=2)


def write_info(
    folder: Path, settings: EncodeSettings, ids: list[str], instances_a_shard: int, stride: int
) -> None:
    """`encode.json`: what is needed to read the shards, written last; a model of a hub is named by its commit."""
    info = {
        "settings": to_jsonable(with_models(settings, pinned_reference)),
        "stride": stride,
        "instances_a_shard": instances_a_shard,
        "instances": ids,
    }
    (folder / INFO_FILE).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")


class Encoding:
    """The encoded crops of a folder; a grid is read from the disk when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Raise an ArtifactError unless the folder holds encoded crops that fit their settings."""
        self.folder = folder
        try:
            info: dict[str, Any] = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError("encoded images", str(folder), "Name an `encode` artifact.") from error
        self.settings: EncodeSettings = from_jsonable(EncodeSettings, info["settings"])
        self.ids: list[str] = info["instances"]
        self.row = {instance_id: row for row, instance_id in enumerate(self.ids)}
        self._shard_size: int = info["instances_a_shard"]
        self._shard = lru_cache(maxsize=None)(self._open)
        shape = self._shard(0)["features"].get_shape()
        self.channels: int = shape[3]
        side = self.settings.crop_size // info["stride"]
        if list(shape[1:3]) != [self.settings.variants, 2] or list(shape[4:]) != [side, side]:
            raise ArtifactError(
                f"grids of {side}x{side} cells in {self.settings.variants} variants",
                f"{list(shape)} in {folder}",
                "Run `densecorr encode` again.",
            )

    def read(
        self, row: int, variant: int
    ) -> tuple[Float16[Tensor, "2 C h w"], Float[Tensor, "2 3"], UInt8[Tensor, "s s"], bool]:
        """A crop's grid and its mirror image's, the transform, the silhouette's share of each cell, whether known."""
        shard, index = self._shard(row // self._shard_size), row % self._shard_size
        features, affine, share = (shard[name][index, variant] for name in ("features", "affine", "share"))
        return features, affine, share, bool(shard["known"][index])

    def _open(self, index: int) -> dict[str, Any]:
        path = self.folder / "shards" / f"shard-{index:05d}.safetensors"
        try:
            file = safe_open(path, "pt")
            return {name: file.get_slice(name) for name in ("features", "affine", "share", "known")}
        except (OSError, SafetensorError) as error:
            raise ArtifactError("a shard of encoded images", f"{path} ({error})", "Encode again.") from error
