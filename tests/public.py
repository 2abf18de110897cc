"""The public names, and the public methods of Tensor."""

from __future__ import annotations

import inspect
from typing import Any

import lucid

MODULES = (
    lucid, lucid.autograd, lucid.data, lucid.einops, lucid.error, lucid.func, lucid.linalg,
    lucid.nn, lucid.nn.functional, lucid.nn.init, lucid.nn.utils, lucid.nn.utils.rnn, lucid.onnx,
    lucid.optim, lucid.optim.lr_scheduler, lucid.random, lucid.sharding, lucid.types, lucid.utils,
)  # fmt: skip

# By dotted name. A module without `__all__` shows what it defines.
NAMES: dict[str, Any] = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in getattr(module, "__all__", None)
    or [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    if name[0] != "_" and not inspect.ismodule(getattr(module, name))
}
FUNCTIONS = {name: value for name, value in NAMES.items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in NAMES.items() if inspect.isclass(value)}
METHODS = {
    f"lucid.Tensor.{name}": getattr(lucid.Tensor, name)
    for name in dir(lucid.Tensor)
    if name[0] != "_" and callable(getattr(lucid.Tensor, name))
}
OPERATORS = {
    f"lucid.Tensor.{name}": getattr(lucid.Tensor, name)
    for name in dir(lucid.Tensor)
    if name[:2] == "__" and inspect.isfunction(getattr(lucid.Tensor, name))
}
