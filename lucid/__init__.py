"""The lucid deep-learning API, computed by JAX.

Tensors record what is computed from them, Modules hold parameters, and every number is computed
by a pure function that JAX compiles.
"""

from math import inf, pi
from typing import TYPE_CHECKING

from lucid import _einops, autograd, error, nn, optim, random, typed, types
from lucid._core import growth, tracebacks, waiting
from lucid._core.autocast import autocast
from lucid._core.errors import BackwardError, DeviceMismatchError, JitError, UnknownDeviceError
from lucid._core.flops import count_flops, flops_enabled
from lucid._core.gate import apply
from lucid._core.mode import enable_grad, grad_enabled, no_grad, set_grad_enabled
from lucid._core.package import publish
from lucid._core.tensor import Tensor
from lucid._version import __version__
from lucid.creation import (
    arange,
    diag,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    to_tensor,
    zeros,
    zeros_like,
)
from lucid.ops import (
    cumulative,
    elementwise,
    logic,
    matrix,
    reduce,
    selection,
    sorting,
    trigonometry,
)
from lucid.ops import histogram as histograms
from lucid.ops import linalg as products
from lucid.ops import shape as shapes
from lucid.ops.cumulative import *
from lucid.ops.elementwise import *
from lucid.ops.histogram import *
from lucid.ops.linalg import *
from lucid.ops.logic import *
from lucid.ops.matrix import *
from lucid.ops.reduce import *
from lucid.ops.selection import *
from lucid.ops.shape import *
from lucid.ops.sorting import *
from lucid.ops.trigonometry import *
from lucid.random import rand, rand_like, randint_like, randn, randn_like
from lucid.typed import *
from lucid.types import *

if TYPE_CHECKING:  # an import does without them: see `publish` below
    from lucid import data, einops, func, linalg, onnx, sharding, utils
    from lucid._core.jit import JITFunction, JITModule, compile, jit
    from lucid._export import export, load_exported
    from lucid._summary import summary
    from lucid.control import checkpoint, cond, scan, while_loop
    from lucid.serialization import load, save

newaxis = None

__all__ = [
    "BackwardError",
    "DeviceMismatchError",
    "JITFunction",
    "JITModule",
    "JitError",
    "Tensor",
    "UnknownDeviceError",
    "__version__",
    "apply",
    "arange",
    "autocast",
    "autograd",
    "checkpoint",
    "compile",
    "cond",
    "count_flops",
    "data",
    "diag",
    "einops",
    "empty",
    "empty_like",
    "enable_grad",
    "error",
    "export",
    "eye",
    "flops_enabled",
    "from_dlpack",
    "full",
    "full_like",
    "func",
    "grad_enabled",
    "inf",
    "jit",
    "linalg",
    "linspace",
    "load",
    "load_exported",
    "newaxis",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "onnx",
    "optim",
    "pi",
    "rand",
    "rand_like",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "save",
    "scan",
    "set_grad_enabled",
    "sharding",
    "summary",
    "tensor",
    "to_tensor",
    "types",
    "utils",
    "while_loop",
    "zeros",
    "zeros_like",
]
__all__ += cumulative.__all__
__all__ += elementwise.__all__
__all__ += histograms.__all__
__all__ += products.__all__
__all__ += logic.__all__
__all__ += matrix.__all__
__all__ += reduce.__all__
__all__ += selection.__all__
__all__ += shapes.__all__
__all__ += sorting.__all__
__all__ += trigonometry.__all__
__all__ += typed.__all__
__all__ += types.__all__

waiting.listen()
growth.listen()
tracebacks.listen()
_einops.listen()
publish(
    globals(),
    "lucid.serialization",
    "lucid._export",
    "lucid._summary",
    "lucid.control",
    "lucid._core.jit",
)
