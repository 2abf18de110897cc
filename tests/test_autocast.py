"""`lucid.autocast`: dtypes of results and gradients, everywhere that functions run."""

from __future__ import annotations

import concurrent.futures
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, func, nn, optim
from lucid._core.autocast import TABLE
from lucid.nn import functional as F
from tests.helpers import count_compiles

HALVES = ["bfloat16", "float16"]


def x(*shape, dtype="float32", seed=0):
    values = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    return Tensor(values, dtype=dtype)


# --- Dtypes -----------------------------------------------------------------------------------

LOW = {
    "matmul": lambda a: lucid.matmul(a(2, 3), a(3, 4)),
    "@": lambda a: a(2, 3) @ a(3, 4),
    "array @": lambda a: np.ones((2, 3), "f") @ a(3, 4),
    "dot": lambda a: lucid.dot(a(3), a(3)),
    "inner": lambda a: lucid.inner(a(2, 3), a(4, 3)),
    "tensordot": lambda a: lucid.tensordot(a(2, 3), a(3, 4), 1),
    "einsum": lambda a: lucid.einsum("ij,jk->ik", a(2, 3), a(3, 4)),
    "linear": lambda a: F.linear(a(2, 3), a(4, 3), a(4)),
    "bilinear": lambda a: F.bilinear(a(2, 3), a(2, 2), a(4, 3, 2), a(4)),
    "conv1d": lambda a: F.conv1d(a(1, 2, 5), a(3, 2, 3), a(3)),
    "conv2d": lambda a: F.conv2d(a(1, 2, 5, 5), a(3, 2, 3, 3)),
    "conv3d": lambda a: F.conv3d(a(1, 2, 3, 3, 3), a(3, 2, 3, 3, 3)),
    "conv_transpose1d": lambda a: F.conv_transpose1d(a(1, 2, 5), a(2, 3, 3), a(3)),
    "conv_transpose2d": lambda a: F.conv_transpose2d(a(1, 2, 5, 5), a(2, 3, 3, 3)),
    "conv_transpose3d": lambda a: F.conv_transpose3d(a(1, 2, 3, 3, 3), a(2, 3, 3, 3, 3)),
    "attention": lambda a: F.scaled_dot_product_attention(
        a(1, 3, 4), a(1, 3, 4), a(1, 3, 4), attn_mask=a(3, 3)
    ),
    "Linear": lambda a: nn.Linear(3, 4)(a(2, 3)),
    "Conv2d": lambda a: nn.Conv2d(2, 3, 3)(a(1, 2, 5, 5)),
    "ConvTranspose2d": lambda a: nn.ConvTranspose2d(2, 3, 3)(a(1, 2, 5, 5)),
    "MultiHeadAttention": lambda a: nn.MultiHeadAttention(4, 2)(a(1, 3, 4), a(1, 3, 4), a(1, 3, 4)),
    "RNN": lambda a: nn.RNN(3, 4)(a(5, 2, 3))[0],
    "LSTM": lambda a: nn.LSTM(3, 4)(a(5, 2, 3))[1],
    "GRU": lambda a: nn.GRU(3, 4)(a(5, 2, 3))[0],
    "LSTMCell": lambda a: nn.LSTMCell(3, 4)(a(2, 3)),
}  # fmt: skip
WIDE = {
    "sum": lambda a: a(3).sum(),
    "mean": lambda a: a(2, 3).mean(axis=0),
    "var": lambda a: a(3).var(),
    "norm": lambda a: lucid.linalg.norm(a(3)),
    "prod": lambda a: lucid.prod(a(3)),
    "reduce": lambda a: lucid.einops.reduce(a(2, 3), "i j -> i", "mean"),
    "trace": lambda a: lucid.trace(a(3, 3)),
    "cumsum": lambda a: lucid.cumsum(a(3), axis=0),
    "exp": lambda a: a(3).exp(),
    "log": lambda a: a(3).log(),
    "**": lambda a: a(3) ** 2,
    "2 **": lambda a: 2.0 ** a(3),
    "power": lambda a: lucid.power(a(3), a(3)),
    "softmax": lambda a: F.softmax(a(3)),
    "log_softmax": lambda a: F.log_softmax(a(3)),
    "layer_norm": lambda a: F.layer_norm(a(2, 3), (3,)),
    "BatchNorm2d": lambda a: nn.BatchNorm2d(2)(a(3, 2, 4, 4)),
    "BatchNorm2d.eval": lambda a: nn.BatchNorm2d(2).eval()(a(3, 2, 4, 4)),
    "InstanceNorm1d": lambda a: nn.InstanceNorm1d(2)(a(3, 2, 4)),
    "GroupNorm": lambda a: nn.GroupNorm(1, 2)(a(3, 2, 4)),
    "mse_loss": lambda a: F.mse_loss(a(3), a(3)),
    "cross_entropy": lambda a: F.cross_entropy(a(2, 3), Tensor([0, 1])),
    "BCEWithLogitsLoss": lambda a: nn.BCEWithLogitsLoss()(a(3), a(3)),
    "inv": lambda a: lucid.linalg.inv(a(2, 2) * lucid.eye(2)),
}  # fmt: skip
AS_GIVEN = {
    "+": lambda a: a(3) + a(3),
    "relu": lambda a: F.relu(a(3)),
    "tanh": lambda a: lucid.tanh(a(3)),
    "max": lambda a: a(3).max(),
    "reshape": lambda a: a(4).reshape(2, 2),
    "max_pool2d": lambda a: F.max_pool2d(a(1, 1, 4, 4), 2),
    "avg_pool2d": lambda a: F.avg_pool2d(a(1, 1, 4, 4), 2),
    "dropout": lambda a: F.dropout(a(3), 0.5),
    "concatenate": lambda a: lucid.concatenate([a(3), a(3)]),
    "embedding": lambda a: F.embedding(Tensor([0, 1]), a(2, 3)),
}  # fmt: skip


def dtypes(value):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(value)}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [*LOW, *WIDE, *AS_GIVEN])
def test_dtype_of_the_result(name, dtype):
    fn = {**LOW, **WIDE, **AS_GIVEN}[name]
    for given in ("float32", dtype):
        wanted = dtype if name in LOW else "float32" if name in WIDE else given
        with lucid.autocast(dtype):
            assert dtypes(fn(lambda *s, given=given: x(*s, dtype=given))) == {wanted}


def test_every_name_of_the_table_is_a_function():
    modules = [*filter(inspect.ismodule, vars(lucid.ops).values()), lucid.ops.conv.functional, F]
    functions = [value for module in modules for value in vars(module).values()]
    declared = {f.declaration.name for f in functions if hasattr(f, "declaration")}
    assert set(TABLE) <= declared


def test_other_dtypes_and_factors_of_scores_stay():
    integers = Tensor([[1, 2], [3, 4]])
    with lucid.autocast():
        assert (integers @ integers).dtype == integers.dtype
        q = x(2, 3, 4)
        # 300.5 is no bfloat16: rounded, it would move the scores by half of a unit.
        mask = Tensor([[0.0, 0.5, 300.5]] * 3)
        weights = F.scaled_dot_product_attention(q, q, lucid.eye(3)[None], mask)
    with jax.enable_x64(True):
        wide = Tensor(np.ones((2, 2)), dtype="float64")
        with lucid.autocast():
            assert (wide @ wide).dtype == wide.exp().dtype == "float64"
    rounded = q.astype("bfloat16")
    expected = F.scaled_dot_product_attention(
        rounded, rounded, lucid.eye(3, dtype="bfloat16")[None], mask
    )
    np.testing.assert_array_equal(weights.numpy(), expected.numpy())


@pytest.mark.parametrize("dtype", HALVES)
def test_values_and_gradients_are_those_of_converted_operands(dtype):
    def of_converted(a, b, c):
        y = jnp.matmul(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32).astype(
            dtype
        )
        return jnp.sum(jnp.exp(y.astype(jnp.float32)) * c)

    values = [x(3, 4, seed=0), x(4, 2, seed=1), x(3, 2, seed=2)]
    leaves = [Tensor(v.data / 4, requires_grad=True) for v in values]
    a, b, c = leaves
    with lucid.autocast(dtype):
        loss = ((a @ b).exp() * c).sum()
    loss.backward()
    expected = jax.value_and_grad(of_converted, (0, 1, 2))(*[v.data for v in leaves])
    np.testing.assert_allclose(loss.numpy(), expected[0], rtol=1e-6)
    # A gradient that arrives in 16 bits is a sum rounded to them.
    tolerance = float(jnp.finfo(dtype).eps)
    for leaf, gradient in zip(leaves, expected[1], strict=True):
        assert leaf.grad.dtype == "float32"
        np.testing.assert_allclose(leaf.grad.numpy(), gradient, rtol=tolerance)


# --- The mode ---------------------------------------------------------------------------------


def product_dtype():
    return str((x(2, 2) @ x(2, 2)).dtype)


def test_blocks_nest_and_an_exception_ends_them():
    with lucid.autocast("float16"):
        with lucid.autocast():
            assert product_dtype() == "bfloat16"
            with lucid.autocast(enabled=False):
                assert product_dtype() == "float32"
        assert product_dtype() == "float16"
        with pytest.raises(KeyError), lucid.autocast():
            raise KeyError
        assert product_dtype() == "float16"
    assert product_dtype() == "float32"


def test_decorator_and_threads():
    assert lucid.autocast("float16")(product_dtype)() == "float16"
    with lucid.autocast(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(product_dtype).result() == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float8_e4m3fn", "half a byte", None, 16, int])
def test_other_dtypes_are_refused(dtype):
    text = f'autocast: dtype must be "bfloat16" or "float16", got {dtype!r}.'
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        lucid.autocast(dtype)


@pytest.mark.parametrize("dtype", [jnp.float16, np.float16, np.dtype("float16"), lucid.Float16])
def test_spellings_of_a_dtype(dtype):
    with lucid.autocast(dtype):
        assert product_dtype() == "float16"


# --- Layers of other dtypes -------------------------------------------------------------------

LAYERS = {
    "linear": (lambda: nn.Linear(3, 4), [(2, 3)]),
    "bilinear": (lambda: nn.Bilinear(3, 3, 4), [(2, 3), (2, 3)]),
    "conv1d": (lambda: nn.Conv1d(3, 4, 2), [(1, 3, 5)]),
    "conv2d": (lambda: nn.Conv2d(3, 4, 2), [(1, 3, 5, 5)]),
    "conv3d": (lambda: nn.Conv3d(3, 4, 2), [(1, 3, 2, 2, 2)]),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(3, 4, 2), [(1, 3, 5)]),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(3, 4, 2), [(1, 3, 5, 5)]),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(3, 4, 2), [(1, 3, 2, 2, 2)]),
    "rnn": (lambda: nn.RNN(3, 4), [(5, 2, 3)]),
    "lstm": (lambda: nn.LSTM(3, 4), [(5, 2, 3)]),
    "gru": (lambda: nn.GRUCell(3, 4), [(2, 3)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_refuses_another_dtype_but_under_autocast(name):
    make, shapes = LAYERS[name]
    layer = make().to("bfloat16")
    inputs = [x(*shape) for shape in shapes]
    given = ", ".join(["float32"] * len(inputs) + ["bfloat16"] * len(list(layer.parameters())))
    text = (
        f"{name}: input, weight and bias must have one dtype, got {given}. Convert them with "
        "astype, or compute under lucid.autocast."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}"):
        layer(*inputs)
    with lucid.autocast():
        under = layer(*inputs)
    for a, b in zip(
        jax.tree.leaves(under),
        jax.tree.leaves(layer(*[v.astype("bfloat16") for v in inputs])),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_integers_are_no_input_of_a_layer_under_autocast_either():
    text = (
        "linear: input, weight and bias must have one dtype, got int32, float32, float32. Convert "
        "them with astype."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}"):
        nn.Linear(2, 2)(Tensor([[1, 2]]))


# --- Programs ---------------------------------------------------------------------------------


def decoder():
    """A network of all kinds of layers: low, float32, and in between."""
    return nn.Sequential(
        nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip


def train(jitted, mode, steps=10):
    """Losses of a decoder that learns to draw, its Parameters, and how often it was traced."""
    lucid.random.seed(0)
    model = decoder()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    z, target = x(8, 4), F.tanh(x(8, 1, 8, 8, seed=1) - 1)
    traces = []

    def step(z):
        traces.append(1)
        optimizer.zero_grad()
        with mode():
            loss = F.mse_loss(model(z), target)
        loss.backward()
        assert {str(p.grad.dtype) for p in model.parameters()} == {"float32"}
        optimizer.step()
        return loss

    run = lucid.jit(step) if jitted else step
    losses = np.array([run(z).item() for _ in range(steps)])
    assert {str(p.dtype) for p in model.parameters()} == {"float32"}
    assert model[5].running_mean.dtype == "float32"
    return losses, len(traces)


def test_training_is_the_same_jitted_and_close_to_float32():
    plain, _ = train(False, lambda: lucid.autocast(enabled=False))
    eager, _ = train(False, lucid.autocast)
    jitted, traces = train(True, lucid.autocast)
    assert traces == 2  # of one program
    assert eager[-1] < eager[0] / 2 and not np.array_equal(eager, plain)
    # A product rounded to bfloat16 is off by 2 ** -9 of itself; a few of them follow one another.
    np.testing.assert_allclose(eager, plain, rtol=8 * 2**-9)
    # XLA may keep more digits than bfloat16 has between the operations of one program.
    np.testing.assert_allclose(jitted, eager, rtol=4 * 2**-9)


def test_autocast_is_part_of_a_signature():
    layer = nn.Linear(2, 2)
    run = lucid.jit(layer)
    v = x(3, 2)
    for mode in (None, "bfloat16", "float16"):
        for again in (False, True):
            with lucid.autocast(mode or "float16", enabled=mode is not None):
                if again:
                    with count_compiles(expect=0):
                        result = run(v)
                else:
                    result = run(v)
            assert result.dtype == (mode or "float32")
    assert run.cache_info().programs == 3


def test_a_jitted_function_may_be_differentiated_outside():
    layer = nn.Linear(2, 2)

    @lucid.jit
    def run(v):
        with lucid.autocast():
            return layer(v)

    v = x(3, 2)
    assert run(v).dtype == "bfloat16"
    run(v).astype("float32").sum().backward()
    jitted, layer.weight.grad = layer.weight.grad, None
    with lucid.autocast():
        outside = lucid.jit(layer.forward)(v)
    outside.astype("float32").sum().backward()  # traced once more, without autocast around it
    assert jitted.dtype == layer.weight.grad.dtype == "float32"
    np.testing.assert_array_equal(jitted.numpy(), layer.weight.grad.numpy())


def test_functional_call_and_functionalize():
    layer = nn.Linear(2, 2)
    v = x(3, 2)
    with lucid.autocast():
        called = func.functional_call(layer, dict(layer.named_parameters()), v)
        pure, state = func.functionalize(layer)
        result, _ = pure(state, v.data)
        expected = layer(v)
    assert called.dtype == result.dtype == "bfloat16"
    np.testing.assert_array_equal(called, expected)
    np.testing.assert_array_equal(result, expected)


def test_export_keeps_the_mode(tmp_path):
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        @lucid.autocast()
        def forward(self, v):
            return self.layer(v)

    model, v = Half(), x(3, 2)
    lucid.export(model, v, tmp_path / "half.lucid")
    result = lucid.load_exported(tmp_path / "half.lucid")(v)
    assert result.dtype == "bfloat16"
    np.testing.assert_array_equal(result, model(v))


def test_second_derivatives():
    a = Tensor([[0.5, 0.25]], requires_grad=True)
    b = Tensor([[2.0], [4.0]])
    with lucid.autocast():
        (first,) = lucid.autograd.grad(((a @ b) ** 3).sum(), [a], create_graph=True)
        first.sum().backward()
    # (2 u + 4 v) ** 3: the sum of the second derivatives is 6 * (2 + 4) * 2 * b.
    np.testing.assert_array_equal(a.grad.numpy(), [[144.0, 288.0]])


@pytest.mark.parametrize("name", ["exp_", "square_"])
def test_in_place_keeps_the_dtype(name):
    v = x(3, dtype="bfloat16")
    expected = getattr(v, name[:-1])()
    with lucid.autocast():
        getattr(v, name)()
    assert v.dtype == "bfloat16"
    np.testing.assert_array_equal(v, expected)


def checkpointed(layer, v):
    return lucid.checkpoint(layer, v)


def scanned(layer, v):
    return lucid.scan(lambda carry, row: (carry, layer(row)), lucid.zeros(1), v)[1]


def chosen(layer, v):
    return lucid.cond(v.sum() > 0, layer, lambda v: layer(v) * 2, v)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("call", [checkpointed, scanned, chosen])
def test_pieces_of_programs_keep_the_mode(call, jitted):
    layer, v = nn.Linear(2, 2), x(3, 2)

    def step():
        layer.weight.grad = None
        with lucid.autocast():
            y = call(layer, v)
        y.astype("float32").sum().backward()
        return y

    y = lucid.jit(step)() if jitted else step()
    found = layer.weight.grad
    rounded = nn.Linear(2, 2).to("bfloat16")
    rounded.load_state_dict(layer.state_dict())
    expected = rounded(v.astype("bfloat16"))
    expected.astype("float32").sum().backward()
    assert y.dtype == "bfloat16" and found.dtype == "float32"
    np.testing.assert_array_equal(y, expected)
    tolerance = 0 if call is not scanned else 2**-8  # it adds up rounded gradients of rows
    np.testing.assert_allclose(found, rounded.weight.grad.astype("float32"), rtol=tolerance)
