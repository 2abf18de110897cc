"""What tests share: data away from kinks, a count of compilations, and the check of an operation.

`check_op` compares a function of Tensors with a NumPy function in float64: values, gradients and
second derivatives; and with a torch function where torch is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lucid
from lucid import Tensor

ROOT = Path(__file__).parents[1]
HAS_TORCH = importlib.util.find_spec("torch") is not None

# --- Compilations -----------------------------------------------------------------------------

_TRACE = "/jax/core/compile/jaxpr_trace_duration"
_COMPILE = "/jax/core/compile/backend_compile_duration"
_seen = {_TRACE: 0, _COMPILE: 0}


def _on_event(event: str, duration: float, **details: Any) -> None:
    if event in _seen:
        _seen[event] += 1


jax.monitoring.register_event_duration_secs_listener(_on_event)


@contextlib.contextmanager
def count_compiles(expect: int) -> Iterator[None]:
    """Fail unless JAX compiles `expect` programs in the block; with 0, it may not trace either."""
    before = dict(_seen)
    yield
    compiled, traced = (_seen[event] - before[event] for event in (_COMPILE, _TRACE))
    assert compiled == expect, f"{compiled} programs were compiled, not {expect}"
    assert expect or not traced, f"{traced} functions were traced, not 0"


# --- Data -------------------------------------------------------------------------------------


def spaced(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Random float64 values, no two of them close to each other and none close to 0.

    So a finite difference meets no kink of max, sort, abs or relu.
    """
    rng = np.random.default_rng([seed, *shape])
    n = int(np.prod(shape))
    step = (high - low) / (n + 1)
    values = low + step * (np.arange(n) + 0.5 + rng.uniform(0.2, 0.8, n))
    values = np.where(np.abs(values) < 0.05, 0.07, values) if low < 0 < high else values
    return rng.permutation(values).reshape(shape)


# --- Derivatives of a NumPy function ----------------------------------------------------------

_STEP = 2e-3
# Fourth order: f'(0) is about the sum of w * f(k * h) / h.
_STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))


def leaf(*shape: int, seed: int = 0) -> Tensor:
    """A Tensor of such values whose gradient is wanted."""
    return Tensor(spaced(*shape, seed=seed), requires_grad=True)


def numeric_grad(
    fn: Callable[..., float], inputs: Sequence[np.ndarray], wanted: Sequence[bool]
) -> list[np.ndarray]:
    """The gradients of a scalar function by finite differences, error about 1e-10."""
    gradients = []
    for i, wants in enumerate(wanted):
        if not wants:
            continue
        gradient = np.zeros_like(inputs[i])
        for at in np.ndindex(inputs[i].shape):
            for k, weight in _STENCIL:
                moved = [np.array(x) for x in inputs]
                moved[i][at] += k * _STEP
                gradient[at] += weight * fn(*moved) / _STEP
        gradients.append(gradient)
    return gradients


def numeric_hvp(
    fn: Callable[..., float],
    inputs: Sequence[np.ndarray],
    wanted: Sequence[bool],
    along: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """The second derivatives of a scalar function, multiplied by the vectors `along`."""
    total = [np.zeros_like(v) for v in along]
    for k, weight in _STENCIL:
        vectors = iter(along)
        moved = [
            x + k * _STEP * next(vectors) if wants else x
            for x, wants in zip(inputs, wanted, strict=True)
        ]
        for sum_, gradient in zip(total, numeric_grad(fn, moved, wanted), strict=True):
            sum_ += weight * gradient / _STEP
    return total


# --- The check --------------------------------------------------------------------------------


def check_op(
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    *inputs: Any,
    torch_fn: Callable[..., Any] | None = None,
    rtol: float = 1e-12,
) -> None:
    """Compare values, gradients and second derivatives of `fn`, all in float64.

    Args:
        fn: takes Tensors and returns a Tensor or a tuple of them.
        reference: the same of NumPy arrays.
        inputs: NumPy arrays; those of floats are differentiated, others passed as Tensors.
        torch_fn: the same of torch Tensors, called where torch is installed.
        rtol: of the values, and of all comparisons with torch; finite differences allow 1e-7.
    """
    arrays = [np.asarray(x) for x in inputs]
    wanted = [x.dtype.kind == "f" for x in arrays]
    rng = np.random.default_rng(7)
    expected = _as_tuple(reference(*arrays))
    seeds = [rng.uniform(0.5, 1.5, np.shape(y)) for y in expected if _is_float(y)]
    along = [rng.uniform(-1, 1, x.shape) for x, w in zip(arrays, wanted, strict=True) if w]
    with jax.enable_x64(True):
        unrecorded = [y.numpy() for y in _as_tuple(fn(*map(Tensor, arrays)))]
        assert len(unrecorded) == len(expected)
        for value, target in zip(unrecorded, expected, strict=True):
            same(value, target, rtol=rtol)
        values, grads, seconds = _lucid_derivatives(fn, arrays, wanted, seeds, along)
    for value, target in zip(values, expected, strict=True):
        same(value, target, rtol=rtol)
    if torch_fn is not None and HAS_TORCH:
        got = _torch_derivatives(torch_fn, arrays, wanted, seeds, along)
        for ours, theirs in zip((values, grads, seconds), got, strict=True):
            assert len(ours) == len(theirs)
            for a, b in zip(ours, theirs, strict=True):
                same(a, b, rtol=rtol)
    if not seeds or not along:
        return

    def weighted(*xs: np.ndarray) -> float:
        floats = [y for y in _as_tuple(reference(*xs)) if _is_float(y)]
        return float(sum(np.sum(c * y) for c, y in zip(seeds, floats, strict=True)))

    for ours, target in zip(grads, numeric_grad(weighted, arrays, wanted), strict=True):
        same(ours, target, rtol=1e-7, atol=1e-8)
    numeric = numeric_hvp(weighted, arrays, wanted, along)
    for ours, target in zip(seconds, numeric, strict=True):
        same(ours, target, rtol=1e-6, atol=1e-6)


def check_torch(
    fn: Callable[..., Any], torch_fn: Callable[..., Any], *inputs: Any, rtol: float = 1e-12
) -> None:
    """Compare values, gradients and second derivatives of `fn` with torch's, all in float64."""
    arrays = [np.asarray(x) for x in inputs]
    wanted = [x.dtype.kind == "f" for x in arrays]
    rng = np.random.default_rng(7)
    with jax.enable_x64(True):
        shapes = [y.shape for y in _as_tuple(fn(*map(Tensor, arrays))) if y.dtype.kind == "f"]
        seeds = [rng.uniform(0.5, 1.5, shape) for shape in shapes]
        along = [rng.uniform(-1, 1, x.shape) for x, w in zip(arrays, wanted, strict=True) if w]
        ours = _lucid_derivatives(fn, arrays, wanted, seeds, along)
    theirs = _torch_derivatives(torch_fn, arrays, wanted, seeds, along)
    for found, targets in zip(ours, theirs, strict=True):
        assert len(found) == len(targets)
        for value, target in zip(found, targets, strict=True):
            same(value, target, rtol=rtol)


def on_8_devices(script: Path, timeout: float) -> Any:
    """The JSON that a script prints in a process of its own, with 8 devices and 64-bit numbers."""
    settings = {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_ENABLE_X64": "1",
        # On few cores the threads of 8 devices that run ahead can wait for each other for ever.
        "JAX_CPU_ENABLE_ASYNC_DISPATCH": "0",
    }
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env={**os.environ, **settings},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def public_functions(module: Any) -> set[str]:
    """The names of the public functions that a module defines."""
    return {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and name[0] != "_" and _defined_in(module, value)
    }


def _defined_in(module: Any, function: Any) -> bool:
    return inspect.unwrap(function).__globals__ is vars(module)


def close(a: Any, b: Any, atol: float = 1e-6) -> None:
    """Fail unless the difference is at most `atol` everywhere."""
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


def same(ours: np.ndarray, target: Any, rtol: float, atol: float = 1e-12) -> None:
    """Equal shapes, equal kinds of dtype and close values."""
    target = np.asarray(target)
    assert ours.shape == target.shape
    assert ours.dtype.kind == target.dtype.kind
    if target.dtype.kind == "f":
        assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, target, rtol=rtol, atol=atol)


def _lucid_derivatives(fn, arrays, wanted, seeds, along):
    xs = [Tensor(x, requires_grad=w) for x, w in zip(arrays, wanted, strict=True)]
    outputs = _as_tuple(fn(*xs))
    values = [y.numpy() for y in outputs]
    active = [x for x in xs if x.requires_grad]
    if not seeds or not active:
        return values, [], []
    floats = [y for y in outputs if y.dtype.kind == "f"]
    assert all(y.requires_grad for y in floats)
    grads = lucid.autograd.grad(floats, active, [Tensor(c) for c in seeds], create_graph=True)
    seconds = [0.0 * v for v in along]
    again = [(g, Tensor(v)) for g, v in zip(grads, along, strict=True) if g.requires_grad]
    if again:
        outputs, vectors = zip(*again, strict=True)
        found = lucid.autograd.grad(outputs, active, vectors, allow_unused=True)
        seconds = [s if g is None else g.numpy() for g, s in zip(found, seconds, strict=True)]
    return values, [g.numpy() for g in grads], seconds


def _torch_derivatives(fn, arrays, wanted, seeds, along):
    import torch

    xs = [torch.tensor(x, requires_grad=w) for x, w in zip(arrays, wanted, strict=True)]
    outputs = _as_tuple(fn(*xs))
    values = [y.detach().numpy() for y in outputs]
    active = [x for x in xs if x.requires_grad]
    if not seeds or not active:
        return values, [], []
    floats = [y for y in outputs if y.is_floating_point()]
    cotangents = [torch.tensor(c) for c in seeds]
    grads = torch.autograd.grad(floats, active, cotangents, create_graph=True)
    total = sum((g * torch.tensor(v)).sum() for g, v in zip(grads, along, strict=True))
    seconds = [0.0 * v for v in along]
    if total.requires_grad:
        found = torch.autograd.grad(total, active, allow_unused=True)
        seconds = [
            s if g is None else g.numpy(force=True) for g, s in zip(found, seconds, strict=True)
        ]
    return values, [g.numpy(force=True) for g in grads], seconds


def _is_float(value: Any) -> bool:
    return np.asarray(value).dtype.kind == "f"


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def printed(error: BaseException) -> str:
    """The last line that the interpreter prints of an error, with the name that it suggests."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        sys.__excepthook__(type(error), error, error.__traceback__)
    return stream.getvalue().splitlines()[-1]


def run_python(code, **environment):
    """What a Python of its own prints, as lines."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
