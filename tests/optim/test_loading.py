"""Optimizers take over a state, or list all that does not fit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.optim.cases import parameters, set_grads, snapshot


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_loading_widens_state_of_half_precision(dtype):
    (w, *_) = parameters(dtype)
    optimizer = lucid.optim.Adam([w])
    set_grads([w], 0)
    optimizer.step()
    saved = optimizer.state_dict()
    means = saved["state"][0]["exp_avg"].numpy().astype(dtype)
    saved["state"][0]["exp_avg"] = Tensor(means)
    optimizer.load_state_dict(saved)
    loaded = optimizer.state[w]["exp_avg"].numpy()
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, means.astype(np.float32))


def test_loading_keeps_dtype_and_takes_flags():
    with jax.enable_x64(True):
        wide = [nn.Parameter(param.numpy().astype(np.float64)) for param in parameters()]
        optimizer = lucid.optim.Adam(wide, 0.5, amsgrad=True)
        set_grads(wide, 0)
        optimizer.step()
        saved = optimizer.state_dict()
    params = parameters()
    again = lucid.optim.Adam(params)
    again.load_state_dict(saved)
    assert again.param_groups[0]["amsgrad"]
    assert again.param_groups[0]["lr"] == 0.5
    assert {key: value.dtype for key, value in again.state[params[0]].items()} == {
        "step": np.int32,
        "exp_avg": np.float32,
        "exp_avg_sq": np.float32,
        "max_exp_avg_sq": np.float32,
    }
    set_grads(params, 0)
    again.step()
    again.load_state_dict(lucid.optim.Adam(parameters()).state_dict())
    assert "max_exp_avg_sq" not in again.state[params[0]]


def test_state_of_a_parameter_that_no_step_changed_begins_anew():
    params = parameters()
    saved = lucid.optim.Adam(params).state_dict()
    set_grads(params, 0)
    optimizer = lucid.optim.Adam(params)
    optimizer.step()
    del saved["state"][0]  # as PyTorch saves it
    optimizer.load_state_dict(saved)
    for state in optimizer.state.values():
        assert state["step"].item() == 0 and not state["exp_avg"].numpy().any()


def test_loading_lists_all_that_does_not_fit():
    params = parameters()
    optimizer = lucid.optim.Adam([{"params": params[:2]}, {"params": params[2:]}])
    saved = optimizer.state_dict()
    before = snapshot(optimizer)
    state = {number: dict(slots) for number, slots in saved["state"].items()}
    del state[0]["exp_avg"]
    state[1]["exp_avg"] = Tensor([1.0])
    state[1]["exp_avg_sq"] = np.ones(4, np.complex64)
    state[1]["other"] = Tensor(1.0)
    groups = [dict(group) for group in saved["param_groups"]]
    groups[1]["lrate"] = groups[1].pop("lr")
    with pytest.raises(ValueError, match="nothing was changed") as error:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    assert str(error.value).split("\n  ") == [
        "load_state_dict: the state does not fit this Adam, and nothing was changed.",
        "state 0: missing: exp_avg",
        "state 1: unexpected: other",
        "state 1: exp_avg: shape (1,) instead of (4,)",
        "state 1: exp_avg_sq: dtype complex64 instead of float32",
        "group 1: missing: lr",
        "group 1: unexpected: lrate",
    ]
    assert snapshot(optimizer) == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: {}, '"state" is missing\n  "param_groups" is missing'),
        (lambda s: {**s, "param_groups": []}, "0 groups instead of 1"),
        (
            lambda s: {**s, "param_groups": [{**s["param_groups"][0], "params": [0]}]},
            "group 0: 1 parameters instead of 3",
        ),
        (
            lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": -1.0}]},
            "group 0: SGD: lr must be at least 0",
        ),
    ],
)
def test_loading_refuses(change, text):
    optimizer = lucid.optim.SGD(parameters(), momentum=0.9)
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match=text):
        optimizer.load_state_dict(change(optimizer.state_dict()))
    assert snapshot(optimizer) == before
