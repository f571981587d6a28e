"""Training losses."""

from .shic import Geometry, Scored, ShicLoss

Loss = ShicLoss  # a union once a second loss is added

__all__ = ["Geometry", "Loss", "Scored", "ShicLoss"]
