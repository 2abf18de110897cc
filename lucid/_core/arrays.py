"""From Python and NumPy values to jax arrays: the rules of dtype and device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeGuard

import jax
import numpy as np

from lucid._core import spread
from lucid._core.errors import UnknownDeviceError
from lucid._core.typing import Array, Device, DType

_BUILTIN: dict[Any, str] = {float: "float64", int: "int64", complex: "complex128", bool: "bool"}


def canonical_dtype(dtype: DType) -> np.dtype[Any]:
    """The dtype that a request for `dtype` gives: 32 bits for a Python type unless x64 is on.

    Raises:
        ValueError: a 64-bit float was asked for by name while JAX's x64 mode is off.
    """
    if dtype in _BUILTIN:
        return np.dtype(jax.dtypes.canonicalize_dtype(_BUILTIN[dtype]))
    requested = np.dtype(dtype)
    canonical = np.dtype(jax.dtypes.canonicalize_dtype(requested))
    if canonical != requested and requested.kind in "fc":
        raise ValueError(
            f"dtype {requested} needs JAX's 64-bit mode, which is off. Call "
            f'jax.config.update("jax_enable_x64", True) first, or ask for {canonical}.'
        )
    return canonical


def find_device(device: str | Device) -> Device:
    """The device named "cpu", "gpu", "tpu", or "gpu:1" for the second one.

    Raises:
        UnknownDeviceError: no such device is present.
    """
    if isinstance(device, (jax.Device, jax.sharding.Sharding)):
        return device  # JAX takes either
    platform, _, number = str(device).partition(":")
    try:
        devices = jax.devices(platform)
        return devices[int(number or 0)]
    except (RuntimeError, IndexError, ValueError):
        present = ", ".join(sorted({device_name(d) for d in _all_devices()}))
        raise UnknownDeviceError(str(device), present) from None


def is_device(value: object) -> TypeGuard[str | Device]:
    """Whether `value` is a device or spelled like one, present or not."""
    if isinstance(value, str):
        return value.partition(":")[0] in ("cpu", "gpu", "tpu", "cuda", "rocm")
    return isinstance(value, (jax.Device, jax.sharding.Sharding))


def _all_devices() -> list[Device]:
    devices = list(jax.devices())
    if devices[0].platform != "cpu":
        devices += jax.devices("cpu")
    return devices


def device_name(device: Device) -> str:
    """The name that `find_device` takes for `device`."""
    index = jax.devices(device.platform).index(device)
    return device.platform if index == 0 else f"{device.platform}:{index}"


def device_of(array: Array) -> str:
    """The name of the device of an array; the platform's name if it lies on several."""
    devices = list(array.devices())
    return device_name(devices[0]) if len(devices) == 1 else devices[0].platform


def as_array(data: Any, dtype: DType = None, device: str | Device | None = None) -> Array:
    """`data` as a jax array that shares no memory with NumPy.

    Raises:
        TypeError: `data` does not consist of numbers.
        OverflowError: an integer does not fit into 32 bits while x64 mode is off.
    """
    target = None if device is None else find_device(device)
    if dtype is not None:
        dtype = canonical_dtype(dtype)
    if isinstance(data, jax.Array):
        array = data if dtype is None or data.dtype == dtype else data.astype(dtype)
        return array if target is None else spread.put("Tensor", array, target)
    # A copy, since JAX may keep NumPy's own memory, which the caller can go on changing.
    return from_host(np.array(_as_numpy(data)), dtype, target)


def _as_numpy(data: Any) -> np.ndarray[Any, Any]:
    if hasattr(data, "detach"):  # of PyTorch, which gives away nothing that requires a gradient
        data = data.detach().contiguous()
    try:
        array = np.asarray(data)
    except TypeError:
        if not hasattr(data, "__dlpack__"):
            raise
        # PyTorch gives no bfloat16 to NumPy, but to DLPack.
        array = np.asarray(jax.dlpack.from_dlpack(data))
    if array.dtype.kind not in "biufcV" or (array.dtype.kind == "V" and array.dtype.fields):
        raise TypeError(
            f"Tensor: data must be numbers, nested lists of numbers, or an array, got "
            f"{type(data).__name__} of dtype {array.dtype}."
        )
    return array


def from_host(
    host: np.ndarray[Any, Any], dtype: np.dtype[Any] | None = None, device: Device | None = None
) -> Array:
    """A NumPy array as a jax array, which may keep its memory: nothing may change it any more.

    Raises:
        OverflowError: an integer does not fit into 32 bits while x64 mode is off.
    """
    native = host.dtype.newbyteorder("=")
    stored = dtype or np.dtype(jax.dtypes.canonicalize_dtype(native))
    if host.dtype.kind in "iu" and stored.kind in "iu" and host.size:
        limits, low, high = np.iinfo(stored), host.min(), host.max()
        if low < limits.min or high > limits.max:
            raise OverflowError(
                f"Tensor: the integers {low} to {high} do not fit into {stored}. Turn on JAX's "
                "64-bit mode or pass a float dtype."
            )
    return spread.put("Tensor", host.astype(stored, copy=False), device)


def fitted(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """`data` as an array of this shape and dtype, to take the place of another one.

    Raises:
        ValueError: it is not made of numbers, has another shape, or a dtype that holds more kinds
            of numbers.
    """
    try:
        array = as_array(data)
    except Exception as error:  # of the library that `data` comes from
        raise ValueError(f"{type(data).__name__} that gives no array ({error})") from error
    if array.shape != shape:
        raise ValueError(f"shape {array.shape} instead of {shape}")
    if _kind(array.dtype) > _kind(dtype):
        raise ValueError(f"dtype {array.dtype} instead of {dtype}")
    return array.astype(dtype)


def _kind(dtype: Any) -> int:
    """Larger if a dtype holds more kinds of numbers: truth values, integers, reals, all."""
    kinds = (np.bool_, np.integer, np.floating, np.complexfloating)
    return [jax.numpy.issubdtype(dtype, kind) for kind in kinds].index(True)


def as_float(value: Any) -> Any:
    """`value` with its Python and NumPy numbers as floats: another type would be a new program."""
    if isinstance(value, (tuple, list)):
        return tuple(map(as_float, value))
    return float(value) if isinstance(value, (int, float, np.number)) else value


def staged() -> bool:
    """Whether JAX traces what runs now, although no operand shows it."""
    now, eager = _trace_states()
    return now() != eager and isinstance(jax.numpy.zeros(()), jax.core.Tracer)


@functools.cache
def _trace_states() -> tuple[Callable[[], Any], Any]:
    """What tells the state of JAX's traces, and the state in which it traces nothing."""
    # Here, since it loads Pallas, a third of the time that importing lucid takes; by `from`, since
    # an import that is interrupted can leave jax without its attribute `extend`.
    from jax.extend import core

    state: Any = getattr(core, "get_opaque_trace_state", None) or getattr(
        jax.core, "get_opaque_trace_state", None
    )
    with jax.core.eval_context():
        return state, state()
