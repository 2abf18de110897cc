"""Schedulers of the learning rate."""

from lucid.optim.lr_scheduler.base import LRScheduler
from lucid.optim.lr_scheduler.control import ReduceLROnPlateau, SequentialLR
from lucid.optim.lr_scheduler.cycle import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)
from lucid.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    NoamScheduler,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "NoamScheduler",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
