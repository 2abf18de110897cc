"""Layers, losses and the Module that all are built on."""

from lucid.nn import functional, init, utils
from lucid.nn.activation import LeakyReLU, ReLU, Sigmoid, Tanh
from lucid.nn.containers import (
    ModuleDict,
    ModuleList,
    ParameterDict,
    ParameterList,
    Sequential,
)
from lucid.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from lucid.nn.linear import Flatten, Identity, Linear
from lucid.nn.loss import BCEWithLogitsLoss, MSELoss
from lucid.nn.module import Module
from lucid.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from lucid.nn.parameter import Buffer, Parameter

__all__ = [
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
    "utils",
]
