"""One table of all public Modules, times the properties that all of them have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced


class Layer(NamedTuple):
    """How a Module is made and called, and the shapes of its state."""

    make: Callable[[], nn.Module]
    inputs: tuple[Any, ...]  # shapes, or arrays
    state: dict[str, tuple[int, ...]]

    @property
    def name(self) -> str:
        return type(self.make()).__name__

    def arrays(self) -> list[np.ndarray]:
        return [
            spaced(*x, seed=i).astype(np.float32) if isinstance(x, tuple) else np.asarray(x)
            for i, x in enumerate(self.inputs)
        ]


def affine(n: int) -> dict[str, tuple[int, ...]]:
    return {"weight": (n,), "bias": (n,)}


def recurrent(
    gates: int, size: int, hidden: int, out: int, suffix: str = "_l0"
) -> dict[str, tuple[int, ...]]:
    """The state of one direction of a recurrent layer; with a projection if out is not hidden."""
    rows = gates * hidden
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, size), "weight_hh": (rows, out)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if out != hidden:
        shapes["weight_hr"] = (out, hidden)
    return {name + suffix: shape for name, shape in shapes.items()}


STATISTICS = {"running_mean": (3,), "running_var": (3,), "num_batches_tracked": ()}
LINE, IMAGE, VOLUME = (2, 3, 6), (2, 3, 6, 5), (2, 3, 4, 5, 4)
STEPS = (2, 5, 3)
MEMORY = (2, 4, 6)
PAIR = ((3, 4), (3, 4))
SHARES = (spaced(3, 4, low=0.1, high=0.9).astype(np.float32), np.eye(3, 4, dtype=np.float32))
CLASSES = ((3, 4), np.array([3, 0, 1], np.int32))

ATTENTION = {
    "in_proj_weight": (18, 6), "in_proj_bias": (18,),
    "out_proj.weight": (6, 6), "out_proj.bias": (6,),
}  # fmt: skip


def transformer_layer(*attentions: str) -> dict[str, tuple[int, ...]]:
    """The state of a layer for tokens of size 6 with a hidden layer of size 5."""
    linear = {"linear1.weight": (5, 6), "linear1.bias": (5,), "linear2.weight": (6, 5)}
    return {
        **{f"{a}.{name}": shape for a in attentions for name, shape in ATTENTION.items()},
        **linear,
        "linear2.bias": (6,),
        **{f"norm{i}.{n}": (6,) for i in range(1, len(attentions) + 2) for n in affine(6)},
    }


def stack(layers: int, *attentions: str) -> dict[str, tuple[int, ...]]:
    """The state of several layers and a normalisation."""
    state = transformer_layer(*attentions)
    return {
        **{f"layers.{i}.{name}": shape for i in range(layers) for name, shape in state.items()},
        **{f"norm.{n}": (6,) for n in affine(6)},
    }


LAYERS = [
    Layer(lambda: nn.Linear(4, 2), ((3, 4),), {"weight": (2, 4), "bias": (2,)}),
    Layer(
        lambda: nn.Bilinear(4, 3, 2), ((5, 4), (5, 3)), {"weight": (2, 4, 3), "bias": (2,)}
    ),
    Layer(nn.Identity, (IMAGE,), {}),
    Layer(nn.Flatten, (IMAGE,), {}),
    Layer(lambda: nn.Rearrange("b c h w -> b (h w) c"), (IMAGE,), {}),
    Layer(lambda: nn.Unflatten(1, (3, -1)), ((2, 6),), {}),
    Layer(
        lambda: nn.Sequential(nn.Linear(4, 2), nn.Tanh()),
        ((3, 4),),
        {"0.weight": (2, 4), "0.bias": (2,)},
    ),
    Layer(lambda: nn.Embedding(5, 2), (np.array([[1, 4, 0]], np.int32),), {"weight": (5, 2)}),
    Layer(lambda: nn.Conv1d(3, 2, 3), (LINE,), {"weight": (2, 3, 3), "bias": (2,)}),
    Layer(lambda: nn.Conv2d(3, 2, 3), (IMAGE,), {"weight": (2, 3, 3, 3), "bias": (2,)}),
    Layer(lambda: nn.Conv3d(3, 2, 3), (VOLUME,), {"weight": (2, 3, 3, 3, 3), "bias": (2,)}),
    Layer(lambda: nn.ConvTranspose1d(3, 2, 4, 2), (LINE,), {"weight": (3, 2, 4), "bias": (2,)}),
    Layer(lambda: nn.ConvTranspose2d(3, 2, 4, 2), (IMAGE,), {"weight": (3, 2, 4, 4), "bias": (2,)}),
    Layer(
        lambda: nn.ConvTranspose3d(3, 2, 4, 2), (VOLUME,), {"weight": (3, 2, 4, 4, 4), "bias": (2,)}
    ),
    *(
        Layer(make, (LINE,), {})
        for make in (
            nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.Sigmoid,
            nn.HardSigmoid, nn.SiLU, nn.Swish, nn.HardSwish, nn.Mish, nn.Softplus, nn.Tanh,
            nn.Softmax, nn.LogSoftmax, nn.Dropout, nn.Dropout1d, nn.AlphaDropout, nn.DropPath,
            lambda: nn.MaxPool1d(2), lambda: nn.AvgPool1d(2), lambda: nn.AdaptiveMaxPool1d(4),
            lambda: nn.AdaptiveAvgPool1d(4), lambda: nn.Upsample(scale_factor=2),
        )
    ),
    *(
        Layer(make, (IMAGE,), {})
        for make in (
            nn.Dropout2d, lambda: nn.DropBlock(3, 0.3), lambda: nn.MaxPool2d(2),
            lambda: nn.AvgPool2d(2), lambda: nn.AdaptiveMaxPool2d(4),
            lambda: nn.AdaptiveAvgPool2d(4),
        )
    ),
    *(
        Layer(make, (VOLUME,), {})
        for make in (
            nn.Dropout3d, lambda: nn.MaxPool3d(2), lambda: nn.AvgPool3d(2),
            lambda: nn.AdaptiveMaxPool3d(3), lambda: nn.AdaptiveAvgPool3d(3),
        )
    ),
    *(
        Layer(lambda make=make: make(1), (shape,), {})
        for shape, makes in (
            (LINE, (nn.ZeroPad1d, nn.ReflectionPad1d, nn.ReplicationPad1d, nn.CircularPad1d)),
            (IMAGE, (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)),
            (VOLUME, (nn.ZeroPad3d, nn.ReflectionPad3d, nn.ReplicationPad3d, nn.CircularPad3d)),
        )
        for make in makes
    ),
    Layer(lambda: nn.ConstantPad1d(1, 0.5), (LINE,), {}),
    Layer(lambda: nn.ConstantPad2d((1, 0, 2, 1), 0.5), (IMAGE,), {}),
    Layer(lambda: nn.ConstantPad3d(1, -1), (VOLUME,), {}),
    Layer(nn.CosineSimilarity, (LINE, (1, 3, 6)), {}),
    Layer(lambda: nn.PixelShuffle(2), ((1, 4, 2, 3),), {}),
    Layer(lambda: nn.Unfold(2), (IMAGE,), {}),
    Layer(lambda: nn.Fold((4, 3), 2), ((1, 8, 6),), {}),
    Layer(lambda: nn.PixelUnshuffle(2), ((1, 2, 4, 6),), {}),
    Layer(nn.PReLU, (LINE,), {"weight": (1,)}),
    Layer(lambda: nn.BatchNorm1d(3), (LINE,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.BatchNorm2d(3), (IMAGE,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.BatchNorm3d(3), (VOLUME,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.InstanceNorm1d(3), (LINE,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.InstanceNorm2d(3), (IMAGE,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.InstanceNorm3d(3), (VOLUME,), {**affine(3), **STATISTICS}),
    Layer(lambda: nn.LayerNorm((3, 6)), (LINE,), {"weight": (3, 6), "bias": (3, 6)}),
    Layer(lambda: nn.RMSNorm(6), (LINE,), {"weight": (6,)}),
    Layer(lambda: nn.GroupNorm(2, 4), ((2, 4, 3),), affine(4)),
    Layer(lambda: nn.GlobalResponseNorm(3), (LINE,), {"gamma": (3,), "beta": (3,)}),
    Layer(
        lambda: nn.RNNBase("RNN_RELU", 3, 2, batch_first=True, dropout=0.3, num_layers=2),
        (STEPS,),
        {**recurrent(1, 3, 2, 2), **recurrent(1, 2, 2, 2, "_l1")},
    ),
    Layer(lambda: nn.RNN(3, 2, batch_first=True), (STEPS,), recurrent(1, 3, 2, 2)),
    Layer(
        lambda: nn.LSTM(3, 4, batch_first=True, bidirectional=True, proj_size=2),
        (STEPS,),
        {**recurrent(4, 3, 4, 2), **recurrent(4, 3, 4, 2, "_l0_reverse")},
    ),
    Layer(lambda: nn.GRU(3, 2, batch_first=True), (STEPS,), recurrent(3, 3, 2, 2)),
    Layer(lambda: nn.RNNCell(3, 2), ((4, 3),), recurrent(1, 3, 2, 2, "")),
    Layer(lambda: nn.LSTMCell(3, 2), ((4, 3),), recurrent(4, 3, 2, 2, "")),
    Layer(lambda: nn.GRUCell(3, 2), ((4, 3),), recurrent(3, 3, 2, 2, "")),
    *(
        Layer(
            lambda block=block: block(3, 4, 3, padding=1),
            (shape,),
            {
                "conv.weight": (4, 3, *k), "conv.bias": (4,), "bn.weight": (4,), "bn.bias": (4,),
                "bn.running_mean": (4,), "bn.running_var": (4,), "bn.num_batches_tracked": (),
            },
        )
        for block, shape, k in (
            (nn.ConvBNReLU1d, LINE, (3,)), (nn.ConvBNReLU2d, IMAGE, (3, 3)),
            (nn.ConvBNReLU3d, VOLUME, (3, 3, 3)),
        )
    ),
    *(
        Layer(
            lambda block=block: block(3, 4, 3, padding=1),
            (shape,),
            {
                "depthwise.weight": (3, 1, *(3,) * rank), "depthwise.bias": (3,),
                "pointwise.weight": (4, 3, *(1,) * rank), "pointwise.bias": (4,),
            },
        )
        for block, shape, rank in (
            (nn.DepthSeparableConv1d, LINE, 1), (nn.DepthSeparableConv2d, IMAGE, 2),
            (nn.DepthSeparableConv3d, VOLUME, 3),
        )
    ),
    *(
        Layer(
            lambda layer=layer: layer(3, 4, 3, constraint="unit_l2"),
            (shape,),
            {"weight": (4, 3, *(3,) * rank), "bias": (4,)},
        )
        for layer, shape, rank in (
            (nn.ConstrainedConv1d, LINE, 1), (nn.ConstrainedConv2d, IMAGE, 2),
            (nn.ConstrainedConv3d, VOLUME, 3),
        )
    ),
    Layer(
        lambda: nn.SEModule(3, 1),
        (IMAGE,),
        {"fc1.weight": (3, 3), "fc1.bias": (3,), "fc2.weight": (3, 3), "fc2.bias": (3,)},
    ),
    Layer(
        lambda: nn.SelectiveKernel(3, 4, [1, 3], reduction=2),
        (IMAGE,),
        {
            f"branches.{i}.{name}": shape
            for i, k in enumerate((1, 3))
            for name, shape in {
                "conv.weight": (4, 3, k, k), "bn.weight": (4,), "bn.bias": (4,),
                "bn.running_mean": (4,), "bn.running_var": (4,), "bn.num_batches_tracked": (),
            }.items()
        } | {
            "attention.1.weight": (2, 4, 1, 1), "attention.1.bias": (2,),
            "attention.3.weight": (8, 2, 1, 1), "attention.3.bias": (8,),
        },
    ),
    Layer(nn.SinusoidalPosEmbedding, (LINE,), {}),
    Layer(lambda: nn.LearnedPosEmbedding(5, 6), (LINE,), {"pos_emb.weight": (5, 6)}),
    Layer(nn.RotaryPosEmbedding, (LINE,), {}),
    Layer(lambda: nn.ScaledDotProductAttention(None, 0.3, True), (LINE,) * 3, {}),
    Layer(lambda: nn.MultiHeadAttention(6, 2, 0.3), (LINE,) * 3, ATTENTION),
    Layer(lambda: nn.TransformerEncoderLayer(6, 2, 5), (LINE,), transformer_layer("self_attn")),
    Layer(
        lambda: nn.TransformerDecoderLayer(6, 2, 5),
        (LINE, MEMORY),
        transformer_layer("self_attn", "multihead_attn"),
    ),
    Layer(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 5), 1, nn.LayerNorm(6)),
        (LINE,),
        stack(1, "self_attn"),
    ),
    Layer(
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 5), 1, nn.LayerNorm(6)),
        (LINE, MEMORY),
        stack(1, "self_attn", "multihead_attn"),
    ),
    Layer(
        lambda: nn.Transformer(6, 2, 1, 1, 5),
        (MEMORY, LINE),
        {
            **{f"encoder.{n}": x for n, x in stack(1, "self_attn").items()},
            **{f"decoder.{n}": x for n, x in stack(1, "self_attn", "multihead_attn").items()},
        },
    ),
    Layer(
        lambda: nn.CTCLoss(zero_infinity=True),
        ((5, 2, 4), np.array([[1, 2], [3, 3]]), np.array([5, 4]), np.array([2, 2])),
        {},
    ),
    Layer(nn.MSELoss, PAIR, {}),
    Layer(nn.L1Loss, PAIR, {}),
    Layer(nn.SmoothL1Loss, PAIR, {}),
    Layer(nn.HuberLoss, PAIR, {}),
    Layer(nn.KLDivLoss, SHARES, {}),
    Layer(nn.HingeLoss, ((3, 4), np.float32(-1)), {}),
    Layer(nn.HingeEmbeddingLoss, ((3, 4), np.where(SHARES[1] > 0, 1, -1)), {}),
    Layer(nn.BCELoss, SHARES, {}),
    Layer(nn.BCEWithLogitsLoss, ((3, 4), SHARES[1]), {}),
    Layer(lambda: nn.NLLLoss(lucid.ones(4)), CLASSES, {"weight": (4,)}),
    Layer(lambda: nn.CrossEntropyLoss(lucid.ones(4)), CLASSES, {"weight": (4,)}),
]  # fmt: skip
# They hold others, and compute nothing.
CONTAINERS = {"Module", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}


def tensors(output: Any) -> list[Tensor]:
    """The Tensors that a Module returned."""
    if isinstance(output, tuple):
        return [y for part in output for y in tensors(part)]
    return [output]


def run(layer: Layer, module: nn.Module, call: Any = None, dtype: str = "float32") -> list[Any]:
    """Outputs, gradients and state after one step, as arrays; the same random numbers each time."""
    lucid.random.seed(3)
    inputs = [
        Tensor(x, requires_grad=i == 0, dtype=dtype) if x.dtype.kind == "f" else Tensor(x)
        for i, x in enumerate(layer.arrays())
    ]
    module.zero_grad()
    outputs = tensors((call or module)(*inputs))
    for output in outputs:
        if output.requires_grad:
            # Not all alike: the plain sum of what leaves a norm is a constant.
            seed = np.linspace(0.5, 1.5, output.size).reshape(output.shape)
            output.backward(Tensor(seed, dtype=output.dtype), retain_graph=True)
    leaves = [*module.parameters(), *inputs]
    return [*outputs, *(t.grad for t in leaves), *module.state_dict().values()]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)


def same_under_jit(layer: Layer) -> None:
    eager, jitted = layer.make(), layer.make()
    jitted.load_state_dict(eager.state_dict())
    compiled = lucid.jit(jitted)
    before = dict(vars(jitted))
    for _ in range(2):
        found = run(layer, jitted, compiled)
        assert_same(found, run(layer, eager))
    assert compiled.cache_info().programs == 1
    assert {t.dtype for t in found if t is not None} <= {np.dtype("float32"), np.dtype("int32")}
    # No tracer stays behind.
    assert vars(jitted) == before
    state = (*jitted.parameters(), *jitted.buffers(), lucid.random.default_generator().state)
    assert not any(isinstance(t.data, jax.core.Tracer) for t in state)


def keeps_dtype(layer: Layer) -> None:
    """As it keeps float32, see `same_under_jit`."""
    module = layer.make().to("bfloat16")
    kinds = {name: t.dtype for name, t in module.state_dict().items()}
    output, *others = run(layer, module, dtype="bfloat16")
    assert output.dtype == "bfloat16"
    assert not bool(jnp.isnan(output.data).any())
    gradients = others[: len(others) - len(kinds)]
    assert all(g.dtype == "bfloat16" for g in gradients if g is not None)
    assert {name: t.dtype for name, t in module.state_dict().items()} == kinds


def comes_back_from_its_state_dict(layer: Layer) -> None:
    module, other = layer.make(), layer.make()
    run(layer, module)
    saved = {name: t.numpy() for name, t in module.state_dict().items()}
    assert tuple(other.load_state_dict(saved)) == ([], [])
    assert_same(run(layer, other.eval()), run(layer, module.eval()))


def is_deterministic_in_evaluation(layer: Layer) -> None:
    module = layer.make()
    assert all(m.training for m in module.modules())
    module.eval()
    assert not any(m.training for m in module.modules())
    inputs = [Tensor(x) for x in layer.arrays()]
    first = tensors(module(*inputs))
    state = {name: t.numpy() for name, t in module.state_dict().items()}
    for y, before in zip(tensors(module(*inputs)), first, strict=True):
        np.testing.assert_array_equal(y.numpy(), before.numpy())
    for name, t in module.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), state[name])


def has_its_golden_shapes(layer: Layer) -> None:
    shapes = {name: t.shape for name, t in layer.make().state_dict().items()}
    assert list(shapes.items()) == list(layer.state.items()), (
        f"{layer.name}: the state changed, so that old checkpoints do not load. If that is meant, "
        f"put {shapes} into the table and say so in the release notes."
    )


def shows_its_arguments(layer: Layer) -> None:
    module = layer.make()
    text = repr(module)
    assert text.startswith(f"{layer.name}(")
    assert text.endswith(")")
    if not isinstance(module, nn.Sequential):
        parameters = inspect.signature(type(module)).parameters.values()
        plain = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert bool(plain) == (text != f"{layer.name}()")


def takes_an_empty_batch(layer: Layer) -> None:
    """The shape of any batch, but for its length; no gradient, and no statistics."""
    for training in (True, False):
        module = layer.make().train(training)
        state = {name: t.numpy() for name, t in module.state_dict().items()}
        usual, *_ = tensors(layer.make().train(training)(*map(Tensor, layer.arrays())))
        for call in (module, lucid.jit(module)):
            of_steps = isinstance(module, nn.CTCLoss)  # whose batch is the second axis of them
            inputs = [
                Tensor(
                    x[:, :0] if of_steps and x.ndim == 3 else x[:0] if x.ndim else x,
                    requires_grad=x.dtype.kind == "f",
                )
                for x in layer.arrays()
            ]
            output, *others = tensors(call(*inputs))
            if usual.ndim:
                assert output.shape == (0, *usual.shape[1:])
            else:  # the mean of no losses
                assert np.isnan(output.item())
            if output.requires_grad:
                module.zero_grad()
                for y in (output, *others):
                    y.backward(retain_graph=True)
                assert all(x.grad is None or x.grad.shape == x.shape for x in inputs)
                for parameter in module.parameters():
                    np.testing.assert_array_equal(parameter.grad.numpy(), 0)
            for name, t in module.state_dict().items():
                np.testing.assert_array_equal(t.numpy(), state[name], err_msg=name)


PROPERTIES = [
    same_under_jit,
    keeps_dtype,
    comes_back_from_its_state_dict,
    is_deterministic_in_evaluation,
    has_its_golden_shapes,
    shows_its_arguments,
    takes_an_empty_batch,
]


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda c: c.name)
def test_layer(layer: Layer, holds: Callable[[Layer], None]) -> None:
    lucid.random.seed(0)  # of the weights
    holds(layer)


def test_the_table_is_complete() -> None:
    public = {
        name
        for name in nn.__all__
        if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
    }
    assert public == {layer.name for layer in LAYERS} | CONTAINERS
