"""What other platforms compile, dtypes, and sharded inputs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from lucid.ops.conv import conv_transpose, force_lowering
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.lowerings import LOWERINGS, run
from lucid.ops.conv.maps import ROLES, bind
from tests.ops.conv import reference
from tests.ops.conv.cases import CORNERS

OUTPUTS = [roles[-1] for roles in ROLES.values()]


def roles_of(out):
    return next(roles for *roles, result in ROLES.values() if result == out)


def exported(out, form, dtype, platform="cuda"):
    """What a platform is given to compile for a map."""
    shapes = [jax.ShapeDtypeStruct(getattr(form, f"{r}_shape"), dtype) for r in roles_of(out)]
    function = jax.jit(
        lambda a, b: bind(dict(zip(roles_of(out), (a, b), strict=True)), form, "auto")
    )
    return jax.export.export(function, platforms=[platform])(*shapes).mlir_module()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(
    ("out", "dilations"),
    [
        ("small", {"stride": "2, 3", "rhs_dilate": "1, 2"}),
        ("large", {"lhs_dilate": "2, 3", "rhs_dilate": "1, 2"}),
        ("kernel", {"stride": "1, 2", "rhs_dilate": "2, 3"}),
    ],
)
def test_each_map_is_one_convolution(out, dilations, platform):
    form = CORNERS["channels per group"]
    form = type(form)(**{**vars(form), "stride": (2, 3), "dilation": (1, 2)})
    text = exported(out, form, jnp.float32, platform)
    (line,) = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    for name, values in dilations.items():
        assert f"{name} = [{values}]" in line
    assert "dot_general" not in text


def test_a_transposed_convolution_is_what_xla_takes_for_one_of_cudnn():
    """Its right side is the result of a reverse over the spatial axes, and nothing lies between."""
    form = Form(2, 1, 8, 64, (5, 6), (10, 12), (4, 4), (2, 2), (1, 1), (1, 1))
    lines = exported("large", form, jnp.float32).splitlines()
    (convolution,) = [line for line in lines if "stablehlo.convolution" in line]
    (reverse,) = [line for line in lines if "stablehlo.reverse" in line]
    (name,) = re.findall(r"(%\w+) = stablehlo.reverse %arg1, dims = \[2, 3\]", reverse)
    assert f", {name})" in convolution


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("out", OUTPUTS)
def test_sixteen_bits_stay_so_where_the_platform_holds_sums_in_float32(out, platform):
    form = Form(2, 1, 8, 64, (5, 6), (10, 12), (4, 4), (2, 2), (1, 1), (1, 1))
    text = exported(out, form, jnp.bfloat16, platform)
    assert "stablehlo.convolution" in text
    assert "f32" not in text


def test_depthwise_sums_of_sixteen_bits_are_held_in_float32_on_gpu():
    text = exported("large", CORNERS["depthwise"], jnp.bfloat16)
    assert "stablehlo.convolution" not in text
    assert "stablehlo.add" in text
    assert not re.search(r"stablehlo.(add|multiply).*bf16", text)


def by_every_lowering(out, form, *values):
    """The results of all lowerings that claim the form; one program, quickly compiled."""
    options = {"xla_backend_optimization_level": 0}
    names = [name for name, lowering in LOWERINGS.items() if lowering.claims(out, form)]
    compute = jax.jit(
        lambda *values: {name: run("cpu", name, out, form, *values) for name in names},
        compiler_options=options,
    )
    return compute(*values)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("out", OUTPUTS)
def test_sixteen_bits_accumulate_in_float32(out, dtype):
    # Sums of ones that the 16-bit type cannot count: it stops at 256 or 2048.
    form = CORNERS["depthwise, more of large"]
    form = type(form)(**{**vars(form), "batch": 300})
    ones = [jnp.ones(getattr(form, f"{role}_shape"), dtype) for role in roles_of(out)]
    expected = getattr(reference, out)(form, *(np.asarray(v, np.float64) for v in ones))
    for name, value in by_every_lowering(out, form, *ones).items():
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, np.asarray(expected).astype(dtype), err_msg=name)


@pytest.mark.parametrize("out", OUTPUTS)
def test_complex(out):
    form = CORNERS["depthwise, more of large"]
    rng = np.random.default_rng(0)
    a, b = (
        (rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(np.complex64)
        for s in (getattr(form, f"{role}_shape") for role in roles_of(out))
    )
    re_re, im_im, re_im, im_re = (
        getattr(reference, out)(form, u, v)
        for u, v in ((a.real, b.real), (a.imag, b.imag), (a.real, b.imag), (a.imag, b.real))
    )
    expected = re_re - im_im + 1j * (re_im + im_re)
    for name, value in by_every_lowering(out, form, a, b).items():
        assert value.dtype == jnp.complex64
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_output_has_the_input_dtype():
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        x, w = jnp.ones((1, 2, 4), dtype), jnp.ones((2, 2, 3), dtype)
        y, vjp = jax.vjp(lambda x, w: conv_transpose(x, w, rank=1), x, w)
        assert {v.dtype for v in (y, *vjp(y))} == {jnp.dtype(dtype)}


def test_infinity_in_the_input_meets_only_its_taps():
    """Zeros that the definition inserts between inputs are no taps: no 0 * inf on CPU."""
    x, w = jnp.array([[1.0, jnp.inf, 1.0]]), jnp.array([[[2.0, 3.0]]])
    expected = [[2, 3, jnp.inf, jnp.inf, 2, 3]]
    for name in ("matmul", "balanced", "polyphase", "depthwise"):
        with force_lowering(name):
            np.testing.assert_array_equal(conv_transpose(x, w, rank=1, stride=2)[0], expected[0])
            # An infinite weight meets zeros only beyond the ends.
            y = conv_transpose(jnp.ones((1, 6)), w.at[0, 0, 1].set(jnp.inf), rank=1, stride=2)
            np.testing.assert_array_equal(y[0, 2:-2], [2, jnp.inf] * 4)


def test_a_sharded_batch_stays_sharded():
    program = """
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from lucid.ops.conv import conv_transpose, tuning
    mesh = Mesh(np.array(jax.devices()), ("data",))
    batch, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    def step(x, w, **geometry):
        y, vjp = jax.vjp(lambda x, w: conv_transpose(x, w, rank=2, **geometry), x, w)
        return y, *vjp(jnp.sin(y))
    for groups, limit in ((1, tuning.WHOLE_BYTES), (8, tuning.WHOLE_BYTES), (1, 20000)):
        tuning.WHOLE_BYTES, tuning.PIECE_BYTES = limit, limit
        x = jax.device_put(jnp.ones((8, 8, 6, 6)), batch)
        w = jax.device_put(jnp.ones((8, 8 // groups, 4, 4)), whole)
        compiled = jax.jit(
            lambda x, w: step(x, w, stride=2, padding=1, groups=groups),
            out_shardings=(batch, batch, whole),
        ).lower(x, w).compile()
        text = compiled.as_text()
        print("all-gather" in text, "all-to-all" in text, "all-reduce" in text, "while" in text)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        check=True,
    )
    gather, all_to_all, reduce, loop = zip(
        *(re.findall("True|False", line) for line in result.stdout.splitlines()), strict=True
    )
    assert "True" not in gather + all_to_all
    assert set(reduce) == {"True"}  # of the kernel's gradient
    assert loop == ("False", "False", "True")  # the last in pieces
