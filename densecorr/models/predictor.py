"""Using a trained model: an image and a box in, a vertex for each pixel out.

model = load_predictor("path/to/model")
prediction = model.predict(read_image("photo.jpg"), xywh=(40, 30, 200, 320))
prediction.overlay(read_image("photo.jpg"), model.colors)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, grid_sample, interpolate

from ..errors import FeatureError
from ..features import FeatureExtractor
from ..images import CropFrame, crop_frame, crop_image, crop_mask, from_crop, to_crop, uncrop_mask
from ..matching import nearest_vertices
from .cse import CseModel
from .decoder import DecoderBackbone, needs_silhouettes, runnable_on
from .prediction import DensePrediction


@dataclass(frozen=True)
class Embedded:
    """One crop after the network: pixel embeddings, its own foreground logits, the crop's frame, the mask given."""

    pixel: Float[Tensor, "E h w"]
    logit: Float[Tensor, "h w"]
    frame: CropFrame
    silhouette: Bool[np.ndarray, "H W"] | None = None


class Predictor:
    """A trained model with the surface it was trained for, at full resolution.

    On a symmetric template it looks at each crop and its mirror image and averages the scores: pixel u matches x as
    well as its flip u_F matches x_F (SHIC Sec. 3.4). Joining both embeddings does that, since
    <[e(u), e_F(u_F)], [E_x, E_xF]> / 2 is the mean of the two scores.

    Networks and surface lie on the device; what goes in and comes out lies in main memory.
    """

    def __init__(
        self,
        model: CseModel,
        surface: dict[str, Tensor],
        config: dict[str, Any],
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self._model = model.eval().to(self.device)
        self.config = config
        self.colors = surface["colors"].numpy()
        self.settings = model.settings
        surface = {name: tensor.to(self.device) for name, tensor in surface.items()}
        with torch.no_grad():
            self._full = model.vertex_embedding(surface["basis"]).contiguous()
            self._coarse = model.vertex_embedding().contiguous()
        self._symmetric = "mirror" in surface
        if self._symmetric:
            self._full = torch.cat([self._full, self._full[surface["mirror"]]], dim=1) / 2
            self._coarse = torch.cat([self._coarse, self._coarse[surface["mirror_coarse"]]], dim=1) / 2

    @torch.no_grad()
    def embed(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        xywh: tuple[float, float, float, float],
        silhouette: Bool[np.ndarray, "H W"] | None = None,
    ) -> Embedded:
        """Crop the box and run the network twice: it finds the silhouette, then, told it, the embeddings.

        A `silhouette` (full image) takes the place of the found one as the second pass's hint; the foreground
        logits are the first pass's in any case. A decoder runs once, on the encoder's grid of the crop.

        Raises:
            DependencyError: the encoder's model cannot be had.
            FeatureError: the encoder describes silhouettes, and there is none.
        """
        frame = crop_frame(xywh, self.settings.crop_size, self.settings.padding)
        pixels = torch.from_numpy(crop_image(image, frame)).to(self.device)
        crop = pixels.permute(2, 0, 1)[None].float() / 255
        if self._model.reads_grids:
            pixel, logit = self._decode(crop, self._mask(silhouette, frame).to(self.device))
            return Embedded(pixel.cpu(), logit.cpu(), frame, silhouette)
        _, logit = self._look(crop, torch.zeros_like(crop[:, 0]))
        if silhouette is None:
            side = crop.shape[-1]
            hint = interpolate(logit[None, None].sigmoid(), size=(side, side), mode="bilinear")[:, 0] * 2 - 1
        else:
            hint = torch.from_numpy(crop_mask(silhouette, frame)).to(self.device)[None].float() * 2 - 1
        pixel, _ = self._look(crop, hint)
        return Embedded(pixel.cpu(), logit.cpu(), frame, silhouette)

    def _look(
        self, crop: Float[Tensor, "1 3 S S"], hint: Float[Tensor, "1 S S"]
    ) -> tuple[Float[Tensor, "E h w"], Float[Tensor, "h w"]]:
        """Embeddings and foreground logits of a crop, joined with those of its mirror image if that helps."""
        if not self._symmetric:
            pixel, logit = self._model(crop, hint)
            return pixel[0], logit[0]
        pixel, logit = self._model(torch.cat([crop, crop.flip(-1)]), torch.cat([hint, hint.flip(-1)]))
        return torch.cat([pixel[0], pixel[1].flip(-1)]), (logit[0] + logit[1].flip(-1)) / 2

    @cached_property
    def encoder(self) -> FeatureExtractor:
        """The frozen encoder of a model with a decoder, loaded when it is first needed; without fp16 on a CPU."""
        backbone = self.settings.backbone
        if not isinstance(backbone, DecoderBackbone) or backbone.encoder is None:
            raise FeatureError("a model with an encoder", backbone.kind, "Only a decoder has one.")
        return runnable_on(backbone.encoder, self.device).load(str(self.device))

    @property
    def needs_silhouettes(self) -> bool:
        """Whether it can only answer where the object's silhouette is given."""
        return needs_silhouettes(self.settings.backbone)

    def _mask(
        self, silhouette: Bool[np.ndarray, "H W"] | None, frame: CropFrame
    ) -> Bool[Tensor, "1 size size"]:
        if silhouette is not None:
            return torch.from_numpy(crop_mask(silhouette, frame))[None]
        if self.needs_silhouettes:
            raise FeatureError(
                "the object's silhouette, which this model's encoder describes",
                "none",
                "Give it (predict: --silhouettes), or train on another encoder.",
            )
        return torch.zeros(1, frame.size, frame.size, dtype=torch.bool)

    def _decode(
        self, crop: Float[Tensor, "1 3 S S"], mask: Bool[Tensor, "1 S S"]
    ) -> tuple[Float[Tensor, "E h w"], Float[Tensor, "h w"]]:
        """Embeddings and logits of a crop from its encoded grid, and that of its mirror image if that helps."""
        key = ["crop"]  # of the encoder's noise, if it has any: the same for every image
        pixel, logit = self._model(self.encoder(crop, mask, key))
        if not self._symmetric:
            return pixel[0], logit[0]
        mirrored, mirrored_logit = self._model(self.encoder(crop.flip(-1), mask.flip(-1), key))
        return torch.cat([pixel[0], mirrored[0].flip(-1)]), (logit[0] + mirrored_logit[0].flip(-1)) / 2

    def predict(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        xywh: tuple[float, float, float, float],
        silhouette: Bool[np.ndarray, "H W"] | None = None,
    ) -> DensePrediction:
        """The vertex of each pixel of one box (COCO box, pixels), inside the silhouette given or found."""
        return self.dense(self.embed(image, xywh, silhouette), xywh)

    @torch.no_grad()
    def dense(self, embedded: Embedded, xywh: tuple[float, float, float, float]) -> DensePrediction:
        """The vertex of each pixel of the box; the score is its silhouette's mean foreground probability."""
        x0, y0 = np.floor(xywh[0]), np.floor(xywh[1])
        w, h = max(1, round(xywh[2])), max(1, round(xywh[3]))
        xs, ys = np.meshgrid(np.arange(w) + x0, np.arange(h) + y0)
        xy = np.stack([xs.ravel(), ys.ravel()], axis=1)
        vertex, inside = self.vertices_at(embedded, xy)
        vertices = np.where(inside, vertex, -1).astype(np.int32).reshape(h, w)
        return DensePrediction(xywh, vertices, self.confidence(embedded))

    @torch.no_grad()
    def vertices_at(
        self, embedded: Embedded, xy: Float[np.ndarray, "P 2"]
    ) -> tuple[Int[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
        """At full-image pixels: the vertex, and whether the pixel lies in the silhouette, given or found."""
        sampled = _sample(torch.cat([embedded.pixel, embedded.logit[None]]), xy, embedded.frame)
        vertex = nearest_vertices(sampled[:, :-1].contiguous().to(self.device), self._full).cpu().numpy()
        if embedded.silhouette is None:
            return vertex, (sampled[:, -1] >= 0).numpy()
        at = np.rint(xy).astype(np.int64)
        height, width = embedded.silhouette.shape
        known = np.logical_and((at >= 0).all(axis=1), (at < np.array([width, height])).all(axis=1))
        at = np.where(known[:, None], at, 0)
        return vertex, known & embedded.silhouette[at[:, 1], at[:, 0]]

    @torch.no_grad()
    def confidence(self, embedded: Embedded) -> float:
        """Mean foreground probability of the cells of the silhouette, given or found; 0 without one."""
        inside = self._foreground_cells(embedded)
        return float(embedded.logit.flatten()[inside].sigmoid().mean()) if bool(inside.any()) else 0.0

    @torch.no_grad()
    def own_silhouette(self, embedded: Embedded, height: int, width: int) -> Bool[np.ndarray, "H W"]:
        """The silhouette the network found, in the full image."""
        size = embedded.frame.size
        found = interpolate(embedded.logit[None, None], size=(size, size), mode="bilinear")[0, 0] > 0
        return uncrop_mask(found.numpy(), embedded.frame, height, width)

    @torch.no_grad()
    def pixels_of(self, embedded: Embedded, vertices: Int[np.ndarray, " Q"]) -> Float[np.ndarray, "Q 2"]:
        """The best foreground pixel (full image) of each template vertex: largest p(x | u), SHIC Sec. 3.4.

        All pixels compete when none is foreground.
        """
        xy, pixel = self.foreground(embedded)
        pixel = pixel.to(self.device)
        scale = 1.0 / self.settings.temperature
        total = (pixel @ self._coarse.T * scale).logsumexp(dim=1)
        log_p = self._full[torch.from_numpy(vertices).to(self.device)] @ pixel.T * scale - total
        return xy[log_p.argmax(dim=1).cpu().numpy()]

    @torch.no_grad()
    def foreground(self, embedded: Embedded) -> tuple[Float[np.ndarray, "N 2"], Float[Tensor, "N E"]]:
        """Full-image positions and embeddings of the foreground cells; of all cells when none is foreground."""
        side = embedded.logit.shape[1]
        inside = self._foreground_cells(embedded)
        cell = torch.nonzero(inside | ~inside.any()).squeeze(1)
        grid = np.stack([cell.numpy() % side, cell.numpy() // side], axis=1)
        crop_xy = (grid + 0.5) * (embedded.frame.size / side) - 0.5
        return from_crop(crop_xy, embedded.frame), embedded.pixel.flatten(1).T[cell]

    def embeddings_at(self, embedded: Embedded, xy: Float[np.ndarray, "P 2"]) -> Float[Tensor, "P E"]:
        """Pixel embeddings at full-image pixels, interpolated between cells."""
        return _sample(embedded.pixel, xy, embedded.frame)

    @property
    def vertex_embedding(self) -> Float[Tensor, "K E"]:
        """Embeddings of the training level's vertices, to which pixel embeddings compare by inner product."""
        return self._coarse.cpu()

    def _foreground_cells(self, embedded: Embedded) -> Bool[Tensor, " cells"]:
        if embedded.silhouette is None:
            return embedded.logit.flatten() >= 0
        mask = torch.from_numpy(crop_mask(embedded.silhouette, embedded.frame))[None].float()
        return adaptive_avg_pool2d(mask, embedded.logit.shape[-1])[0].flatten() >= 0.5


def _sample(
    grid: Float[Tensor, "C h w"], xy: Float[np.ndarray, "P 2"], frame: CropFrame
) -> Float[Tensor, "P C"]:
    """Bilinear values of a crop's grid at full-image pixels."""
    normalised = torch.from_numpy((to_crop(xy, frame) + 0.5) * (2 / frame.size) - 1).to(grid.dtype)
    values = grid_sample(grid[None], normalised[None, None], align_corners=False, padding_mode="border")
    return values[0, :, 0].T
