"""Small gradients that leave a compiled step in one array are gradients like any other."""

import copy
import pickle

import jax
import numpy as np
import pytest

import lucid
from lucid import nn, optim

RNG = np.random.default_rng(0)

DEPTH = 6  # 12 parameters of one dtype


def network():
    lucid.random.seed(0)
    return nn.Sequential(*(nn.Linear(3, 3) for _ in range(DEPTH)))


def steps(model, optimizer):
    """The usual spelling, eager and jitted: gradients are left where backward put them."""

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, lucid.jit(step)


@pytest.fixture
def trained():
    """A network after two compiled steps, and the gradients that eager steps leave."""
    x = lucid.tensor(RNG.standard_normal((4, 3)).astype("float32"))
    model, reference = network(), network()
    _, step = steps(model, optim.SGD(model.parameters(), lr=0.1))
    eager, _ = steps(reference, optim.SGD(reference.parameters(), lr=0.1))
    for _ in range(2):
        step(x), eager(x)
    return model, [p.grad.numpy() for p in reference.parameters()], step, x


def assert_grads(model, expected):
    found = [p.grad for p in model.parameters()]
    assert [type(grad) for grad in found] == [lucid.Tensor] * len(expected)
    for grad, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(grad.numpy(), value, rtol=1e-5, atol=1e-7)


def test_they_are_read_like_others(trained):
    model, expected, _, _ = trained
    assert_grads(model, expected)
    weight = model[0].weight
    assert weight.grad is weight.grad
    assert copy.deepcopy(weight).grad.numpy().tobytes() == weight.grad.numpy().tobytes()
    assert pickle.loads(pickle.dumps(weight)).shape == weight.shape


def test_the_program_returns_one_array_for_all_of_them(trained):
    model, _, step, x = trained
    results = jax.tree.leaves(step.lower(x).out_info)
    assert len(results) == 2 * DEPTH + 1 + 1  # parameters, all gradients, the loss
    assert sum(p.size for p in model.parameters()) in [r.size for r in results]


def test_a_change_in_place_stays(trained):
    model, expected, _, _ = trained
    grad = model[0].weight.grad
    grad *= 2
    np.testing.assert_allclose(model[0].weight.grad.numpy(), 2 * expected[0], rtol=1e-5)


def test_held_gradients_outlive_the_next_step(trained):
    model, expected, step, x = trained
    held = [p.grad for p in model.parameters()]
    step(x)
    for grad, value in zip(held, expected, strict=True):
        np.testing.assert_allclose(grad.numpy(), value, rtol=1e-5, atol=1e-7)
    assert model[0].weight.grad is not held[0]


@pytest.mark.parametrize("jitted", [False, True])
def test_an_optimizer_elsewhere_reads_them(trained, jitted):
    model, expected, _, _ = trained
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    (lucid.jit(optimizer.step) if jitted else optimizer.step)()
    for p, old, grad in zip(model.parameters(), before, expected, strict=True):
        np.testing.assert_allclose(p.numpy(), old - 0.5 * grad, rtol=1e-4, atol=1e-6)


def test_a_function_under_trace_reads_them(trained):
    model, expected, _, _ = trained
    norm = lucid.jit(lambda: sum((p.grad**2).sum() for p in model.parameters()))
    np.testing.assert_allclose(norm().item(), sum((g**2).sum() for g in expected), rtol=1e-5)
    assert_grads(model, expected)  # what was cut while tracing holds no traced values


def test_they_are_forgotten(trained):
    model, _, _, _ = trained
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [None] * 2 * DEPTH


def test_accumulated_gradients_stay_separate():
    model = network()
    x = lucid.tensor(RNG.standard_normal((4, 3)).astype("float32"))

    @lucid.jit
    def accumulate(x):
        (model(x) ** 2).mean().backward()

    accumulate(x)
    once = [p.grad.numpy().copy() for p in model.parameters()]
    accumulate(x)
    for p, grad in zip(model.parameters(), once, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), 2 * grad, rtol=1e-5, atol=1e-7)


def test_large_gradients_and_other_dtypes_stay_apart():
    small = [lucid.tensor(RNG.standard_normal(n).astype("float32")) for n in range(1, 10)]
    halves = [lucid.tensor(RNG.standard_normal(n)).astype("bfloat16") for n in range(1, 10)]
    large = [lucid.tensor(RNG.standard_normal((64, 64)).astype("float32"))]
    tensors = [t.detach().requires_grad_() for t in (*small, *halves, *large)]

    @lucid.jit
    def backward():
        for t in tensors:
            t.zero_grad()
        sum((t.astype("float32") ** 2).sum() for t in tensors).backward()

    backward()
    sizes = sorted(r.size for r in jax.tree.leaves(backward.lower().out_info))
    assert sizes == [45, 45, 64 * 64]
    for t in tensors:
        assert t.grad.dtype == t.dtype
        np.testing.assert_array_equal(t.grad.numpy(), 2 * t.numpy())
