"""Initial values: fan rules, bounds and distributions, and what layers start from."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

N = 200  # a weight of N x N values is drawn for each distribution


@pytest.fixture(autouse=True)
def seed():
    lucid.random.seed(3)


def uniform_like(values, bound):
    """Whether values look drawn from U(-bound, bound): 5 standard errors, and the ends reached."""
    n = values.size
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > bound * (1 - 20 / n)
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs((values**2).mean() / (bound**2 / 3) - 1) < 5 * math.sqrt(0.8 / n)


def normal_like(values, mean, std):
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(2 * n)
    assert abs(np.mean(np.abs(values - mean) < std) - 0.6827) < 5 * 0.47 / math.sqrt(n)


def filled(fill, *args, shape=(N, N), **kwargs):
    w = lucid.empty(shape)
    assert fill(w, *args, **kwargs) is None
    return w.numpy().astype(np.float64)


def test_plain_distributions():
    uniform_like(filled(nn.init.uniform, 1.0, 2.0) - 1.5, 0.5)
    normal_like(filled(nn.init.normal, 3.0, 0.5), 3.0, 0.5)
    normal_like(filled(nn.init.normal), 0.0, 1.0)
    np.testing.assert_array_equal(filled(nn.init.constant, 2.5, shape=(2,)), [2.5, 2.5])
    np.testing.assert_array_equal(filled(nn.init.zeros, shape=(2,)), [0, 0])
    np.testing.assert_array_equal(filled(nn.init.ones, shape=(2,)), [1, 1])


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((8, 4), (4, 8)),  # Linear(4, 8)
        ((8, 4, 3), (12, 24)),
        ((8, 4, 3, 5), (60, 120)),  # Conv2d(4 * groups, 8)
        ((4, 8, 2, 3, 5), (240, 120)),  # ConvTranspose3d(4, 8 * groups)
    ],
)  # fmt: skip
def test_fans(shape, fans):
    assert nn.init.fans(lucid.empty(shape)) == fans


@pytest.mark.parametrize("shape", [(), (3,)])
def test_fans_need_two_axes(shape):
    text = f"init: a weight with at least two axes is needed, got {shape}."
    for fill in (nn.init.xavier_uniform, nn.init.kaiming_normal, nn.init.fans):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            fill(lucid.empty(shape))


SHAPE, IN, OUT = (60, 40, 5, 3), 600, 900


def test_xavier():
    bound = 1.5 * math.sqrt(6 / (IN + OUT))
    uniform_like(filled(nn.init.xavier_uniform, 1.5, shape=SHAPE), bound)
    normal_like(filled(nn.init.xavier_normal, gain=1.5, shape=SHAPE), 0, bound / math.sqrt(3))


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", IN), ("fan_out", OUT)])
@pytest.mark.parametrize("a", [0.0, 0.2, math.sqrt(5)])
def test_kaiming(mode, fan, a):
    std = math.sqrt(2 / ((1 + a * a) * fan))
    uniform_like(filled(nn.init.kaiming_uniform, mode, a, shape=SHAPE), math.sqrt(3) * std)
    normal_like(filled(nn.init.kaiming_normal, mode=mode, a=a, shape=SHAPE), 0, std)


def test_kaiming_refuses_another_mode():
    w = lucid.ones(2, 2)
    with pytest.raises(
        ValueError, match=r"^init: mode must be 'fan_in' or 'fan_out', got 'fan'\.$"
    ):
        nn.init.kaiming_uniform(w, mode="fan")
    assert w.tolist() == [[1, 1], [1, 1]]


def test_a_parameter_stays_itself():
    w = nn.Parameter(np.zeros((2, 2)), dtype="bfloat16")
    nn.init.normal(w)
    assert (w.requires_grad, w.is_leaf, str(w.dtype)) == (True, True, "bfloat16")
    assert (w != 0).any()
    x = Tensor([[1.0, 2.0]], dtype="bfloat16")
    (x @ w).backward()
    assert w.grad is not None


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("depthwise", [False, True])
def test_bilinear_is_linear_interpolation(rank, stride, depthwise):
    kernel, channels = 2 * stride - stride % 2, 3
    layer = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[rank - 1](
        channels, channels, kernel, stride, stride // 2, bias=False,
        groups=channels if depthwise else 1,
    )  # fmt: skip
    nn.init.bilinear(layer.weight)
    x = lucid.randn(2, channels, *range(4, 4 + rank))
    mode = ("linear", "bilinear", "trilinear")[rank - 1]
    expected = nn.functional.interpolate(x, scale_factor=stride, mode=mode)
    assert layer(x).shape == expected.shape
    inside = (..., *(slice(stride, -stride),) * rank)
    np.testing.assert_allclose(layer(x).numpy()[inside], expected.numpy()[inside], atol=1e-5)


def test_bilinear_of_the_paper():
    # upsample_filt of the authors: factor 2 for k3 and k4.
    np.testing.assert_array_equal(filled(nn.init.bilinear, shape=(1, 1, 3))[0, 0], [0.5, 1, 0.5])
    two = filled(nn.init.bilinear, shape=(2, 2, 4, 3))
    np.testing.assert_allclose(two[1, 1], np.outer([0.25, 0.75, 0.75, 0.25], [0.5, 1, 0.5]))
    assert not two[0, 1].any() and not two[1, 0].any()


@pytest.mark.parametrize("shape", [(3, 3), (4, 2, 3, 3)])
def test_bilinear_refuses(shape):
    text = (
        "init.bilinear: a weight (channels, channels, *k) or (channels, 1, *k) is needed, "
        f"got {shape}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        nn.init.bilinear(lucid.empty(shape))


@pytest.mark.parametrize("r", [2, 3])
def test_icnr_enlarges_like_nearest(r):
    conv = nn.Conv2d(3, 2 * r * r, 3, padding=1, bias=False)
    nn.init.icnr(conv.weight, nn.init.kaiming_normal, r)
    assert conv.weight.requires_grad and conv.weight.is_leaf
    x = lucid.randn(2, 3, 4, 5)
    y = nn.Sequential(conv, nn.PixelShuffle(r))(x)
    small = nn.Conv2d(3, 2, 3, padding=1, bias=False)
    small.weight.data = conv.weight.data[:: r * r]
    expected = nn.functional.interpolate(small(x), scale_factor=r, mode="nearest")
    np.testing.assert_allclose(y.numpy(), expected.numpy(), atol=1e-5)


def test_icnr_draws_with_the_fans_of_the_kernels():
    values = filled(nn.init.icnr, nn.init.kaiming_uniform, 2, shape=(400, 30, 3, 3))
    uniform_like(values[::4], math.sqrt(6 / 270))


@pytest.mark.parametrize(("shape", "r"), [((6, 1, 3, 3), 2), ((), 2), ((4, 1), 0)])
def test_icnr_refuses(shape, r):
    text = (
        "init.icnr: the first axis of the weight must be divisible by upscale_factor ** 2 = "
        f"{r * r}, got {shape}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        nn.init.icnr(lucid.empty(shape), nn.init.zeros, r)


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (1.0, 0.5, 0.6, 3.0)])
def test_trunc_normal(mean, std, a, b):
    values = filled(nn.init.trunc_normal, mean, std, a, b)
    assert a <= values.min() and values.max() <= b
    below = np.vectorize(lambda x: (1 + math.erf((x - mean) / (std * math.sqrt(2)))) / 2)
    for x in np.linspace(a, b, 12)[1:-1]:
        share = (below(x) - below(a)) / (below(b) - below(a))
        assert abs((values < x).mean() - share) < 5 * math.sqrt(share * (1 - share) / values.size)


def test_trunc_normal_refuses_what_is_never_drawn():
    w = lucid.ones(2)
    for a, b in ((10.0, 11.0), (1.0, -1.0)):
        text = (
            "init.trunc_normal: of a normal distribution of mean 0.0 and std 1.0 there is next to "
            f"nothing between a={a} and b={b}."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            nn.init.trunc_normal(w, a=a, b=b)
    assert w.tolist() == [1, 1]


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (4, 2, 3), (8, 2, 2, 1)])
def test_orthogonal(shape):
    w = filled(nn.init.orthogonal, 1.5, shape=shape).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 2.25 * np.eye(len(product)), atol=1e-5)


def test_a_weight_without_elements_stays_one():
    for fill in (nn.init.orthogonal, nn.init.eye, nn.init.trunc_normal):
        assert filled(fill, shape=(0, 3)).shape == (0, 3)


def test_orthogonal_matrices_are_drawn_uniformly():
    """Of a rotation by a uniform angle, each element has mean 0 and variance 1 / 2."""
    elements = np.array([filled(nn.init.orthogonal, shape=(2, 2)).ravel() for _ in range(400)])
    assert np.abs(elements.mean(0)).max() < 5 * math.sqrt(0.5 / 400)
    assert np.abs((elements**2).mean(0) - 0.5).max() < 5 * math.sqrt(0.125 / 400)


def test_orthogonal_in_half_precision_and_under_jit():
    w = nn.Parameter(np.zeros((4, 4)), dtype="bfloat16")
    nn.init.orthogonal(w)
    assert w.dtype == "bfloat16" and w.is_leaf
    np.testing.assert_allclose((w.T @ w).astype(float).numpy(), np.eye(4), atol=0.02)
    layer = nn.Linear(3, 3)
    lucid.jit(lambda: nn.init.orthogonal(layer.weight))()
    w = layer.weight.numpy()
    np.testing.assert_allclose(w @ w.T, np.eye(3), atol=1e-5)


def test_sparse():
    values = filled(nn.init.sparse, 0.25, std=0.5)
    np.testing.assert_array_equal((values == 0).sum(0), math.ceil(0.25 * N))
    normal_like(values[values != 0], 0, 0.5)
    rows = (values == 0).mean(1)
    assert 0 < rows.std() < 5 * math.sqrt(0.25 * 0.75 / N)


def test_eye_and_dirac():
    np.testing.assert_array_equal(filled(nn.init.eye, shape=(2, 3)), np.eye(2, 3))
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False)
    nn.init.dirac(conv.weight, groups=2)
    x = lucid.randn(2, 4, 5, 4)
    y = conv(x).numpy()
    for group in range(2):
        kept = y[:, 3 * group : 3 * group + 2]
        np.testing.assert_allclose(kept, x.numpy()[:, 2 * group : 2 * group + 2], atol=1e-6)
        assert not y[:, 3 * group + 2].any()


WRONG_AXES = [
    (nn.init.eye, (2, 2, 2), "init.eye: a weight of 2 axes is needed, got (2, 2, 2)."),
    (
        lambda w: nn.init.sparse(w, 0.5), (2,),
        "init.sparse: a weight of 2 axes is needed, got (2,).",
    ),
    (nn.init.dirac, (2, 2), "init.dirac: a weight of 3 or 4 or 5 axes is needed, got (2, 2)."),
    (
        lambda w: nn.init.dirac(w, 3), (4, 2, 1),
        "init.dirac: groups=3 must divide the first axis of the weight, 4.",
    ),
    (
        nn.init.orthogonal, (2,),
        "init: a weight with at least two axes is needed, got (2,).",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fill", "shape", "text"), WRONG_AXES)
def test_wrong_axes(fill, shape, text):
    w = lucid.ones(shape)
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        fill(w)
    assert bool((w == 1).all())


def test_gains():
    gain = nn.init.calculate_gain
    assert gain("linear") == gain("sigmoid") == gain("conv2d") == gain("conv_transpose3d") == 1
    assert gain("relu") == math.sqrt(2) and gain("tanh") == 5 / 3 and gain("selu") == 0.75
    assert gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    with pytest.raises(ValueError, match=r"^init\.calculate_gain: .*, selu, .*; got 'gelu'\.$"):
        gain("gelu")


LAYERS = {
    "Linear": (lambda: nn.Linear(64, 100), 64),
    "Conv1d": (lambda: nn.Conv1d(16, 60, 5), 80),
    "Conv2d": (lambda: nn.Conv2d(16, 60, (3, 2)), 96),
    "Conv2d groups": (lambda: nn.Conv2d(16, 60, 3, groups=4), 36),
    "Conv3d": (lambda: nn.Conv3d(4, 60, 3), 108),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(60, 16, 5), 80),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(60, 16, (3, 2)), 96),
    "ConvTranspose2d groups": (lambda: nn.ConvTranspose2d(60, 16, 3, groups=4), 36),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(60, 4, 3), 108),
}


@pytest.mark.parametrize("name", LAYERS)
def test_default_initialisation_is_pytorchs(name):
    make, fan_in = LAYERS[name]
    layer = make()
    uniform_like(layer.weight.numpy(), 1 / math.sqrt(fan_in))
    biases = np.concatenate([make().bias.numpy() for _ in range(2000 // layer.bias.size)])
    uniform_like(biases, 1 / math.sqrt(fan_in))


def test_layers_differ_and_seeds_repeat_them():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    assert (first.weight != second.weight).all()
    lucid.random.seed(3)
    again = nn.Linear(3, 3)
    np.testing.assert_array_equal(again.weight.numpy(), first.weight.numpy())
    before = again.weight.numpy()
    weight = again.weight
    again.reset_parameters()
    assert again.weight is weight
    assert (again.weight.numpy() != before).all()


@pytest.mark.parametrize(
    "fill",
    [
        nn.init.zeros, nn.init.ones, nn.init.uniform, nn.init.normal, nn.init.xavier_uniform,
        nn.init.xavier_normal, nn.init.kaiming_uniform, nn.init.kaiming_normal,
        lambda t: nn.init.constant(t, 2.0), nn.init.bilinear,
        lambda t: nn.init.icnr(t, nn.init.normal), nn.init.trunc_normal, nn.init.orthogonal,
        lambda t: nn.init.sparse(t, 0.5), nn.init.eye, nn.init.dirac,
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["jax", "numpy"])
def test_an_array_cannot_be_filled(fill, kind):
    layer = nn.Linear(2, 2)
    before = layer.weight.numpy()
    array = layer.weight.data if kind == "jax" else layer.weight.numpy()
    with pytest.raises(TypeError) as caught:
        fill(array)
    assert str(caught.value) == (
        "init: a Tensor to fill is needed, such as layer.weight, got "
        f"{type(array).__name__}. An array, such as layer.weight.data, cannot be changed in place."
    )
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_an_end_of_the_uniform_numbers_is_no_outlier(monkeypatch):
    drawn = Tensor(np.array([-1.0, 0.0, 1 - 2.0**-24], "f"))
    monkeypatch.setattr(nn.init.random, "uniform", lambda *args, **kwargs: drawn)
    w = lucid.empty(3)
    nn.init.trunc_normal(w, std=0.02)
    low, middle, high = w.tolist()
    assert middle == 0 and -0.12 < low < -0.1 and 0.1 < high < 0.12
