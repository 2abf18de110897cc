"""Optimizers."""

from lucid.optim.optimizer import Optimizer
from lucid.optim.optimizers import SGD, Adam

__all__ = ["SGD", "Adam", "Optimizer"]
