"""What other libraries call the things that lucid has: a missing name is answered with lucid's.

A value is lucid's spelling, or, where there is no counterpart, a clause that begins with "lucid".
Only names that lucid lacks stand here, and only what exists is recommended; tests see to both.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

Names = Mapping[str, str]

_SPELLINGS: Names = {  # of functions and, without the first operand, of methods
    "absolute": "abs",
    "acos": "arccos",
    "amax": "max",
    "amin": "min",
    "argwhere": "nonzero",
    "asin": "arcsin",
    "atan": "arctan",
    "bmm": "matmul",
    "clamp": "clip",
    "mm": "matmul",
    "msort": "sort",
    "mv": "matmul",
    "swapdims": "swapaxes",
    "take_along_dim": "take_along_axis",
}
_OPERATORS: Names = {
    "bitwise_and": "a & b",
    "bitwise_not": "~a",
    "bitwise_or": "a | b",
    "bitwise_xor": "a ^ b",
    "eq": "a == b",
    "equal": "a == b",
    "floor_divide": "a // b",
    "fmod": "a % b",
    "ge": "a >= b",
    "greater": "a > b",
    "greater_equal": "a >= b",
    "gt": "a > b",
    "le": "a <= b",
    "less": "a < b",
    "less_equal": "a <= b",
    "logical_and": "a & b",
    "logical_not": "~a",
    "logical_or": "a | b",
    "logical_xor": "a ^ b",
    "lt": "a < b",
    "ne": "a != b",
    "neg": "-a",
    "negative": "-a",
    "not_equal": "a != b",
    "remainder": "a % b",
    "true_divide": "a / b",
}
_ACTIVATIONS = (
    "elu", "gelu", "leaky_relu", "log_softmax", "mish", "one_hot", "prelu", "relu", "relu6", "selu",
    "sigmoid", "silu", "softmax", "softplus",
)  # fmt: skip
_IN_FUNCTIONAL: Names = {name: f"nn.functional.{name}" for name in _ACTIVATIONS}

TENSOR: Names = {
    **_SPELLINGS,
    **_OPERATORS,
    **_IN_FUNCTIONAL,
    "add": "a + b",
    "at": "x[index] = value",
    "block_until_ready": "data.block_until_ready()",
    "broadcast_in_dim": "broadcast_to(shape)",
    "clamp_": "clip_",
    "contiguous": "lucid needs none: the elements of a Tensor always lie in order",
    "copy_": "x[...] = other",
    "cuda": "gpu()",
    "detach_": "detach()",
    "dim": "ndim",
    "div": "a / b",
    "divide": "a / b",
    "divide_": "div_",
    "einsum": "lucid.einsum(subscripts, *operands)",
    "expand_as": "broadcast_to(other.shape)",
    "expand_dims": "unsqueeze(axis)",
    "fill_": "x[...] = value",
    "get_device": "device",
    "index_select": "x[index]",
    "is_cuda": "device",
    "maximum": "lucid.maximum(a, b)",
    "minimum": "lucid.minimum(a, b)",
    "mul": "a * b",
    "multiply": "a * b",
    "multinomial": "lucid.random.multinomial(probs, num_samples)",
    "multiply_": "mul_",
    "narrow": "x[index]",
    "ndimension": "ndim",
    "negative_": "neg_",
    "nelement": "size",
    "new_full": "lucid.full(shape, value, dtype=x.dtype)",
    "new_ones": "lucid.ones(shape, dtype=x.dtype)",
    "new_zeros": "lucid.zeros(shape, dtype=x.dtype)",
    "normal_": "nn.init.normal(x, mean, std)",
    "numel": "size",
    "permute": "transpose(axes)",
    "pow": "a ** b",
    "pow_": "power_",
    "power": "a ** b",
    "reshape_as": "reshape(other.shape)",
    "retains_grad": "keep_grad",
    "sub": "a - b",
    "subtract": "a - b",
    "subtract_": "sub_",
    "t": "T",
    "to_numpy": "numpy()",
    "type": "astype(dtype)",
    "type_as": "astype(other.dtype)",
    "uniform_": "nn.init.uniform(x, a, b)",
    "view": "reshape(*shape)",
    "view_as": "reshape(other.shape)",
    "where": "lucid.where(condition, a, b)",
    "zero_": "x[...] = 0",
}

_LUCID: Names = {
    **_SPELLINGS,
    **_OPERATORS,
    **_IN_FUNCTIONAL,
    "Generator": "random.Generator",
    "Module": "nn.Module",
    "Parameter": "nn.Parameter",
    "amp": "autocast",
    "array": "tensor",
    "as_tensor": "tensor",
    "asarray": "tensor",
    "bernoulli": "random.bernoulli",
    "bfloat16": "BFloat16",
    "bool": "Bool",
    "cat": "concatenate",
    "complex64": "Complex64",
    "concat": "concatenate",
    "cuda": 'lucid calls CUDA "gpu"; jax.devices() lists the devices',
    "device": 'lucid has names for devices, "cpu", "gpu" and "gpu:1"',
    "divide": "div",
    "double": "Double",
    "float": "Float",
    "float16": "Float16",
    "float32": "Float32",
    "float64": "Float64",
    "from_numpy": "tensor",
    "ger": "outer",
    "half": "Half",
    "inference_mode": "no_grad",
    "int": "Int",
    "int16": "Int16",
    "int32": "Int32",
    "int64": "Int64",
    "int8": "Int8",
    "is_grad_enabled": "grad_enabled",
    "is_tensor": "isinstance(x, lucid.Tensor)",
    "long": "Long",
    "manual_seed": "random.seed",
    "mul": "multiply",
    "multinomial": "random.multinomial",
    "numel": "a.size",
    "permute": "transpose",
    "pow": "power",
    "randint": "random.randint",
    "randperm": "random.permutation",
    "short": "Short",
    "subtract": "sub",
}

MODULE: Names = {
    "bfloat16": 'to("bfloat16")',
    "cpu": 'to("cpu")',
    "cuda": 'to("gpu")',
    "double": 'to("float64")',
    "flatten_parameters": "lucid needs none: the weights are read where they lie",
    "float": 'to("float32")',
    "half": 'to("float16")',
    "num_parameters": "count_parameters()",
    "register_module": "add_module",
    "trainable_parameters": "parameters()",
    "trainable_variables": "parameters()",
    "type": "to(dtype)",
}

_NN: Names = {
    **{name: f"functional.{name}" for name in _ACTIVATIONS},
    "AveragePooling2D": "AvgPool2d",
    "AvgPool1D": "AvgPool1d",
    "AvgPool2D": "AvgPool2d",
    "AvgPool3D": "AvgPool3d",
    "BatchNorm": "BatchNorm1d, BatchNorm2d or BatchNorm3d",
    "BatchNorm1D": "BatchNorm1d",
    "BatchNorm2D": "BatchNorm2d",
    "BatchNorm3D": "BatchNorm3d",
    "BatchNormalization": "BatchNorm1d, BatchNorm2d or BatchNorm3d",
    "Conv": "Conv1d, Conv2d or Conv3d",
    "Conv1D": "Conv1d",
    "Conv2D": "Conv2d",
    "Conv2DTranspose": "ConvTranspose2d",
    "DataParallel": "lucid needs none: put the batch on several devices with jax.sharding",
    "Conv3D": "Conv3d",
    "ConvTranspose": "ConvTranspose1d, ConvTranspose2d or ConvTranspose3d",
    "ConvTranspose1D": "ConvTranspose1d",
    "ConvTranspose2D": "ConvTranspose2d",
    "ConvTranspose3D": "ConvTranspose3d",
    "Dense": "Linear",
    "Embed": "Embedding",
    "Hardsigmoid": "HardSigmoid",
    "Hardswish": "HardSwish",
    "Layer": "Module",
    "LayerNormalization": "LayerNorm",
    "MaxPool1D": "MaxPool1d",
    "MaxPool2D": "MaxPool2d",
    "MaxPool3D": "MaxPool3d",
    "MaxPooling2D": "MaxPool2d",
    "SimpleRNN": "RNN",
    "UpsamplingBilinear2d": 'Upsample(mode="bilinear", align_corners=True)',
    "UpsamplingNearest2d": 'Upsample(mode="nearest")',
}

_FUNCTIONAL: Names = {
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "hardtanh_": "hardtanh",
    "leaky_relu_": "leaky_relu",
    "relu_": "relu",
    "swish": "silu",
    "upsample": "interpolate",
}

_INIT: Names = {
    **{
        f"{name}_": name
        for name in (
            "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "ones",
            "orthogonal", "sparse", "trunc_normal", "uniform", "xavier_normal", "xavier_uniform",
            "zeros",
        )
    },
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "he_normal": "kaiming_normal",
    "he_uniform": "kaiming_uniform",
    "truncated_normal": "trunc_normal",
}  # fmt: skip

_UTILS: Names = {
    "clip_grad_norm_": "clip_grad_norm",
    "clip_grad_value_": "clip_grad_value",
}

MODULES: Mapping[str, Names] = {
    "lucid": _LUCID,
    "lucid.einops": {},
    "lucid.linalg": {"matmul": "lucid.matmul", "vector_norm": "norm"},
    "lucid.nn": _NN,
    "lucid.nn.functional": _FUNCTIONAL,
    "lucid.nn.init": _INIT,
    "lucid.nn.utils": _UTILS,
    "lucid.nn.utils.rnn": {},
}

# Of a function what to use where arguments of another library do not fit.
_ADVICE: Names = {
    "LambdaLR": "The function comes first, then the optimizer.",
    "max": "Of two, lucid.maximum(a, b) takes the larger one.",
    "min": "Of two, lucid.minimum(a, b) takes the smaller one.",
    "repeat": "The whole is repeated by lucid.tile(a, reps).",
    "transpose": "Two axes are exchanged by swapaxes(axis1, axis2).",
}

# What Python says of code for another library, and what to say beside it.
NOTES: Names = {
    "'int' object is not callable": (
        "In lucid x.size is a number, not a method: the sizes are x.shape, that of an axis is "
        "x.shape[axis]."
    ),
}

# Of a keyword what it may be called; a function is told the first that it has.
KEYWORDS: Mapping[str, Sequence[str]] = {
    "a_max": ("max_value",),
    "a_min": ("min_value",),
    "alpha": ("lucid has no factor here: multiply first",),
    "arrays": ("arr",),
    "device": ("lucid takes one by place, as in x.to(device)",),
    "dim": ("axis", "axes"),
    "dim0": ("axis1",),
    "dim1": ("axis2",),
    "ddof": ("correction",),
    "dims": ("axis", "axes", "reps"),
    "dtype": ("lucid takes one by place, as in x.to(dtype)",),
    "end_dim": ("end_axis",),
    "equation": ("subscripts",),
    "exponent": ("b",),
    "inplace": ("lucid returns a new Tensor: leave it out",),
    "input": ("input_", "a"),
    "keepdim": ("keepdims",),
    "map_location": ("lucid loads to the default device: move the result with to(device)",),
    "max": ("max_value",),
    "min": ("min_value",),
    "non_blocking": ("lucid never waits for a copy: leave it out",),
    "num_workers": ("lucid makes batches ahead in one thread: prefetch is how many",),
    "only_inputs": ("lucid always does so: leave it out",),
    "other": ("b",),
    "p": ("ord",),
    "out": ("lucid returns a new Tensor: leave it out",),
    "pin_memory": ("lucid needs none: leave it out",),
    "set_to_none": ("lucid always does so: leave it out",),
    "size_average": ("reduction",),
    "split_size": ("size_or_sections",),
    "split_size_or_sections": ("size_or_sections",),
    "start_dim": ("start_axis",),
    "tensors": ("arr",),
    "unbiased": ("lucid takes correction=1 for the unbiased estimate",),
    "x": ("input_", "a"),
}


def _clause(spelling: str) -> str:
    whole = spelling.startswith("lucid ")
    return spelling if whole else f"lucid calls it {spelling}"


def keyword(name: str, parameters: Sequence[str]) -> str | None:
    """What lucid calls a keyword of another library, if the function has such a parameter."""
    for spelling in KEYWORDS.get(name, ()):
        if spelling in parameters or spelling.startswith("lucid "):
            return _clause(spelling)
    return None


def advice(call: str) -> str:
    """What to use for arguments of another library that `call` does not take; often nothing."""
    return f" {_ADVICE[call]}" if call in _ADVICE else ""


def of_numpy(name: str, way: str) -> str:
    """What to say of a function of NumPy that got a Tensor."""
    call = name if way == "__call__" else f"{name}.{way}"
    if hasattr(sys.modules["lucid"], name):
        own = f"lucid has lucid.{name}"
    elif name in _LUCID:
        own = _clause(_LUCID[name])
    else:
        own = f"lucid.apply(jax.numpy.{name}, x) records JAX's"
    return f"np.{call} takes no Tensor; {own}; np.{call}(x.numpy()) computes with the values alone."


def missing(owner: str, names: Names, name: str, obj: object) -> AttributeError:
    """The error for an attribute that `owner` lacks.

    `hasattr` asks for it too, so it costs a look-up. Without a hint Python adds the nearest name
    when it shows the error, which is why the text has no full stop.
    """
    spelling = names.get(name)
    text = f"{owner} has no attribute '{name}'"
    if spelling is None:
        return AttributeError(text, name=name, obj=obj)
    return AttributeError(f"{text}; {_clause(spelling)}.", name=name)
