"""Parameter groups, state, checkpoints and compilations, the same for all optimizers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles
from tests.optim.cases import OPTIMIZERS, parameters, set_grads, snapshot, snapshot_of_state, values

ROOT = Path(__file__).parents[2]


def make(name, params, options):
    return getattr(lucid.optim, name)(params, **options)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
class TestEvery:
    def test_state_is_allocated_at_once(self, name, options):
        params = parameters()
        optimizer = make(name, params, options)
        before = {
            (id(param), key): (value, value.shape, value.dtype)
            for param, state in optimizer.state.items()
            for key, value in state.items()
        }
        set_grads(params, 1)
        optimizer.step()
        after = {
            (id(param), key): (value, value.shape, value.dtype)
            for param, state in optimizer.state.items()
            for key, value in state.items()
        }
        assert before.keys() == after.keys()
        assert all(before[at][0] is after[at][0] for at in before)
        assert all(before[at][1:] == after[at][1:] for at in before)

    def test_compiles_once(self, name, options):
        params = parameters()
        optimizer = make(name, params, options)
        set_grads(params, 1)
        optimizer.step()
        set_grads(params, 2)
        with count_compiles(expect=0):
            optimizer.step()
            for key, value in optimizer.param_groups[0].items():
                if isinstance(value, float) and value:
                    optimizer.param_groups[0][key] = value / 2
            optimizer.param_groups[0]["lr"] = np.float64(0.25)
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 1
            optimizer.step()

    def test_resumes_bit_for_bit(self, name, options):
        params, others = parameters(), parameters()
        optimizer = make(name, params, options)
        for seed in range(3):
            set_grads(params, seed)
            optimizer.step()
        saved = optimizer.state_dict()
        again = make(name, others, {"lr": 7.0})
        for source, target in zip(params, others, strict=True):
            target.data = source.data
        kept = snapshot(optimizer)
        for seed in range(3, 6):
            set_grads(params, seed)
            optimizer.step()
        again.load_state_dict(saved)
        assert snapshot(again) == kept
        for seed in range(3, 6):
            set_grads(others, seed)
            again.step()
        assert snapshot(again) == snapshot(optimizer)
        for ours, theirs in zip(values(others), values(params), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_loading_compiles_nothing(self, name, options):
        params = parameters()
        optimizer = make(name, params, options)
        set_grads(params, 1)
        optimizer.step()
        saved = optimizer.state_dict()
        optimizer.load_state_dict(saved)
        with count_compiles(expect=0):
            optimizer.step()

    @pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
    def test_half_precision(self, name, options, dtype):
        """The rule computes and keeps its state in float32, so only the parameter is rounded."""
        half = parameters(dtype)
        full = [nn.Parameter(param.numpy().astype(np.float32)) for param in half]
        for params in (half, full):
            optimizer = make(name, params, options)
            set_grads(half, 1)
            for param, source in zip(params, half, strict=True):
                param.grad = source.grad.astype(param.dtype)
            optimizer.step()
            kept = [value for state in optimizer.state.values() for value in state.values()]
            assert {value.dtype for value in kept} <= {np.dtype("int32"), np.dtype("float32")}
        for a, b in zip(half, full, strict=True):
            assert a.dtype == dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy().astype(dtype))

    def test_x64_keeps_float32(self, name, options):
        params = parameters()
        optimizer = make(name, params, options)
        with jax.enable_x64(True):
            for seed in range(2):
                set_grads(params, seed)
                optimizer.step()
        assert {param.dtype for param in params} == {np.dtype("float32")}

    def test_inside_jax_jit(self, name, options):
        """A step and clipping read no value; the learning rate may be traced too."""
        params, others = parameters(), parameters()
        eager, traced = make(name, params, options), make(name, others, options)
        slots = [*others, *(value for state in traced.state.values() for value in state.values())]

        @jax.jit
        def step(arrays, grads, lr):
            kept = [slot.data for slot in slots]
            try:
                for slot, array in zip(slots, arrays, strict=True):
                    slot.data = array
                for param, grad in zip(others, grads, strict=True):
                    param.grad = Tensor(grad)
                traced.param_groups[0]["lr"] = lr
                norm = nn.utils.clip_grad_norm(others, 1.0)
                traced.step()
                return [slot.data for slot in slots], norm.data
            finally:
                for slot, array in zip(slots, kept, strict=True):
                    slot.data = array

        for seed, lr in enumerate((0.1, 0.02, 0.3)):
            set_grads(params, seed)
            eager.param_groups[0]["lr"] = lr
            grads = [param.grad.data for param in params]
            norm = nn.utils.clip_grad_norm(params, 1.0)
            eager.step()
            arrays, traced_norm = step([slot.data for slot in slots], grads, lr)
            for slot, array in zip(slots, arrays, strict=True):
                slot.data = array
            np.testing.assert_allclose(traced_norm, norm.numpy(), rtol=1e-6)
        for ours, theirs in zip(values(others), values(params), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)

    def test_parameters_without_gradient_rest(self, name, options):
        params = parameters()
        optimizer = make(name, params, options)
        before, state = values(params), snapshot(optimizer)
        optimizer.step()
        assert snapshot(optimizer) == state
        set_grads(params[:1], 1)
        optimizer.step()
        for old, new in zip(before[1:], values(params)[1:], strict=True):
            np.testing.assert_array_equal(old, new)
        assert (before[0] != values(params)[0]).all()


# --- Groups -----------------------------------------------------------------------------------


def test_groups_have_their_own_numbers():
    a, b, c = parameters()
    optimizer = lucid.optim.SGD([{"params": a}, {"params": [b], "lr": 0.5, "momentum": 0.9}], 0.1)
    optimizer.add_param_group({"params": (c,), "maximize": True})
    starts = values([a, b, c])
    for _ in range(2):
        for param in (a, b, c):
            param.grad = lucid.ones_like(param)
        optimizer.step()
    for param, start, moved in zip((a, b, c), starts, (-0.2, -0.5 * 2.9, 0.2), strict=True):
        np.testing.assert_allclose(param.numpy(), start + moved, rtol=1e-5)
    optimizer.zero_grad()
    assert a.grad is b.grad is c.grad is None


def test_closure_may_differentiate_under_no_grad():
    (w, *_) = parameters()
    optimizer = lucid.optim.SGD([w])

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with lucid.no_grad():
        first, second = optimizer.step(closure), optimizer.step(closure)
    assert second.item() < first.item()


def test_a_training_loop_compiles_nothing_after_its_first_step():
    w, b = nn.Parameter(np.ones((3, 2))), nn.Parameter(np.zeros(2))
    x = lucid.ones(4, 3)
    optimizer = lucid.optim.Adam([w, b])
    scheduler = lucid.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)

    def step():
        optimizer.zero_grad()
        ((x @ w + b) ** 2).sum().backward()
        nn.utils.clip_grad_norm([w, b], 1.0)
        optimizer.step()
        scheduler.step()

    step()
    with count_compiles(expect=0):
        step()
        step()


def test_state_stays_on_a_bound_device():
    w = nn.Parameter(np.ones(3), device="cpu")
    assert w.data.committed
    optimizer = lucid.optim.NAdam([w])
    assert all(value.data.committed for value in optimizer.state[w].values())
    set_grads([w], 0)
    w.grad = Tensor(w.grad.data, device="cpu")
    optimizer.step()
    with count_compiles(expect=0):
        optimizer.step()


def test_state_lies_where_its_parameter_lies():
    code = """
        import jax, numpy as np, lucid
        from lucid import Tensor, nn
        from tests.helpers import count_compiles

        mesh = jax.sharding.Mesh(jax.devices(), "x")
        split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        w = nn.Parameter(jax.device_put(np.ones(4, np.float32), split))
        optimizer = lucid.optim.Adam([w])

        def places():
            return {key: value.data.sharding for key, value in optimizer.state[w].items()}

        expected = {"step": everywhere, "exp_avg": split, "exp_avg_sq": split}
        assert len(jax.devices()) == 2
        assert places() == expected
        w.grad = Tensor(w.data)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        assert places() == expected
        with count_compiles(expect=0):
            optimizer.step()
    """
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | flags, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_param_groups_setup():
    a, b, _ = parameters()
    optimizer = lucid.optim.SGD([a])
    groups = optimizer.param_groups_setup([b], {"lr": 1.0})
    assert groups == [{"lr": 1.0, "params": [b]}]
    assert len(optimizer.param_groups) == 1


def test_repr():
    optimizer = lucid.optim.SGD(parameters(), lr=0.5)
    assert repr(optimizer) == (
        "SGD(\n  group 0: 3 parameters, lr=0.5, momentum=0.0, weight_decay=0.0, dampening=0.0, "
        "nesterov=False, maximize=False\n)"
    )


# --- Errors -----------------------------------------------------------------------------------

COMPUTED = Tensor([1.0], requires_grad=True) * 2
W = nn.Parameter([1.0])
ERRORS = {
    "none": ("SGD", [], {}, ValueError, "SGD: there are no parameters to optimise."),
    "one": ("SGD", W, {}, TypeError, "SGD: Parameters are needed in a list, got one Tensor."),
    "array": ("SGD", [np.ones(1)], {}, TypeError, "SGD: Parameters are needed, got ndarray."),
    "computed": ("SGD", [COMPUTED], {}, ValueError, "SGD: only leaves can be optimised"),
    "twice": ("SGD", [W, W], {}, ValueError, "SGD: a parameter is given twice."),
    "in two groups": (
        "Adam", [{"params": [W]}, {"params": [W]}], {}, ValueError, "a parameter is given twice.",
    ),
    "complex": ("SGD", [nn.Parameter([1j])], {}, TypeError, "SGD: a parameter is complex"),
    "no params": ("SGD", [{"lr": 1.0}], {}, ValueError, 'SGD: a parameter group needs "params"'),
    "unknown": (
        "SGD", [{"params": [W], "lrate": 1.0}], {}, ValueError,
        r"SGD: unknown hyperparameters \['lrate'\]; known are \['dampening', 'lr'",
    ),
    "group's number": (
        "SGD", [{"params": [W], "lr": -1.0}], {}, ValueError,
        "SGD: lr must be at least 0 and finite, got -1.0.",
    ),
    "nan": ("Adam", [W], {"lr": float("nan")}, ValueError, "Adam: lr must be at least 0"),
    "betas": (
        "Adam", [W], {"betas": (0.9, 1.0)}, ValueError,
        r"Adam: betas must be at least 0 and below 1, got \(0.9, 1.0\).",
    ),
    "one beta": ("Adam", [W], {"betas": 0.9}, TypeError, "Adam: betas must be 2 numbers, got 0.9"),
    "text": ("Adam", [W], {"lr": "1"}, TypeError, "Adam: lr must be a number, got '1'."),
    "flag": ("Adam", [W], {"amsgrad": 1}, TypeError, "Adam: amsgrad must be True or False, got 1."),
    "nesterov": (
        "SGD", [W], {"nesterov": True}, ValueError,
        "SGD: nesterov needs a momentum above 0 and a dampening of 0.",
    ),
    "etas": (
        "Rprop", [W], {"etas": (1.2, 0.5)}, ValueError,
        r"Rprop: etas must be 0 < a < 1 < b, got \(1.2, 0.5\).",
    ),
    "step_sizes": ("Rprop", [W], {"step_sizes": (2, 1)}, ValueError, "step_sizes must ascend"),
    "rho": ("Adadelta", [W], {"rho": 1.5}, ValueError, "Adadelta: rho must be at most 1, got 1.5."),
    "alpha": ("RMSprop", [W], {"alpha": 1.5}, ValueError, "RMSprop: alpha must be at most 1, got"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_refusal(case):
    name, params, options, error, text = ERRORS[case]
    with pytest.raises(error, match=text):
        make(name, params, options)


@pytest.mark.parametrize(
    "group",
    [{"params": [nn.Parameter([1.0]), W]}, {"params": [nn.Parameter([1.0])], "lr": -1.0}, {}],
)
def test_a_refused_group_leaves_the_optimizer_as_it_was(group):
    optimizer = lucid.optim.Adam([W])
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="Adam: "):
        optimizer.add_param_group(group)
    assert snapshot(optimizer) == before
    assert len(optimizer.state) == 1


@pytest.mark.parametrize(
    ("name", "change", "absent"),
    [
        ("SGD", {"momentum": 0.9}, "momentum_buffer"),
        ("RMSprop", {"centered": True}, "grad_avg"),
        ("Adam", {"amsgrad": True}, "max_exp_avg_sq"),
    ],
)
def test_state_is_never_allocated_by_a_step(name, change, absent):
    params = parameters()
    optimizer = make(name, params, {})
    optimizer.param_groups[0].update(change)
    set_grads(params, 0)
    before = values(params)
    with pytest.raises(RuntimeError, match=rf"{name}: the hyperparameters now need \['{absent}'\]"):
        optimizer.step()
    for old, new in zip(before, values(params), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_base_has_no_rule_of_its_own():
    class Fixed(lucid.optim.Optimizer):
        """A rule of one's own: a step of fixed length."""

        @staticmethod
        def rule(p, g, state, *, lr):
            return p - lr * jnp.sign(g), {}

    w = nn.Parameter([1.0, 2.0])
    optimizer = Fixed([w], {"lr": 0.5})
    w.grad = Tensor([3.0, -3.0])
    optimizer.step()
    np.testing.assert_array_equal(w.numpy(), [0.5, 2.5])


@pytest.mark.parametrize("jitted", [False, True])
def test_a_tensor_is_no_hyperparameter(jitted):
    a, b = nn.Parameter([1.0]), nn.Parameter([2.0])
    optimizer = lucid.optim.Adam([{"params": [a]}, {"params": [b]}])
    set_grads([a, b], 0)
    optimizer.param_groups[1]["lr"] = Tensor(0.5)
    before = snapshot_of_state(optimizer), values([a, b])
    step = lucid.jit(lambda: optimizer.step()) if jitted else optimizer.step
    place = r"^test_optimizer.py:\d+: `step = lucid.jit.*`: " if jitted else "^"
    text = (
        r'Adam: lr is a Tensor, and .* Set param_groups\[...\]\["lr"\] to float\(tensor\); another'
    )
    with pytest.raises(TypeError, match=place + text):
        step()
    assert before == (snapshot_of_state(optimizer), values([a, b]))
    optimizer.param_groups[1]["lr"] = float(optimizer.param_groups[1]["lr"])
    step()
    assert (values([b])[0] != before[1][1]).all()


def test_a_refusal_by_one_group_leaves_the_others_as_they_were():
    a, b = nn.Parameter([1.0]), nn.Parameter([2.0])
    optimizer = lucid.optim.SGD([{"params": [a]}, {"params": [b]}])
    set_grads([a, b], 0)
    optimizer.param_groups[1]["momentum"] = 0.9
    with pytest.raises(RuntimeError, match=r"SGD: the hyperparameters now need \['momentum_buffer"):
        optimizer.step()
    assert values([a, b]) == [1.0, 2.0]
