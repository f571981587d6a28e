"""The terms of the training loss, each a plain function of tensors (CSE; SHIC Sec. 3.4).

N points, K vertices of the training level; `log_p` (N, K) is log p(x_k | u) of SHIC eq. 3.

Each term is a mean. Where several processes share a batch, `average` is the mean of a number over them: a sum over one
process's points divided by the average of the sums of weights has, averaged over the processes, the value and the
gradient of the mean over the whole batch.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Average = Callable[[Tensor], Tensor]


def alone(value: Tensor) -> Tensor:
    """The average over one process."""
    return value


def soft_targets(geodesics: Float[Tensor, "K K"], diameter: float, softness: float) -> Float[Tensor, "K K"]:
    """Row k: softmax(-d(k, .) / (softness * diameter)); softness 0 gives the hard target of SHIC's L_pseudo.

    The CSE paper's exp(-d / 2 sigma^2) is softness * diameter = 2 sigma^2.
    """
    if softness == 0:
        return torch.eye(len(geodesics))
    return torch.softmax(-geodesics / (softness * diameter), dim=1)


def cross_entropy(
    log_p: Float[Tensor, "N K"],
    target: Float[Tensor, "N K"],
    weight: Float[Tensor, " N"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Weighted mean over the points of the cross-entropy to the target."""
    return weighted_mean(-(target * log_p).sum(dim=1), weight, average)


def expected_distance(
    log_p: Float[Tensor, "N K"],
    distance: Float[Tensor, "N K"],
    weight: Float[Tensor, " N"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Mean expected geodesic distance to the label (L_dist).

    The paper prints a minus sign, which would reward distance; its text says that the term discourages it, and so
    this one does.
    """
    return weighted_mean((log_p.exp() * distance).sum(dim=1), weight, average)


def cycle(
    log_p: Float[Tensor, "B P K"],
    xy: Float[Tensor, "B P 2"],
    valid: Bool[Tensor, "B P"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Expected distance between a point and where image -> template -> image brings it (L_cyc).

    p(v | x_k) is p(x_k | v) renormalised over the image's own points; `xy` are in cells of the feature grid.
    The mean over points, where the paper sums: so the term does not grow with the number of points sampled.
    """
    keep = valid[..., None]
    p = log_p.exp() * keep
    back = p / p.sum(dim=1, keepdim=True).clamp(min=1e-12)
    landing = p @ back.transpose(1, 2)  # (B, u, v)
    moved = torch.cdist(xy, xy)
    return weighted_mean((landing * moved).sum(dim=2).flatten(), valid.flatten().float(), average)


def equivariance(
    log_p: Float[Tensor, "N K"],
    log_p_flipped: Float[Tensor, "N K"],
    mirror: Int[Tensor, " K"],
    weight: Float[Tensor, " N"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Mean over points of sum_x |p(x | u, I) - p(x_F | u_F, I_F)| (L_eq); `mirror` maps x to x_F."""
    return weighted_mean((log_p.exp() - log_p_flipped.exp()[:, mirror]).abs().sum(dim=1), weight, average)


def foreground(
    logit: Float[Tensor, "B h w"],
    share: Float[Tensor, "B h w"],
    known: Bool[Tensor, " B"],
    average: Average = alone,
) -> Float[Tensor, ""]:
    """Binary cross-entropy to the share of each cell the silhouette covers, over the images that have one."""
    per_image = binary_cross_entropy_with_logits(logit, share, reduction="none").mean(dim=(1, 2))
    return weighted_mean(per_image, known.float(), average)


def weighted_mean(
    values: Float[Tensor, " N"], weight: Float[Tensor, " N"], average: Average = alone
) -> Float[Tensor, ""]:
    """Sum of weight x value over the sum of weights; 0 when there is none."""
    return (values * weight).sum() / average(weight.sum()).clamp(min=1e-8)
