"""GradScaler: its scales against the definition, steps that it leaves out, and compilations."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from tests.helpers import count_compiles

PATTERN = [1.0, 1.0, np.inf, 1.0, 1.0, 1.0, np.nan, np.inf, 1.0, 1.0, 1.0, 1.0, -np.inf, 1.0]
NUMBERS = {"init_scale": 64.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}


def scales(init_scale, growth_factor, backoff_factor, growth_interval):
    """The scale after each update, by Micikevicius et al., section 3.2."""
    scale, good, found = init_scale, 0, []
    for factor in PATTERN:
        if not np.isfinite(factor):
            scale, good = scale * backoff_factor, 0
        else:
            good += 1
            if good == growth_interval:
                scale, good = scale * growth_factor, 0
        found.append(scale)
    return found


OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    "Adam": lambda params: optim.Adam(params, lr=0.1, amsgrad=True),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.1),
}


def bits(optimizer):
    state = [value for state in optimizer.state.values() for value in state.values()]
    return [tensor.numpy().tobytes() for tensor in (*optimizer.state, *state)]


def parts(name):
    """Parameters of two dtypes and one without a gradient; their optimizer; and a loss."""
    weight, unused = nn.Parameter([1.0, -2.0, 3.0]), nn.Parameter([5.0])
    half = nn.Parameter(Tensor([0.5], dtype="bfloat16"))
    optimizer = OPTIMIZERS[name]([weight, unused, half])
    return optimizer, lambda factor: ((weight * weight).sum() + half.sum()) * factor


def clipped(optimizer):
    nn.utils.clip_grad_norm(optimizer.state, 1.0)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_scales_and_steps(name, jitted):
    optimizer, loss = parts(name)
    plain, plain_loss = parts(name)
    scaler = optim.GradScaler(**NUMBERS)

    def step(factor):
        optimizer.zero_grad()
        scaler.scale(loss(factor)).backward()
        scaler.unscale_(optimizer)
        clipped(optimizer)
        scaler.step(optimizer)
        scaler.update()

    run = lucid.jit(step) if jitted else step
    for factor, scale in zip(PATTERN, scales(**NUMBERS), strict=True):
        before = bits(optimizer)
        run(Tensor(factor))
        assert scaler.get_scale() == scale
        assert (bits(optimizer) == before) == (not np.isfinite(factor))
        if np.isfinite(factor):  # without a scaler, the steps on these losses alone
            plain.zero_grad()
            plain_loss(Tensor(factor)).backward()
            clipped(plain)
            plain.step()
    if jitted:
        assert run.cache_info().programs == 1
        with count_compiles(expect=0):
            run(Tensor(1.0))
    else:  # the scales are powers of 2, which change no digit
        assert bits(optimizer) == bits(plain)


def test_one_optimizer_of_two_overflows():
    first, second = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizers = [optim.SGD([first], lr=1.0), optim.SGD([second], lr=1.0)]
    scaler = optim.GradScaler(init_scale=4.0)
    scaler.scale((first * lucid.inf + second).sum()).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
    assert (first.item(), second.item(), scaler.get_scale()) == (1.0, 0.0, 2.0)


def test_unscaling_twice_is_unscaling_once_and_a_step_ends_it():
    weight = nn.Parameter([3.0])
    optimizer, scaler = optim.SGD([weight], lr=0.0), optim.GradScaler()
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale((weight * weight).sum()).backward()
        scaler.unscale_(optimizer)
        scaler.unscale_(optimizer)
        assert weight.grad.numpy() == [6.0]
        scaler.step(optimizer)
        assert weight.grad.numpy() == [6.0]


def test_an_overflow_that_clipping_hides_is_remembered():
    weight = nn.Parameter([1.0])
    optimizer, scaler = optim.SGD([weight], lr=1.0), optim.GradScaler()
    scaler.scale((weight * lucid.inf).sum()).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_value([weight], 1.0)
    scaler.step(optimizer)
    assert weight.grad.numpy() == weight.numpy() == [1.0]


def test_an_optimizer_of_optax_is_left_out_whole():
    optax = pytest.importorskip("optax")
    weight = nn.Parameter([1.0])
    optimizer, scaler = optim.Optax([weight], optax.adam(0.1)), optim.GradScaler()
    before = [tensor.numpy().tobytes() for tensor in optimizer.state_dict()["state"].values()]
    scaler.scale((weight * np.nan).sum()).backward()
    scaler.step(optimizer)
    after = [tensor.numpy().tobytes() for tensor in optimizer.state_dict()["state"].values()]
    assert after == before and weight.numpy() == [1.0]


def test_the_scale_stays_finite():
    scaler = optim.GradScaler(init_scale=2.0**127, growth_interval=1)
    scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_state_returns_from_a_file(tmp_path):
    one, other = optim.GradScaler(**NUMBERS), optim.GradScaler()
    one.update()
    one.update()
    path = lucid.save(one.state_dict(), tmp_path / "scaler.npz")
    other.load_state_dict(lucid.load(path))
    assert other.state_dict() == one.state_dict()
    other.update()  # the third of three
    assert other.get_scale() == 256.0


def test_loading_costs_no_compilation_and_changes_what_a_program_does():
    scaler = optim.GradScaler(growth_interval=1)
    update = lucid.jit(scaler.update)
    update()
    state = {**scaler.state_dict(), "scale": 3.0, "growth_factor": 5.0}
    scaler.load_state_dict(state)
    with count_compiles(expect=0):
        update()
    assert scaler.get_scale() == 15.0


WRONG = {
    "init_scale": ("scale must be a number above 0, finite", [0.0, np.inf, 1e39, 1e-50, "2"]),
    "growth_factor": ("growth_factor must be a number above 1, finite", [1.0, 1 + 1e-12]),
    "backoff_factor": ("backoff_factor must be a number above 0 and below 1", [1.0, 1 - 1e-12]),
    "growth_interval": (
        "growth_interval must be a whole number above 0 and below 2147483648", [0, 1.5, 2**40],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, values) in WRONG.items() for value in values]
)
def test_numbers_out_of_range(name, value):
    text = f"{re.escape(WRONG[name][0])}, got {re.escape(repr(value))}"
    argument = "init_" if name == "init_scale" else ""
    with pytest.raises(ValueError, match=rf"^GradScaler: {argument}{text}\.$"):
        optim.GradScaler(**{name: value})
    scaler = optim.GradScaler()
    before = scaler.state_dict()
    with pytest.raises(ValueError, match=rf"^load_state_dict: {text}\. This GradScaler"):
        scaler.load_state_dict({**before, name.removeprefix("init_"): value})
    assert scaler.state_dict() == before


def test_a_loaded_state_has_seen_no_overflow():
    weight = nn.Parameter([1.0])
    optimizer, scaler = optim.SGD([weight], lr=0.0), optim.GradScaler()
    scaler.scale((weight * np.nan).sum()).backward()
    scaler.unscale_(optimizer)
    scaler.load_state_dict(optim.GradScaler(init_scale=8.0).state_dict())
    optimizer.zero_grad()
    scaler.scale(weight.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert (weight.grad.item(), scaler.get_scale()) == (1.0, 8.0)


def test_gradients_in_float16_are_refused():
    weight = nn.Parameter(Tensor([1.0], dtype="float16"))
    optimizer, scaler = optim.SGD([weight], lr=1.0), optim.GradScaler(init_scale=4.0)
    scaler.scale(weight.sum()).backward()
    with pytest.raises(ValueError, match=r"a gradient in float16 vanishes again .*autocast"):
        scaler.step(optimizer)
    assert (weight.item(), weight.grad.item()) == (1.0, 4.0)


def test_other_mistakes():
    scaler = optim.GradScaler()
    with pytest.raises(ValueError, match=r'^load_state_dict: "scale" is missing; "growth_factor"'):
        scaler.load_state_dict({})
    with pytest.raises(
        TypeError, match=r"^load_state_dict: what state_dict returned is needed, got"
    ):
        scaler.load_state_dict(None)
    with pytest.raises(ValueError, match="scale must be a number above 0, finite, got array"):
        scaler.load_state_dict({**scaler.state_dict(), "scale": np.ones(3)})
    with pytest.raises(TypeError, match=r"^GradScaler\.scale: a Tensor is needed, got list\.$"):
        scaler.scale([lucid.ones(1)])
    for call in (scaler.step, scaler.unscale_):
        with pytest.raises(TypeError, match=r"^GradScaler: an Optimizer is needed, got Linear\.$"):
            call(nn.Linear(1, 1))
