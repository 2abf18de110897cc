"""The maps under jax's transformations: derivatives of every order, vmap, scan, checkpoint."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid.ops.conv import conv, conv_transpose, force_lowering
from lucid.ops.conv.lowerings import LOWERINGS, choose
from lucid.ops.conv.maps import ROLES, bind, chosen_lowerings
from tests.ops.conv import reference
from tests.ops.conv.cases import CORNERS

FAST_COMPILE = {"xla_backend_optimization_level": 0}
X, W = (2, 4, 5, 4), (4, 3, 3, 2)
GEOMETRY = {"stride": (2, 1), "padding": 1, "groups": 2, "dilation": (1, 2)}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]


def deconv(x, w):
    return conv_transpose(x, w, rank=2, output_padding=(1, 0), **GEOMETRY)


def wave(x, w):
    """A scalar whose derivatives of every order are not zero."""
    return jnp.sum(jnp.sin(deconv(x, w)))


def penalty(f):
    return lambda x, w: jnp.sum(jax.grad(f)(x, w) ** 2)


def by_definition(function):
    def run(*args):
        with force_lowering("definition"):
            return function(*args)

    return run


# For each lowering, a weight that it claims, and groups.
CLAIMED = {
    "matmul": ((4, 3, 3, 2), 2),
    "balanced": ((4, 3, 3, 2), 2),
    "polyphase": ((4, 3, 4, 2), 2),
    "depthwise": ((4, 2, 3, 2), 4),
}


@pytest.mark.parametrize("lowering", CLAIMED)
@pytest.mark.parametrize(
    "derivative",
    {
        "grad": lambda f: jax.grad(f, (0, 1)),
        "jvp": lambda f: lambda x, w: jax.jvp(f, (x, w), (w.sum() * x, x.sum() * w)),
        "second": lambda f: jax.grad(penalty(f), (0, 1)),
        "third": lambda f: jax.grad(penalty(penalty(f)), (0, 1)),
        "forward over reverse": lambda f: lambda x, w: jax.jvp(jax.grad(f, 1), (x, w), (x, w)),
        "hessian": lambda f: jax.hessian(f, 1),
        "checkpoint": lambda f: jax.grad(jax.checkpoint(f), (0, 1)),
        "jit": lambda f: jax.jit(jax.grad(f, (0, 1))),
    }.items(),
    ids=lambda item: item[0],
)
def test_derivative(derivative, lowering):
    w_shape, groups = CLAIMED[lowering]
    x, w = arrays(X, w_shape)
    geometry = {"rank": 2, "stride": (2, 1), "dilation": (1, 2), "padding": 1, "groups": groups}

    def wave(x, w):
        return jnp.sum(jnp.sin(conv_transpose(x, w, output_padding=(1, 0), **geometry)))

    function = derivative[1](wave)
    with force_lowering(lowering):
        assert lowering in {name for _, name in chosen_lowerings(function, x, w)}
        found = jax.jit(function, compiler_options=FAST_COMPILE)(x, w)
    expected = jax.jit(by_definition(function), compiler_options=FAST_COMPILE)(x, w)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("out", [roles[-1] for roles in ROLES.values()])
@pytest.mark.parametrize("axes", [(0, None), (None, 1), (1, 2), (2, 0)])
def test_vmap(out, axes):
    form = CORNERS["channels per group"]
    (roles,) = (roles for *roles, result in ROLES.values() if result == out)
    size = 3
    shapes = [getattr(form, f"{role}_shape") for role in roles]
    values = arrays(
        *(s if a is None else (*s[:a], size, *s[a:]) for s, a in zip(shapes, axes, strict=True))
    )
    mapped = jax.vmap(
        lambda a, b: bind(dict(zip(roles, (a, b), strict=True)), form, "auto"), in_axes=axes
    )(*values)
    for i in range(size):
        one = [v if a is None else v.take(i, a) for v, a in zip(values, axes, strict=True)]
        expected = getattr(reference, out)(form, *(np.asarray(v) for v in one))
        np.testing.assert_allclose(mapped[i], expected, rtol=1e-10, atol=1e-10)


def test_vmap_of_grad():
    x, w = arrays((3, *X), (3, *W))
    mapped = jax.vmap(jax.grad(wave, (0, 1)))(x, w)
    for i in range(3):
        for a, b in zip(mapped, jax.grad(wave, (0, 1))(x[i], w[i]), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-10, atol=1e-10)


def test_scan():
    x, w = arrays((1, 2, 6), (2, 2, 3))

    def run(w):
        step = lambda h, _: (jnp.tanh(conv_transpose(h, w, rank=1, padding=1)), None)  # noqa: E731
        return jax.lax.scan(step, x, length=3)[0].sum()

    def unrolled(w):
        h = x
        for _ in range(3):
            h = jnp.tanh(conv_transpose(h, w, rank=1, padding=1))
        return h.sum()

    np.testing.assert_allclose(jax.grad(run)(w), jax.grad(unrolled)(w), rtol=1e-10)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adjoint_law(rank):
    geometry = {"rank": rank, "stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    x, w = arrays((2, 6, *(8, 9, 7)[:rank]), (4, 3, *(3, 2, 3)[:rank]))
    y = conv(x, w, **geometry)
    (ct,) = arrays(y.shape, seed=1)
    back = conv_transpose(ct, w, **geometry, output_size=x.shape)
    np.testing.assert_allclose(jnp.vdot(y, ct), jnp.vdot(x, back), rtol=1e-10)


def test_bias_and_its_gradient():
    x, w, b = arrays(X, W, (6,))
    run = lambda b: conv_transpose(x, w, b, rank=2, **GEOMETRY)  # noqa: E731
    plain = conv_transpose(x, w, rank=2, **GEOMETRY)
    np.testing.assert_allclose(run(b), plain + b[:, None, None], rtol=1e-12)
    y, vjp = jax.vjp(run, b)
    (ct,) = arrays(y.shape, seed=1)
    np.testing.assert_allclose(vjp(ct)[0], ct.sum((0, 2, 3)), rtol=1e-12)


def test_batch_zero():
    x, w = jnp.zeros((0, *X[1:])), arrays(W)[0]
    y, vjp = jax.vjp(deconv, x, w)
    assert y.shape == (0, 6, 10, 4)
    dx, dw = vjp(y)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros(W))


def test_unbatched_is_batch_one():
    x, w = arrays(X[1:], W)
    np.testing.assert_array_equal(deconv(x, w), deconv(x[None], w)[0])


def test_jaxpr_names_the_operations():
    x, w = arrays(X, W)
    text = str(jax.make_jaxpr(jax.grad(wave, (0, 1)))(x, w))
    for name in ("conv_transpose[", "conv[", "conv_kernel["):
        assert name in text
    assert "stride=(2, 1), padding=(1, 1), dilation=(1, 2)" in text


def test_forcing_a_lowering_reaches_a_compiled_function():
    x, w = jnp.ones((1, 4, 8, 8)), jnp.ones((4, 1, 4, 4))
    run = jax.jit(lambda x: conv_transpose(x, w, rank=2, stride=2, groups=4))
    assert chosen_lowerings(run, x) == [("conv_transpose", "depthwise")]
    assert "dot_general" not in run.lower(x).as_text()
    with force_lowering("matmul"):
        assert chosen_lowerings(run, x) == [("conv_transpose", "matmul")]
        assert "dot_general" in run.lower(x).as_text()


def test_forced_lowering_falls_back_to_the_definition():
    form = CORNERS["k not a multiple of s"]
    assert not LOWERINGS["polyphase"].claims("large", form)
    assert choose("cpu", "polyphase", "large", form) == "definition"


def test_the_definition_of_large_is_not_chosen():
    # XLA's CPU compiler ends the process on some of these forms, see cases.aborts_xla.
    assert all(choose("cpu", "auto", "large", form) != "definition" for form in CORNERS.values())
