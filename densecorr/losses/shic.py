"""The training loss: CSE's soft cross-entropy and SHIC's further terms (SHIC Sec. 3.6), weights as settings."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from . import terms


@dataclass(frozen=True)
class Geometry:
    """What the loss needs of the template's training level, K vertices: tensors on the model's device."""

    geodesics: Tensor  # (K, K) metres
    diameter: float
    mirror: Tensor  # (K,)
    targets: Tensor  # (K, K) soft targets, row by label


@dataclass(frozen=True)
class Scored:
    """A batch after the model: log-probabilities at its points, labels and weights, and the foreground."""

    log_p: Float[Tensor, "B P K"]
    vertex: Int[Tensor, "B P"]  # -1 where there is no label
    weight: Float[Tensor, "B P"]
    xy: Float[Tensor, "B P 2"]  # cells of the feature grid
    logit: Float[Tensor, "B h w"]
    share: Float[Tensor, "B h w"]
    known: Bool[Tensor, " B"]
    log_p_flipped: Float[Tensor, "B P K"] | None = None


@dataclass(frozen=True)
class ShicLoss:
    """Weights of the terms; a weight of 0 leaves the term out.

    `ShicLoss()` is CSE with a distance and a cycle term, for CPUs. SHIC's own weights (`ShicLoss.paper()`): pseudo
    .1, cycle .002, distance .002, equivariance .001, synthetic .1.

    Attributes:
        softness: of the target, share of the diameter (0: the labelled vertex alone, as SHIC writes it).
        cycle_points: points an image in the cycle term, whose cost grows with their square.
    """

    kind: Literal["shic"] = "shic"
    pseudo: float = 1.0
    cycle: float = 0.02
    distance: float = 0.02
    equivariance: float = 0.0
    synthetic: float = 0.5
    foreground: float = 1.0
    softness: float = 0.01
    cycle_points: int = 48

    @staticmethod
    def paper() -> "ShicLoss":
        """SHIC's weights; L_dist is on the 228 scale, L_cyc in feature-grid cells."""
        return ShicLoss(
            pseudo=0.1,
            cycle=0.002,
            distance=0.002,
            equivariance=0.001,
            synthetic=0.1,
            foreground=0.1,
            softness=0.0,
        )

    def geometry(
        self, geodesics: Float[Tensor, "K K"], diameter: float, mirror: Int[Tensor, " K"]
    ) -> Geometry:
        """The template's part, computed once."""
        return Geometry(
            geodesics,
            diameter,
            mirror,
            terms.soft_targets(geodesics.cpu(), diameter, self.softness).to(geodesics),
        )

    def __call__(
        self,
        real: Scored,
        synthetic: Scored | None,
        geometry: Geometry,
        average: terms.Average = terms.alone,
    ) -> dict[str, Float[Tensor, ""]]:
        """Every weighted term by name; their sum is what is minimised. Terms of weight 0 are left out.

        `average` is over the processes that share a batch.
        """
        out: dict[str, Tensor] = {}
        log_p, vertex, weight = labelled(real)
        if self.pseudo:
            out["pseudo"] = self.pseudo * terms.cross_entropy(
                log_p, geometry.targets[vertex], weight, average
            )
        if self.distance:
            distance = geometry.geodesics[vertex] * (228.0 / geometry.diameter)
            out["distance"] = self.distance * terms.expected_distance(log_p, distance, weight, average)
        if self.cycle:
            n = self.cycle_points
            valid = (real.vertex[:, :n] >= 0) & (real.weight[:, :n] > 0)
            out["cycle"] = self.cycle * terms.cycle(real.log_p[:, :n], real.xy[:, :n], valid, average)
        if self.equivariance and real.log_p_flipped is not None:
            flipped = real.log_p_flipped[real.vertex >= 0]
            out["equivariance"] = self.equivariance * terms.equivariance(
                log_p, flipped, geometry.mirror, weight, average
            )
        if self.foreground:
            out["foreground"] = self.foreground * terms.foreground(
                real.logit, real.share, real.known, average
            )
        if self.synthetic and synthetic is not None:
            log_p, vertex, weight = labelled(synthetic)
            loss = terms.cross_entropy(log_p, geometry.targets[vertex], weight, average)
            out["synthetic"] = self.synthetic * loss
        return out


def labelled(scored: Scored) -> tuple[Float[Tensor, "N K"], Int[Tensor, " N"], Float[Tensor, " N"]]:
    """Log-probabilities, labels and weights of the points that have a label."""
    has = scored.vertex >= 0
    return scored.log_p[has], scored.vertex[has], scored.weight[has]


def is_finite(loss_terms: dict[str, Tensor]) -> bool:
    """Whether every term is a number."""
    return all(bool(torch.isfinite(term)) for term in loss_terms.values())
