"""From batches to what the loss compares: the network over all crops at once, its answers at the labelled points."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, grid_sample

from ..losses import Scored
from ..models import CseModel
from .augment import Batch, flip_batch
from .processes import Processes, memory_format

Network = Callable[..., tuple[Tensor, Tensor]]


def score_batches(
    network: Network, model: CseModel, batches: list[Batch], processes: Processes, equivariance: bool
) -> list[Scored]:
    """Run the network once over all batches, and over the first one mirrored if `equivariance` is asked for.

    `network` is the model, or what wraps it where several processes train.
    """
    batches = [to_device(batch, processes.device) for batch in batches]
    if equivariance:
        batches = [*batches, flip_batch(batches[0])]
    images = torch.cat([batch.images for batch in batches]).contiguous(
        memory_format=memory_format(processes.device)
    )
    hint = None if model.reads_grids else torch.cat([batch.hint for batch in batches])
    with processes.autocast():
        pixel, logit = network(images, hint)
    pixel, logit = pixel.float(), logit.float()
    vertices = model.vertex_embedding() / model.settings.temperature
    scored, start = [], 0
    for batch in batches:
        end = start + len(batch.images)
        scored.append(_score(pixel[start:end], logit[start:end], batch, vertices))
        start = end
    if equivariance:
        flipped = scored.pop()
        scored[0] = replace(scored[0], log_p_flipped=flipped.log_p)
    return scored


def _score(
    pixel: Float[Tensor, "B E h w"],
    logit: Float[Tensor, "B h w"],
    batch: Batch,
    vertices: Float[Tensor, "K E"],
) -> Scored:
    side = pixel.shape[-1]
    at_points = grid_sample(pixel, batch.xy[:, None], align_corners=False, padding_mode="border")[:, :, 0]
    log_p = (at_points.transpose(1, 2) @ vertices.T).log_softmax(dim=-1)
    share = adaptive_avg_pool2d(batch.silhouettes, side)
    return Scored(
        log_p, batch.vertex, batch.weight, (batch.xy + 1) * (side / 2) - 0.5, logit, share, batch.known
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; itself when it is there already."""
    if device.type == "cpu":
        return batch
    tensors: dict[str, Any] = {
        name: None if tensor is None else tensor.to(device, non_blocking=True)
        for name, tensor in batch.__dict__.items()
    }
    return Batch(**tensors)
