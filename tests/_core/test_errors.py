"""What an error says: the operation, its operands, and the layer that it came from."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import lucid
from lucid import JitError, Tensor, nn
from lucid.nn import functional as F
from tests.helpers import printed


def zeros(*shape):
    return lucid.zeros(shape)


GOOD, BAD = zeros(2, 3), zeros(2, 4)


def linear():
    return nn.Linear(3, 3)


# --- The path of the layer --------------------------------------------------------------------


class Net(nn.Module):
    """Calls what it is given, which its attributes hold in one way or another."""

    def __init__(self, call, **attributes):
        super().__init__()
        self.call = call
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.call(self, x)


def called_twice():
    return Net(lambda net, x: net.fc(net.fc(x)[:, :2]), fc=linear())


def hidden():
    net = Net(lambda net, x: net.layer(x))
    vars(net)["layer"] = linear()
    return net


def shared():
    layer = linear()
    net = Net(lambda net, x: net.second(x), first=nn.Sequential(layer))
    net.second = layer
    return net


def of_nobody():
    layer = nn.Sequential(linear())
    return Net(lambda net, x: layer(x))


def deep():
    blocks = nn.ModuleList(
        [Net(lambda net, x: net.body(x), body=nn.Sequential(nn.ReLU(), linear()))]
    )
    return nn.Sequential(nn.ReLU(), Net(lambda net, x: net.blocks[0](x), blocks=blocks))


PATHS = {
    "alone": (linear, BAD, "Linear"),
    "its own check": (lambda: nn.BatchNorm2d(3), BAD, "BatchNorm2d"),
    "Sequential": (lambda: nn.Sequential(nn.ReLU(), linear()), BAD, "Sequential.1 (Linear)"),
    "check in Sequential": (
        lambda: nn.Sequential(nn.BatchNorm2d(3)), BAD, "Sequential.0 (BatchNorm2d)",
    ),
    "attribute": (lambda: Net(lambda net, x: net.fc(x), fc=linear()), BAD, "Net.fc (Linear)"),
    "its own operation": (lambda: Net(lambda net, x: lucid.matmul(x, x)), BAD, "Net"),
    "ModuleList": (
        lambda: Net(lambda net, x: net.layers[1](x), layers=nn.ModuleList([nn.ReLU(), linear()])),
        BAD, "Net.layers.1 (Linear)",
    ),
    "ModuleDict": (
        lambda: Net(lambda net, x: net.layers["up"](x), layers=nn.ModuleDict({"up": linear()})),
        BAD, "Net.layers.up (Linear)",
    ),
    "deep": (deep, BAD, "Sequential.1.blocks.0.body.1 (Linear)"),
    "shared": (shared, BAD, "Net.first.0 (Linear)"),
    "called twice": (called_twice, GOOD, "Net.fc (Linear)"),
    "plain list": (
        lambda: Net(lambda net, x: net.layers[1](x), layers=[nn.ReLU(), linear()]),
        BAD, "Net.layers[1] (Linear)",
    ),
    "plain dictionary": (
        lambda: Net(lambda net, x: net.layers["up"](x), layers={"up": linear()}),
        BAD, "Net.layers['up'] (Linear)",
    ),
    "plain attribute": (hidden, BAD, "Net.layer (Linear)"),
    "of nobody": (of_nobody, BAD, "Net.<Sequential>.0 (Linear)"),
}  # fmt: skip


def with_hooks(module):
    for each in module.modules():
        each.register_forward_pre_hook(lambda module, args: None)
        each.register_forward_hook(lambda module, args, output: None)
    return module


CALLS = {
    "eager": lambda module, x: module(x),
    "recorded": lambda module, x: module(copy.deepcopy(x).requires_grad_()),
    "hooks": lambda module, x: with_hooks(module)(x),
    "jit": lambda module, x: lucid.jit(module)(x),
    "jit of a function": lambda module, x: lucid.jit(lambda x: module(x))(x),
    "functional_call": lambda module, x: lucid.func.functional_call(module, {}, x),
    "functional_call of arrays": lambda module, x: lucid.func.functional_call(module, {}, x.data),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("case", PATHS.values(), ids=PATHS)
def test_the_layer_is_named_once(case, call):
    make, x, path = case
    with pytest.raises((TypeError, ValueError)) as caught:
        call(make(), x)
    text = str(caught.value)
    assert text.endswith(f" (in {path})"), text
    assert text.count(" (in ") == 1


def test_the_rest_of_the_message_stays():
    with pytest.raises(ValueError) as caught:
        nn.Sequential(nn.BatchNorm2d(3))(BAD)
    text = "BatchNorm2d: an input with 4 axes is needed, got shape (2, 4)."
    assert str(caught.value) == f"{text} (in Sequential.0 (BatchNorm2d))"


def test_every_failing_call_of_a_program_names_the_layer_once():
    step = lucid.jit(nn.Sequential(linear()))
    for _ in range(2):
        with pytest.raises(
            (TypeError, ValueError), match=r"^linear: .* \(in Sequential\.0 \(Linear\)\)$"
        ):
            step(BAD)
    assert step(GOOD).shape == (2, 3)


def test_one_error_goes_all_the_way():
    seen = []

    def call(net, x):
        try:
            return net.fc(x)
        except Exception as error:
            seen.append((error, str(error)))
            raise

    with pytest.raises((TypeError, ValueError)) as caught:
        nn.Sequential(Net(call, fc=linear()))(BAD)
    [(error, text)] = seen
    assert caught.value is error
    assert text.endswith(" (in Linear)")
    assert str(error) == text.replace(" (in Linear)", " (in Sequential.0.fc (Linear))")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_a_module_within_itself():
    net = Net(lambda net, x: net(x[0]) if x.ndim > 1 else lucid.matmul(x, zeros(5)))
    with pytest.raises((TypeError, ValueError), match=r" \(in Net\)$"):
        net(BAD)


def test_an_error_of_a_hook_is_the_modules():
    model = nn.Sequential(linear())
    model[0].register_forward_hook(lambda module, args, output: lucid.matmul(output, output))
    with pytest.raises(
        (TypeError, ValueError), match=r"^matmul: .* \(in Sequential\.0 \(Linear\)\)$"
    ):
        model(GOOD)


def test_wrong_arguments_name_the_layer():
    with pytest.raises(
        TypeError, match=r"positional arguments.* \(in Sequential\.0\.fc \(Linear\)\)$"
    ):
        nn.Sequential(Net(lambda net, x: net.fc(x, x), fc=linear()))(GOOD)


def test_a_missing_attribute_names_the_layer_and_the_nearest():
    model = nn.Sequential(Net(lambda net, x: net.liner(x), linear=linear()))
    with pytest.raises(AttributeError) as caught:
        model(GOOD)
    text = "Net has no attribute 'liner' (in Sequential.0 (Net))"
    assert str(caught.value) == text
    assert printed(caught.value) == f"AttributeError: {text}. Did you mean: 'linear'?"


class Own(Exception):
    def __str__(self):
        return "own words"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"), RuntimeError("mine", 2), KeyError("mine"), AttributeError("mine"),
        Own("x"), StopIteration("mine"), StopAsyncIteration("mine"), JitError("mine"),
        OSError(2, "mine"), AssertionError(), ValueError(3),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_of_the_user_stay(error):
    args, text = error.args, str(error)

    def call(net, x):
        raise error

    for raiser in (Net(call), with_hooks(nn.Sequential(Net(call)))):
        with pytest.raises(type(error)) as caught:
            raiser(GOOD)
        assert caught.value is error
        assert (error.args, str(error)) == (args, text)


@pytest.mark.parametrize(
    "error", [StopIteration("end"), StopAsyncIteration("end"), KeyError("key")]
)
def test_errors_that_are_signals_stay(error):
    """Also where lucid itself passes them on."""

    def call(net, x):
        return lucid.apply(fail, x)

    def fail(x):
        raise error

    with pytest.raises((type(error), RuntimeError)):
        Net(call)(GOOD)
    assert " (in " not in str(error)


def test_a_module_that_was_never_initialised_is_no_obstacle():
    class Forgetful(nn.Module):
        def __init__(self):
            self.note = 1

    net = Net(lambda net, x: net.second(x), first=Forgetful(), second=linear())
    with pytest.raises((TypeError, ValueError), match=r" \(in Net\.second \(Linear\)\)$"):
        net(BAD)


def test_a_call_is_one_frame():
    def call(net, x):
        above = sys._getframe(1)
        while above.f_code.co_name == "forward":
            above = above.f_back
        return above.f_code.co_name, above.f_back.f_code.co_name

    assert Net(call)(GOOD) == ("__call__", "test_a_call_is_one_frame")


# --- JAX's advice -----------------------------------------------------------------------------

FAILURES = {
    "operation": "lucid.matmul(x, x)",
    "layer": "nn.Linear(4, 2)(x)",
    "jit": "lucid.jit(lambda x: lucid.matmul(x, x))(x)",
    "jit of a layer": "lucid.jit(nn.Linear(4, 2))(x)",
    "jit of the user's error": "lucid.jit(lambda x: 1 / 0)(x)",
    "jit that needs a value": "lucid.jit(lambda x: 1 if x.sum() > 0 else 2)(x)",
    "jit of an array changed": "array = np.ones(3)\n"
    "lucid.jit(lambda x: (x + array, array.__setitem__(0, 2.0)))(x)",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", FAILURES.values(), ids=FAILURES)
def test_no_advice_of_jax_is_printed(code):
    root = Path(lucid.__file__).parent.parent
    start = "import lucid, numpy as np\nfrom lucid import nn\nx = lucid.zeros(2, 3)\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], cwd=root, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "JAX has removed" not in done.stderr
    assert "JAX_TRACEBACK_FILTERING" not in done.stderr


# --- Operands that are none -------------------------------------------------------------------


class Foreign:
    """Stands for a Tensor of PyTorch."""


Foreign.__module__, Foreign.__qualname__, Foreign.__name__ = "torch", "Tensor", "Tensor"

OPERANDS = {
    "list": ([1.0], "list", True),
    "None": (None, "None", False),
    "Module": (nn.ReLU(), "lucid.nn.activation.ReLU", False),
    "PyTorch": (Foreign(), "torch.Tensor", False),
    "str": ("text", "str", False),
}
FUNCTIONS = {
    "exp: a": lucid.exp,
    "matmul: a": lambda x: lucid.matmul(x, GOOD),
    "matmul: b": lambda x: lucid.matmul(GOOD, x),
    "power: b": lambda x: lucid.power(GOOD, x),
    "where: a": lambda x: lucid.where(GOOD > 0, x, GOOD),
    "sum: a": lambda x: lucid.sum(x, axis=0),
    "clip: a": lambda x: lucid.clip(x, 0, 1),
    "reshape: a": lambda x: lucid.reshape(x, (2,)),
    "gather: index": lambda x: lucid.gather(GOOD, 1, x),
    "concatenate: arr[1]": lambda x: lucid.concatenate([GOOD, x]),
    "einsum: operands[1]": lambda x: lucid.einsum("ij,kj->ik", GOOD, x),
    "softmax: input_": F.softmax,
    "relu: input_": F.relu,
    "linear: weight": lambda x: F.linear(GOOD, x),
    "mse_loss: target": lambda x: F.mse_loss(GOOD, x),
}


@pytest.mark.parametrize("operand", OPERANDS.values(), ids=OPERANDS)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "jit"])
def test_bad_operands_are_named(name, operand, traced):
    value, what, convertible = operand
    text = f"{name} must be a Tensor, a jax or NumPy array or a number, got {what}."
    if convertible:
        text += " Make a Tensor of it first: lucid.tensor(...)."
    call = FUNCTIONS[name]
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        lucid.jit(lambda: call(value))() if traced else call(value)


def test_arrays_of_other_libraries_can_be_converted():
    class Array:
        def __array__(self, dtype=None, copy=None):
            return np.ones(3)

    with pytest.raises(
        TypeError, match=r"Array\. Make a Tensor of it first: lucid\.tensor\(\.\.\.\)\.$"
    ):
        lucid.exp(Array())


def test_operands_of_ones_own_function():
    def scaled(x: jax.Array, by: jax.Array, shift: jax.Array | None = None):
        return x * by if shift is None else x * by + shift

    text = "scaled: by must be a Tensor, a jax or NumPy array or a number, got "
    with pytest.raises(TypeError, match=f"^{text}None\\.$"):
        lucid.apply(scaled, GOOD, None)
    with pytest.raises(TypeError, match=f"^{text}str\\.$"):
        lucid.apply(scaled, GOOD, "2")
    assert lucid.apply(scaled, GOOD, 2.0, None).shape == (2, 3)


def test_a_missing_optional_operand_is_not_blamed():
    with pytest.raises((TypeError, ValueError), match=r"^linear: (?!.* must be a Tensor)"):
        F.linear(GOOD, zeros(2, 4), None)


def test_none_for_what_is_required_is_blamed_before_the_shapes():
    with pytest.raises(TypeError, match=r"^linear: weight must be a Tensor"):
        F.linear(Tensor([1.0]), None, zeros(7))
