"""Functions of 16-bit floats: each result, and each gradient, is rounded once."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor
from tests.helpers import spaced

WIDE, ROW, ONE = (6, 7, 40), (40,), (1,)
IDS = np.array([[0, 2, 2, 1], [2, 0, 2, 2]] * 20)
LABELS = np.arange(12) % 5
HEADS = (2, 4, 30, 5)
STEPS_OF = np.array([[1, 2, 2, 3], [4, 1, 4, 2]])
POSITIVE = {"low": 0.5, "high": 1.5}

# A function, the shapes of its operands, and the range that they are drawn from.
FUNCTIONS = {
    "add": (lucid.add, [WIDE, ROW], {}),
    "sub": (lucid.sub, [WIDE, (7, 1)], {}),
    "multiply": (lucid.multiply, [WIDE, ROW], {}),
    "div": (lucid.div, [WIDE, ROW], POSITIVE),
    "power": (lucid.power, [WIDE, ROW], POSITIVE),
    "maximum": (lucid.maximum, [WIDE, ROW], {}),
    "minimum": (lucid.minimum, [WIDE, ROW], {}),
    "where": (lambda a, b: lucid.where(a > 0, a, b), [WIDE, ROW], {}),
    "masked_fill": (lambda a, b: a.masked_fill(a > 0, b), [WIDE, ()], {}),
    "clip": (lambda a, b: lucid.clip(a, b, 1.0), [WIDE, ()], {}),
    "broadcast_to": (lambda a: lucid.broadcast_to(a, WIDE), [ROW], {}),
    "expand": (lambda a: a.expand(WIDE), [(1, 40)], {}),
    "repeat": (lambda a: lucid.repeat(a, 300), [ONE], {}),
    "tile": (lambda a: lucid.tile(a, (300,)), [ONE], {}),
    "full": (lambda a: lucid.full(WIDE, a, dtype=a.dtype), [()], {}),
    "sum": (lucid.sum, [WIDE], {}),
    "mean": (lambda a: lucid.mean(a, (0, 1)), [WIDE], {}),
    "var": (lucid.var, [WIDE], {}),
    "std": (lambda a: lucid.std(a, 1), [WIDE], {}),
    "norm": (lambda a: lucid.norm(a, axis=(0, 1)), [WIDE], {}),
    "logsumexp": (lambda a: lucid.logsumexp(a, 0), [WIDE], {}),
    "trace": (lucid.trace, [(7, 7)], {}),
    "inner": (lucid.inner, [(3, 60), (2, 60)], {}),
    "meshgrid": (lambda a, b: sum(lucid.meshgrid(a, b)), [(30,), (40,)], {}),
    "log1p": (lucid.log1p, [WIDE], POSITIVE),
    "rsqrt": (lucid.rsqrt, [WIDE], POSITIVE),
    "cummax": (lambda a: lucid.cummax(a, 0).values, [WIDE], {}),
    "cummin": (lambda a: lucid.cummin(a, 0).values, [WIDE], {}),
    "take_along_axis": (
        lambda a: lucid.take_along_axis(a, IDS.reshape(2, -1), 1), [(2, 3)], {}
    ),
    "prod": (lambda a: lucid.prod(a, 1), [WIDE], POSITIVE),
    "cumsum": (lambda a: lucid.cumsum(a, -1), [WIDE], {}),
    "cumprod": (lambda a: lucid.cumprod(a, -1), [(3, 8)], POSITIVE),
    "max": (lambda a: lucid.max(a, 0), [WIDE], {}),
    "sort": (lambda a: lucid.sort(a)[0], [WIDE], {}),
    "topk": (lambda a: lucid.topk(a, 3)[0], [WIDE], {}),
    "take": (lambda a: a[IDS], [(3, 5)], {}),
    "slice": (lambda a: a[:, 1:3], [WIDE], {}),
    "gather": (lambda a: lucid.gather(a, 1, IDS.reshape(2, -1)), [(2, 3)], {}),
    "embedding": (lambda a: F.embedding(Tensor(IDS), a), [(3, 5)], {}),
    "exp": (lucid.exp, [WIDE], {}),
    "log": (lucid.log, [WIDE], POSITIVE),
    "sqrt": (lucid.sqrt, [WIDE], POSITIVE),
    "reciprocal": (lucid.reciprocal, [WIDE], POSITIVE),
    "sin": (lucid.sin, [WIDE], {}),
    "tanh": (lucid.tanh, [WIDE], {}),
    "cube": (lucid.cube, [WIDE], {}),
    "prelu": (F.prelu, [WIDE, (7,)], {}),
    "elu": (F.elu, [WIDE], {}),
    "selu": (F.selu, [WIDE], {}),
    "gelu": (F.gelu, [WIDE], {}),
    "silu": (F.silu, [WIDE], {}),
    "mish": (F.mish, [WIDE], {}),
    "softplus": (F.softplus, [WIDE], {}),
    "softmax": (F.softmax, [WIDE], {}),
    "log_softmax": (F.log_softmax, [WIDE], {}),
    "attention": (F.scaled_dot_product_attention, [HEADS, HEADS, HEADS], {}),
    "attention, masked": (
        lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, mask, is_causal=True),
        [HEADS, HEADS, HEADS, (30, 30)], {},
    ),
    "attention, heads in groups": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        [HEADS, (2, 2, 30, 5), (2, 2, 30, 5)], {},
    ),
    "rotary_pos_embedding": (F.rotary_pos_embedding, [(3, 30, 6)], {}),
    "linear": (F.linear, [(4, 30, 5), (3, 5), (3,)], {}),
    "matmul": (lucid.matmul, [(20, 3, 4), (4, 2)], {}),
    "matmul over batches": (lucid.matmul, [(30, 3, 4), (1, 4, 2)], {}),
    "dot": (lucid.dot, [(300,), (300,)], {}),
    "outer": (lucid.outer, [(300,), (3,)], {}),
    "tensordot": (lambda a, b: lucid.tensordot(a, b, 2), [(3, 5, 60), (5, 60, 2)], {}),
    "einsum": (lambda a, b: lucid.einsum("bij,j->i", a, b), [(60, 3, 4), (4,)], {}),
    "einops.reduce": (lambda a: lucid.einops.reduce(a, "a b c -> c", "mean"), [WIDE], {}),
    "einops.repeat": (lambda a: lucid.einops.repeat(a, "n -> (300 n)"), [ROW], {}),
    "det": (lucid.linalg.det, [(4, 4)], {}),
    "inv": (lucid.linalg.inv, [(2, 2)], POSITIVE),
    "qr": (lambda a: lucid.linalg.qr(a)[1], [(4, 2)], {}),
    "solve": (lucid.linalg.solve, [(2, 2), (2, 30)], POSITIVE),
    "svd": (lambda a: lucid.linalg.svd(a)[1], [(4, 3)], {}),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 40, w, b), [WIDE, ROW, ROW], {}),
    "group_norm": (lambda x, w, b: F.group_norm(x, 1, w, b), [WIDE, (7,), (7,)], {}),
    "pad, constant": (lambda x, v: F.pad(x, (1, 9, 3, -2), "constant", v), [WIDE, ()], {}),
    "pad, replicate": (lambda x: F.pad(x, (1, 90, 3, -2), "replicate"), [WIDE], {}),
    "pad, reflect": (lambda x: F.pad(x, (1, 9), "reflect"), [WIDE], {}),
    "pad, circular": (lambda x: F.pad(x, (40, 40), "circular"), [WIDE], {}),
    "cosine_similarity": (lambda x, y: F.cosine_similarity(x, y, -1), [WIDE, ROW], {}),
    "normalize": (F.normalize, [WIDE], {}),
    "conv2d": (F.conv2d, [(4, 2, 9, 9), (3, 2, 3, 3), (3,)], {}),
    "conv_transpose2d": (F.conv_transpose2d, [(4, 2, 9, 9), (2, 3, 3, 3), (3,)], {}),
    "relu": (F.relu, [WIDE], {}),
    "relu6": (F.relu6, [WIDE], {}),
    "leaky_relu": (F.leaky_relu, [WIDE], {}),
    "hardtanh": (F.hardtanh, [WIDE], {}),
    "sigmoid": (F.sigmoid, [WIDE], {}),
    "hard_sigmoid": (F.hard_sigmoid, [WIDE], {}),
    "hard_swish": (F.hard_swish, [WIDE], {}),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [WIDE, (7,), (7,)], {}
    ),
    "instance_norm": (lambda x: F.instance_norm(x), [WIDE], {}),
    "global_response_norm": (F.global_response_norm, [WIDE, (7,), (7,)], {}),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3), [(2, 2, 9, 9)], {}),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), [(2, 2, 9, 9)], {}),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), [(1, 8, 3, 3)], {}),
    "unfold": (lambda x: F.unfold(x, 3), [(1, 2, 9, 9)], {}),
    "fold": (lambda x: F.fold(x, 9, 3), [(1, 18, 49)], {}),
    "conv1d": (F.conv1d, [(4, 2, 30), (3, 2, 3), (3,)], {}),
    "conv3d": (F.conv3d, [(2, 2, 5, 5, 5), (3, 2, 2, 2, 2), (3,)], {}),
    "conv_transpose1d": (F.conv_transpose1d, [(4, 2, 30), (2, 3, 3), (3,)], {}),
    "conv_transpose3d": (F.conv_transpose3d, [(2, 2, 5, 5, 5), (2, 3, 2, 2, 2), (3,)], {}),
    "bilinear": (F.bilinear, [(40, 4), (40, 3), (2, 4, 3), (2,)], {}),
    "smooth_l1_loss": (F.smooth_l1_loss, [WIDE, WIDE], {}),
    "huber_loss": (F.huber_loss, [WIDE, WIDE], {}),
    "hinge_loss": (F.hinge_loss, [WIDE, WIDE], {}),
    "kl_div": (F.kl_div, [WIDE, WIDE], POSITIVE),
    "binary_cross_entropy": (
        F.binary_cross_entropy, [WIDE, WIDE], {"low": 0.1, "high": 0.9}
    ),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits, [WIDE, WIDE], {"low": 0.1, "high": 0.9}
    ),
    "cross_entropy": (lambda x, w: F.cross_entropy(x, LABELS, w), [(12, 5), (5,)], POSITIVE),
    "nll_loss": (lambda x: F.nll_loss(x, LABELS), [(12, 5)], {}),
    "ctc_loss": (lambda x: F.ctc_loss(x, STEPS_OF, 30, 4), [(30, 2, 5)], {"low": -3, "high": -1}),
    "mse_loss": (F.mse_loss, [WIDE, WIDE], {}),
    "l1_loss": (F.l1_loss, [WIDE, WIDE], {}),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3), [(2, 2, 9, 9)], {}),
    "interpolate": (
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), [(2, 2, 9, 9)], {}
    ),
}  # fmt: skip

# Two roundings: of the products, and after the bias; of `linear` on GPU and TPU.
CONVOLUTIONS = {f"conv{kind}{rank}d" for kind in ("", "_transpose") for rank in (1, 2, 3)}
ROUNDED_TWICE = {"linear", *CONVOLUTIONS}


def results(fn, operands, weights, dtype, jitted=False):
    """The result and all gradients, for cotangents that are not of one size."""
    tensors = [Tensor(x, dtype=dtype, requires_grad=True) for x in operands]

    def run(*inputs):
        y = fn(*inputs)
        return y, lucid.autograd.grad((y,), inputs, (Tensor(weights(y.shape), dtype=dtype),))

    y, gradients = (lucid.jit(run) if jitted else run)(*tensors)
    assert all(t.dtype == dtype for t in (y, *gradients))
    return [t.detach().astype(float).numpy() for t in (y, *gradients)]


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jitted"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_and_gradients_are_rounded_once(name, dtype, jitted):
    fn, shapes, limits = FUNCTIONS[name]
    half = jax.numpy.dtype(dtype)

    def rounded(x):
        return np.asarray(x).astype(half).astype(np.float64)

    def weights(shape):
        # The same values in both precisions, of both signs and far from cancelling out.
        rng = np.random.default_rng(len(shape))
        return rounded(rng.uniform(0.2, 1.0, shape) * rng.choice([1, 1, 1, -1], shape))

    operands = [rounded(spaced(*shape, seed=i, **limits)) for i, shape in enumerate(shapes)]
    with jax.enable_x64(True):
        exact = results(fn, operands, weights, np.dtype("float64"))
    found = results(fn, operands, weights, half, jitted)
    unit = float(jax.numpy.finfo(half).eps)
    tiny = float(jax.numpy.finfo(half).smallest_subnormal)
    for i, (a, b) in enumerate(zip(found, exact, strict=True)):
        # What float32 loses: its unit for each of the terms, which are below 4.
        terms = 4 * max(x.size for x in exact) * np.finfo(np.float32).eps
        bound = 2 * unit * np.abs(b) + terms + tiny
        if i == 0 and name in ROUNDED_TWICE:
            bound = bound + unit * np.abs(b).max()
        assert (np.abs(a - b) <= bound).all(), (i, np.max(np.abs(a - b) / bound))


def test_a_gradient_of_many_equal_terms_does_not_stop_growing():
    """In bfloat16 a sum of ones ends at 256."""
    b = Tensor(np.zeros((1, 1)), dtype="bfloat16", requires_grad=True)
    (lucid.ones(64, 64, dtype="bfloat16") + b).sum().backward()
    assert b.grad.item() == 4096.0
