"""Schedulers of the learning rate."""

from lucid.optim.lr_scheduler.base import LRScheduler
from lucid.optim.lr_scheduler.control import ReduceLROnPlateau, SequentialLR
from lucid.optim.lr_scheduler.cycle import CyclicLR, OneCycleLR
from lucid.optim.lr_scheduler.decay import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    NoamScheduler,
    StepLR,
)

__all__ = [
    "CosineAnnealingLR",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "NoamScheduler",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
