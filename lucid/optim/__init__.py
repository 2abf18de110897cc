"""Optimizers, and schedulers of their learning rates."""

from lucid.optim import lr_scheduler
from lucid.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from lucid.optim.adaptive import Adadelta, Adagrad, RMSprop
from lucid.optim.lbfgs import LBFGS
from lucid.optim.optax import Optax
from lucid.optim.optimizer import Optimizer
from lucid.optim.scaler import GradScaler
from lucid.optim.sgd import ASGD, SGD, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradScaler",
    "NAdam",
    "Optax",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
