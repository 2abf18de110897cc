"""Activation functions: each lifts one function of `lucid.ops.activation`."""

from __future__ import annotations

from lucid._apply import lift
from lucid.ops import activation, elementwise

relu = lift(activation.relu)
leaky_relu = lift(activation.leaky_relu)
sigmoid = lift(activation.sigmoid)
tanh = lift(elementwise.tanh)
