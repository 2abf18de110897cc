"""Gradients on demand, and control over what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lucid._core import backward as engine
from lucid._core.misuse import told
from lucid._core.mode import enable_grad, grad_enabled, no_grad, set_grad_enabled
from lucid._core.tensor import Tensor

__all__ = ["backward", "enable_grad", "grad", "grad_enabled", "no_grad", "set_grad_enabled"]


def backward(
    tensors: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradients of one or several Tensors to `grad` of the leaves behind them.

    Args:
        tensors: what to differentiate.
        gradients: one for each Tensor, in its shape; ones by default.
        retain_graph: keep the graph, so that it can be differentiated again.
        create_graph: record the gradients themselves, for gradients of gradients.

    Raises:
        RuntimeError: a Tensor requires no gradient, or its graph was freed.
        ValueError: a gradient has another shape than its Tensor.
        TypeError: a gradient has another dtype than its Tensor.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> lucid.autograd.backward([x * x, x * 2])
    >>> x.grad
    Tensor([8.])
    """
    engine.backward(_sequence(tensors), _sequence(gradients), retain_graph, create_graph)


@told
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Tensor | tuple[Tensor | None, ...] | None:
    """The gradients of `outputs` with respect to `inputs`; no `.grad` changes.

    Args:
        outputs: what to differentiate; several are added up.
        inputs: with respect to what: leaves or intermediate Tensors.
        grad_outputs: what to multiply the outputs by, in their shapes; ones by default.
        retain_graph: keep the graph, so that it can be differentiated again.
        create_graph: record the gradients themselves, for gradients of gradients.
        allow_unused: give None for an input that the outputs do not depend on.

    Returns:
        One gradient if `inputs` is one Tensor, else a tuple.

    Raises:
        RuntimeError: an output or input requires no gradient, the outputs do not depend on an
            input, or the graph was freed.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> dx = lucid.autograd.grad(x**3, x, create_graph=True)
    >>> dx, lucid.autograd.grad(dx, x)
    (Tensor([27.], grad_fn=<power_vjp>), Tensor([18.]))
    """
    found = engine.grad(
        _sequence(outputs),
        _sequence(inputs),
        _sequence(grad_outputs),
        retain_graph,
        create_graph,
        allow_unused,
    )
    return found[0] if isinstance(inputs, Tensor) else found


def _sequence(tensors: Any) -> Any:
    return [tensors] if isinstance(tensors, Tensor) else tensors
