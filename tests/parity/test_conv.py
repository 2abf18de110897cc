"""Convolutions against PyTorch: values, gradients and second derivatives, in float64."""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid.ops.conv import conv, conv_transpose, fold, unfold

torch = pytest.importorskip("torch")
F = torch.nn.functional

FAST_COMPILE = {"xla_backend_optimization_level": 0}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def draw_case(seed: int, transposed: bool):
    """Shapes of x, w and b, and the arguments that both libraries take."""
    draw = random.Random(seed)
    while True:
        rank = draw.choice((1, 2, 2, 3))
        longest = 7 if rank < 3 else 4
        axes = range(rank)
        groups = draw.choice((1, 1, 2, 3))
        inside, outside = draw.choice(((1, 1), (1, 2), (2, 1), (2, 3)))
        kernel = [draw.choice((1, 2, 3, 3, 4 if rank < 3 else 2)) for _ in axes]
        stride = [draw.randint(1, 3) for _ in axes]
        dilation = [draw.choice((1, 1, 2)) for _ in axes]
        padding = [draw.randint(0, d * (k - 1) + 1) for d, k in zip(dilation, kernel, strict=True)]
        length = [draw.randint(1, longest) for _ in axes]
        batch = draw.choice(((), (1,), (2,)))
        arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        sizes = list(zip(length, stride, padding, spans, strict=True))
        if transposed:
            extra = [draw.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True)]
            arguments["output_padding"] = extra
            out = [(n - 1) * s - 2 * p + k for n, s, p, k in sizes]
        else:
            out = [(n + 2 * p - k) // s + 1 for n, s, p, k in sizes]
        if min(out) < 1:
            continue
        i, o = groups * inside, groups * outside
        w = (i, outside, *kernel) if transposed else (o, inside, *kernel)
        return rank, ((*batch, i, *length), w, (o,)), arguments


def hashable(arguments):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def close(found, expected, note):
    for a, b in zip(found, expected, strict=True):
        b = np.asarray(b.detach())
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * scale, err_msg=str(note))


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("block", range(3))
def test_values_and_gradients(block, transposed):
    rng = np.random.default_rng(block)
    cases = [draw_case(100 * block + i, transposed) for i in range(16)]
    values = [[rng.standard_normal(shape) for shape in shapes] for _, shapes, _ in cases]
    expected, cotangents = [], []
    for (rank, _, arguments), arrays in zip(cases, values, strict=True):
        name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
        operands = [torch.tensor(array, requires_grad=True) for array in arrays]
        y = getattr(F, name)(*operands, **arguments)
        ct = rng.standard_normal(y.shape)
        cotangents.append(ct)
        expected.append([y, *torch.autograd.grad(y, operands, torch.tensor(ct))])

    def run(values, cotangents):
        results = []
        for (rank, _, arguments), arrays, ct in zip(cases, values, cotangents, strict=True):
            function = conv_transpose if transposed else conv
            y, vjp = jax.vjp(lambda *a: function(*a, rank=rank, **hashable(arguments)), *arrays)  # noqa: B023
            results.append([y, *vjp(ct)])
        return results

    results = jax.jit(run, compiler_options=FAST_COMPILE)(values, cotangents)
    for case, found, wanted in zip(cases, results, expected, strict=True):
        close(found, wanted, case)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("seed", range(5))
def test_second_derivatives(seed, transposed):
    rank, shapes, arguments = draw_case(5000 + seed, transposed)
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    function = conv_transpose if transposed else conv
    name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"

    def loss(*arrays):
        return jnp.sum(jnp.sin(function(*arrays, rank=rank, **hashable(arguments))))

    def penalty(*arrays):
        return sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1, 2))(*arrays))

    operands = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = torch.sin(getattr(F, name)(*operands, **arguments)).sum()
    grads = torch.autograd.grad(y, operands, create_graph=True)
    expected = torch.autograd.grad(sum((g**2).sum() for g in grads), operands)
    close(jax.jit(jax.grad(penalty, (0, 1, 2)))(*arrays), expected, arguments)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (4, 1), (2, 3)])
def test_padding_words(padding, kernel, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 9)), rng.standard_normal((4, 3, kernel))
    expected = F.conv1d(torch.tensor(x), torch.tensor(w), padding=padding, dilation=dilation)
    found = conv(jnp.asarray(x), jnp.asarray(w), rank=1, padding=padding, dilation=dilation)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_mode(mode):
    layer = torch.nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode, dtype=torch.float64)
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64)
    w, b = (jnp.asarray(p.detach().numpy()) for p in (layer.weight, layer.bias))
    found = conv(jnp.asarray(x.numpy()), w, b, rank=2, padding=(1, 2), padding_mode=mode)
    close([found], [layer(x)], mode)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 2},
        {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)},
        {"kernel_size": (3, 2), "dilation": (1, 2), "stride": 2, "padding": 2},
        {"kernel_size": (2, 3), "stride": (2, 3)},
    ],
    ids=str,
)
@pytest.mark.parametrize("lead", [(2,), ()])
def test_unfold_and_fold(arguments, lead):
    x = np.random.default_rng(0).standard_normal((*lead, 3, 6, 7))
    columns = F.unfold(torch.tensor(x), **arguments)
    close([unfold(jnp.asarray(x), **arguments)], [columns], arguments)
    expected = F.fold(columns, (6, 7), **arguments)
    found = fold(jnp.asarray(columns.numpy()), output_size=(6, 7), **arguments)
    close([found], [expected], arguments)
