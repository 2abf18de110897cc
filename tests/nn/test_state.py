"""state_dict and load_state_dict: what they hold, and that loading is all or nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from lucid import Tensor, nn
from tests.helpers import spaced

ROOT = Path(__file__).parents[2]


def net():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    module.register_buffer("mean", np.zeros(2))
    module.register_buffer("steps", 0)
    module.register_buffer("hidden", np.zeros(2), persistent=False)
    return module


NAMES = ["mean", "steps", "0.weight", "0.bias", "2.weight", "2.bias"]


def values(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_names_order_and_values():
    module = net()
    state = module.state_dict()
    assert isinstance(state, OrderedDict)
    assert list(state) == NAMES
    assert state["0.weight"].data is module[0].weight.data
    assert type(state["0.weight"]) is Tensor
    assert not state["0.weight"].requires_grad


def test_prefix_destination_and_keep_vars():
    module = net()
    given = OrderedDict(first=1)
    state = module.state_dict(given, prefix="net.", keep_vars=True)
    assert state is given
    assert list(state) == ["first", *(f"net.{name}" for name in NAMES)]
    assert state["net.0.weight"] is module[0].weight


def test_a_state_is_a_snapshot():
    module = net()
    state = module.state_dict()
    before = state["0.weight"].numpy()
    module[0].weight.data = np.zeros((3, 2))
    np.testing.assert_array_equal(state["0.weight"].numpy(), before)


def test_tied_parameters_appear_under_each_name():
    module = nn.Module()
    module.a = nn.Parameter([1.0])
    module.b = module.a
    assert list(module.state_dict()) == ["a", "b"]
    module.load_state_dict({"a": [2.0], "b": [2.0]})
    assert module.a is module.b
    assert module.a.tolist() == [2.0]


@pytest.mark.parametrize("convert", [
    lambda t: t, lambda t: t.numpy(), lambda t: t.data, lambda t: t.tolist(),
], ids=["Tensor", "NumPy", "jax", "list"])  # fmt: skip
def test_loading(convert):
    source, target = net(), net()
    source.steps.data = 7
    weight = target[0].weight
    result = target.load_state_dict({k: convert(v) for k, v in source.state_dict().items()})
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert target[0].weight is weight
    assert weight.requires_grad
    for name, value in values(source).items():
        np.testing.assert_array_equal(values(target)[name], value)


def test_loading_keeps_dtypes():
    source, target = net(), net().to("bfloat16")
    target.load_state_dict(source.state_dict())
    assert target[0].weight.dtype == "bfloat16"
    np.testing.assert_allclose(
        target[0].weight.float().numpy(), source[0].weight.numpy(), rtol=0.01
    )
    assert target.steps.dtype == np.int32


def test_loaded_parameters_are_independent():
    source, target = net(), net()
    target.load_state_dict(source.state_dict())
    source[0].weight.data = np.zeros((3, 2))
    assert (target[0].weight != 0).all()


def test_loading_is_all_or_nothing_and_lists_all_problems():
    module = net()
    before = values(module)
    state = net().state_dict()
    state["0.weight"] = Tensor(spaced(2, 2))
    state["2.bias"] = Tensor(spaced(2))
    del state["0.bias"], state["steps"]
    state["extra"] = state["another"] = Tensor([1.0])
    text = (
        "load_state_dict: the state does not fit this Sequential, and nothing was changed.\n"
        "  missing: steps, 0.bias\n"
        "  unexpected: extra, another\n"
        "  0.weight: shape (2, 2) instead of (3, 2)\n"
        "  2.bias: shape (2,) instead of (1,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        module.load_state_dict(state)
    for name, value in values(module).items():
        np.testing.assert_array_equal(value, before[name])


def test_loading_values_of_another_kind_changes_nothing_and_lists_them_all():
    module = net()
    before = values(module)
    state = {
        **net().state_dict(),
        "steps": np.float32(2.5),
        "mean": np.ones(2, np.complex64),
        "0.bias": None,
        "2.weight": [[1.0, 2.0], [3.0]],
        "2.bias": "text",
        7: 1.0,
    }
    with pytest.raises(ValueError) as caught:
        module.load_state_dict(state)
    lines = str(caught.value).split("\n  ")
    assert lines[:4] == [
        "load_state_dict: the state does not fit this Sequential, and nothing was changed.",
        "unexpected: 7",
        "mean: dtype complex64 instead of float32",
        "steps: dtype float32 instead of int32",
    ]
    assert lines[4].startswith("0.bias: NoneType that gives no array (Tensor: data must be numb")
    assert lines[5].startswith("2.weight: list that gives no array (")
    assert lines[6].startswith("2.bias: str that gives no array (Tensor: data must be numbers")
    assert len(lines) == 7
    for name, value in values(module).items():
        np.testing.assert_array_equal(value, before[name])


def test_narrower_kinds_of_numbers_load():
    module = net()
    module.load_state_dict({**values(net()), "mean": np.array([3, -2]), "steps": np.True_})
    assert (module.mean.tolist(), module.mean.dtype) == ([3.0, -2.0], np.float32)
    assert (module.steps.item(), module.steps.dtype) == (1, np.int32)


def test_the_state_must_be_a_dictionary():
    with pytest.raises(TypeError, match=r"^load_state_dict: a dictionary .* is needed, got list"):
        net().load_state_dict([1.0])


@pytest.mark.slow
def test_loading_keeps_devices():
    code = """
import jax, numpy as np
from lucid import nn
first, second = jax.devices()
for device in (first, second):
    source, target = nn.Linear(2, 3).to(second), nn.Linear(2, 3).to(device)
    values = source.state_dict()
    target.load_state_dict({"weight": values["weight"], "bias": values["bias"].numpy()})
    for name, value in target.state_dict().items():
        assert value.data.devices() == {device}
        np.testing.assert_array_equal(value.numpy(), values[name].numpy())
free = nn.Linear(2, 3)
free.load_state_dict(nn.Linear(2, 3).state_dict())
assert not free.weight.data.committed
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **flags},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_not_strict():
    module = net()
    result = module.load_state_dict({"0.bias": spaced(3), "extra": [1.0]}, strict=False)
    assert result.missing_keys == ["mean", "steps", "0.weight", "2.weight", "2.bias"]
    assert result.unexpected_keys == ["extra"]
    np.testing.assert_allclose(module[0].bias.numpy(), spaced(3), rtol=1e-6)
    with pytest.raises(ValueError, match=r"0.bias: shape \(2,\) instead of \(3,\)"):
        module.load_state_dict({"0.bias": spaced(2)}, strict=False)


def test_loading_during_recorded_use():
    module = net()
    x = Tensor(spaced(4, 2))
    loss = module(x).sum()
    module.load_state_dict(net().state_dict())
    loss.backward()
    assert module[0].weight.grad is not None


def test_one_name_of_a_tied_tensor_is_enough():
    """So safetensors' save_model writes it."""

    def tied():
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    source, target = tied(), tied()
    state = source.state_dict()
    for kept in ("0.weight", "1.weight"):
        values = {n: v for n, v in state.items() if n == kept or not n.endswith("weight")}
        assert tuple(target.load_state_dict(values)) == ([], [])
        np.testing.assert_array_equal(target[1].weight.numpy(), source[0].weight.numpy())
    untied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"missing: 0\.weight$"):
        untied.load_state_dict(values)


def test_names_of_parametrizations_are_those_of_pytorch_too():
    source = nn.Sequential(
        nn.utils.spectral_norm(nn.Linear(3, 4)), nn.utils.weight_norm(nn.Linear(4, 2))
    )
    new_style = {
        "0.weight_orig": "0.parametrizations.weight.original",
        "0.weight_u": "0.parametrizations.weight.0._u",
        "0.weight_v": "0.parametrizations.weight.0._v",
        "1.weight_g": "1.parametrizations.weight.original0",
        "1.weight_v": "1.parametrizations.weight.original1",
    }
    state = {new_style.get(name, name): value for name, value in source.state_dict().items()}
    target = nn.Sequential(
        nn.utils.spectral_norm(nn.Linear(3, 4)), nn.utils.weight_norm(nn.Linear(4, 2))
    )
    target.load_state_dict(state)
    for name, value in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name].numpy(), value.numpy())
