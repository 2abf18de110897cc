"""The einops package takes Tensors.

It looks for who handles a type among the subclasses of its `AbstractBackend`. So there is one for
Tensors when that class is there: at once if einops was imported before lucid, else as soon as it
is. Until then this costs a comparison of names whenever a module is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from lucid._core.op import is_inexact
from lucid._core.tensor import Tensor
from lucid.ops import linalg, shape

_BACKENDS = "einops._backends"


def listen() -> None:
    """Let einops know of Tensors, now or when it is imported."""
    if _BACKENDS in sys.modules:
        _introduce(sys.modules[_BACKENDS])
    else:
        sys.meta_path.insert(0, _Arrival())


class _Arrival:
    """Waits for einops among the finders of modules, and finds nothing itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _BACKENDS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _introduce(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _introduce(backends: Any) -> None:
    if not hasattr(backends, "AbstractBackend"):  # an import of einops must not fail through lucid
        return

    class LucidBackend(backends.AbstractBackend):  # type: ignore[misc]
        """What einops asks for beside methods that Tensors have under NumPy's names."""

        framework_name = "lucid"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Tensor:
            return Tensor(x)

        def to_numpy(self, x: Tensor) -> Any:
            return x.detach().numpy()

        def is_float_type(self, x: Tensor) -> bool:
            return is_inexact(x.dtype)

        def add_axis(self, x: Tensor, new_position: int) -> Tensor:
            return shape.unsqueeze(x, new_position)

        def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
            return shape.tile(x, repeats)

        def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
            return shape.stack(tensors)

        def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
            return shape.concatenate(tensors, axis)

        def einsum(self, pattern: str, *x: Tensor) -> Tensor:
            return linalg.einsum(pattern, *x)

    backends.LucidBackend = LucidBackend  # classes know their subclasses only as long as these live
