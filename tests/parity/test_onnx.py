"""Exported graphs: onnxruntime computes what the Module computes, for batches of any size."""

import sys

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def randomised(module, seed=0):
    """The Module in evaluation mode with random values in all Parameters and Buffers."""
    rng = np.random.default_rng(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        low, high = (0.5, 1.5) if name.endswith(("var", "v", "g")) else (-0.4, 0.4)
        tensor.data = rng.uniform(low, high, tensor.shape).astype(tensor.dtype)
    return module.eval()


def check(module, *shapes, path, batches=(1, 3), dtype=np.float32, low=-2, high=2):
    """The graph of `module`, after its outputs were compared for several batch sizes.

    Args:
        shapes: of the inputs, without the batch.
    """
    rng = np.random.default_rng(1)
    example = tuple(np.zeros((2, *shape), dtype) for shape in shapes)
    written = lucid.onnx.export(module, example, path / "model.onnx")
    model = onnx.load(written)
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(written)
    names = [value.name for value in session.get_inputs()]
    for value in session.get_inputs():
        assert value.shape[0] == "batch"
    for batch in batches:
        inputs = [rng.uniform(low, high, (batch, *shape)).astype(dtype) for shape in shapes]
        expected = module(*map(Tensor, inputs))
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(None, dict(zip(names, inputs, strict=True)))
        assert len(found) == len(expected)
        for ours, target in zip(found, expected, strict=True):
            assert ours.dtype == target.dtype
            assert ours.shape == target.shape
            assert ours.size and np.ptp(target.numpy()) > 0  # there is something to compare
            np.testing.assert_allclose(ours, target.numpy(), rtol=1e-5, atol=1e-5)
    return model.graph


def op_types(graph):
    return [node.op_type for node in graph.node]


class Of(nn.Module):
    """A function as a Module."""

    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *inputs):
        return self.fn(*inputs)


# --- Models -----------------------------------------------------------------------------------


def dcgan_generator():
    layers = [nn.ConvTranspose2d(16, 12, 4), nn.BatchNorm2d(12), nn.ReLU()]
    for i, o in ((12, 8), (8, 6)):
        layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh())


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(2, o), nn.SiLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.middle = block(3, 8), block(8, 12), block(12, 16)
        self.pool = nn.MaxPool2d(2)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 12, 2, 2), nn.ConvTranspose2d(12, 8, 2, 2)
        self.join2, self.join1 = block(24, 12), block(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.middle(self.pool(b))
        b = self.join2(lucid.concatenate([self.up2(c), b], axis=1))
        a = self.join1(lucid.concatenate([self.up1(b), a], axis=1))
        return self.head(a) + x[:, :2] * 0.5


class VAEDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(5, 8 * 4 * 4)
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(8, 16, 3, padding="same"), nn.ELU(),
            nn.PixelShuffle(2), nn.Dropout(0.3), nn.Conv2d(4, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, z):
        h = F.relu(self.hidden(z)).reshape(z.shape[0], 8, 4, 4)
        return F.sigmoid(self.up(h))


class Vocoder(nn.Module):
    """HiFi-GAN's shape: upsampling, and sums of dilated residual blocks."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(10, 16, 7, padding=3)
        self.ups = nn.ModuleList(
            [nn.ConvTranspose1d(16, 8, 8, 4, 2), nn.ConvTranspose1d(8, 4, 5, 2, 2, 1)]
        )
        self.blocks = nn.ModuleList(
            [
                nn.ModuleList(
                    [nn.Conv1d(c, c, 3, padding=d, dilation=d, padding_mode="reflect")
                     for d in (1, 3)]
                )
                for c in (8, 4)
            ]
        )  # fmt: skip
        self.last = nn.utils.weight_norm(nn.Conv1d(4, 1, 7, padding=3))

    def forward(self, mel):
        x = self.first(mel)
        for up, convs in zip(self.ups, self.blocks, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = sum(conv(F.leaky_relu(x)) + x for conv in convs) / len(convs)
        return lucid.tanh(self.last(x)).squeeze(axis=1)


def classifier():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardtanh(),
        nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, 3, groups=4), nn.PReLU(8), nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 10), nn.LogSoftmax(),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "shape", "expected"),
    [
        (dcgan_generator, (16, 1, 1), {"ConvTranspose": 4, "BatchNormalization": 3, "Relu": 3}),
        (UNet, (3, 16, 16), {"ConvTranspose": 2, "Concat": 2, "MaxPool": 2}),
        (VAEDecoder, (5,), {"Gemm": 1, "Resize": 1, "DepthToSpace": 1, "Sigmoid": 1}),
        (Vocoder, (10, 12), {"ConvTranspose": 2, "Conv": 6}),
        (classifier, (1, 28, 28), {"MaxPool": 1, "GlobalAveragePool": 1, "PRelu": 1}),
    ],
)
def test_models(make, shape, expected, tmp_path):
    module = randomised(make())
    graph = check(module, shape, path=tmp_path)
    for op_type, count in expected.items():
        assert op_types(graph).count(op_type) == count


# --- Single layers ----------------------------------------------------------------------------


def conv_cases():
    for rank in (1, 2, 3):
        layer = getattr(nn, f"Conv{rank}d")
        size = (9, 8, 7)[:rank]
        yield layer(4, 6, 3, stride=2, padding=1, groups=2), size
        yield layer(4, 6, 4, padding="same", dilation=2), size
        yield layer(4, 4, (3, 2, 1)[:rank], padding=((2, 0), (0, 1), (1, 1))[:rank]), size
        for mode in ("reflect", "replicate", "circular"):
            yield layer(4, 5, 3, padding=2, padding_mode=mode, bias=False), size


def conv_transpose_cases():
    for rank in (1, 2, 3):
        layer = getattr(nn, f"ConvTranspose{rank}d")
        size = (5, 4, 3)[:rank]
        yield layer(4, 6, 4, stride=2, padding=1, groups=2), size
        yield layer(4, 6, 3, stride=3, output_padding=2, bias=False), size
        yield (
            layer(4, 6, 3, stride=(2, 3, 1)[:rank], padding=1, output_padding=(1, 2, 0)[:rank]),
            size,
        )
        yield layer(4, 4, 3, dilation=3, output_padding=2, groups=4), size
        yield layer(4, 6, 4, padding="same", dilation=2), size
        yield layer(4, 6, (4, 3, 2)[:rank], stride=2, padding=((2, 0), (0, 1), (1, 1))[:rank]), size
        yield layer(4, 6, 2, stride=3, padding=2), size  # crops more than the kernel's reach


def pool_cases():
    for rank in (1, 2, 3):
        size = (10, 11, 9)[:rank]
        for kind in ("Max", "Avg"):
            layer = getattr(nn, f"{kind}Pool{rank}d")
            for ceil in (False, True):
                yield layer(3, 2, 1, ceil_mode=ceil), size
                yield layer(2, 3, ceil_mode=ceil), size
                yield layer(4, 3, 2, ceil_mode=ceil), size
            adaptive = getattr(nn, f"Adaptive{kind}Pool{rank}d")
            yield adaptive(1), size
            yield adaptive((5, 11, None)[:rank]), size
        yield getattr(nn, f"MaxPool{rank}d")(3, 2, 1, dilation=2, ceil_mode=True), size
        yield getattr(nn, f"AvgPool{rank}d")(3, 2, 1, ceil_mode=True, count_include_pad=False), size


def resize_cases():
    modes = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
    for rank in (1, 2, 3):
        size = (6, 5, 4)[:rank]
        yield nn.Upsample(scale_factor=2), size
        yield nn.Upsample(size=(14, 15, 5)[:rank]), size
        yield nn.Upsample(scale_factor=1.3), size
        for mode in modes[rank]:
            for corners in (False, True):
                yield nn.Upsample(scale_factor=2, mode=mode, align_corners=corners), size
                yield nn.Upsample(size=(9, 3, 6)[:rank], mode=mode, align_corners=corners), size
                yield nn.Upsample(scale_factor=1.3, mode=mode, align_corners=corners), size
    yield nn.PixelShuffle(2), (3, 5)


def norm_cases():
    for rank in (1, 2, 3):
        size = (5, 4, 3)[:rank]
        yield getattr(nn, f"BatchNorm{rank}d")(4, eps=0.1), size
        yield getattr(nn, f"BatchNorm{rank}d")(4, affine=False), size
        yield getattr(nn, f"InstanceNorm{rank}d")(4), size
        yield getattr(nn, f"InstanceNorm{rank}d")(4, track_running_stats=False), size
        yield nn.GroupNorm(2, 4), size
    yield nn.BatchNorm1d(4), ()
    yield nn.GroupNorm(2, 4, affine=False), (3,)
    yield nn.LayerNorm((3, 5)), (3, 5)
    yield nn.LayerNorm(5, elementwise_affine=False), (3, 5)


def activation_cases():
    size = (5, 6)
    for layer in (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.LeakyReLU(0.3), nn.PReLU(),
                  nn.PReLU(4), nn.ELU(0.7), nn.SELU(), nn.GELU(), nn.GELU("tanh"), nn.Sigmoid(),
                  nn.HardSigmoid(), nn.SiLU(), nn.HardSwish(), nn.Mish(), nn.Softplus(),
                  nn.Softplus(2.0, 1.0), nn.Tanh(), nn.Softmax(1), nn.LogSoftmax(2),
                  nn.Softmax()):  # fmt: skip
        yield layer, size
    yield nn.PReLU(4), ()


def linear_cases():
    yield nn.Linear(4, 3), ()
    yield nn.Linear(4, 3, bias=False), ()
    yield nn.Linear(5, 3), (5,)
    yield nn.Linear(5, 3, bias=False), (2, 5)
    yield nn.Flatten(), (2, 3)
    yield nn.Flatten(2), (2, 3, 2)
    yield nn.Flatten(0, 1), (2, 3)
    yield nn.Unflatten(1, (2, -1)), (3,)
    for dropout in (nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.Identity()):
        yield dropout, (3, 3)


CASES = [
    case
    for cases in (conv_cases, conv_transpose_cases, pool_cases, resize_cases, norm_cases,
                  activation_cases, linear_cases)
    for case in cases()
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "size"), CASES, ids=[f"{layer!r} {size}".replace("\n", "") for layer, size in CASES]
)
def test_layers(layer, size, tmp_path):
    high = 9 if isinstance(layer, nn.ReLU6 | nn.HardSwish) else 2
    check(randomised(layer), (4, *size), path=tmp_path, low=-high, high=high)


# --- Forward code -----------------------------------------------------------------------------

FUNCTIONS = [
    lambda x: (x + 1) * 2 - x / 3 + 1 / (x * x + 1) - (-x) ** 3,
    lambda x: lucid.where(x > 0.2, x, x.abs().sqrt()) * (x <= 1),
    lambda x: lucid.maximum(x, 0.1) + lucid.minimum(x, x.clip(-0.5, 0.5)),
    lambda x: lucid.exp(x).sum(axis=1) + x.mean(axis=(1,)) + x.max(axis=-2) - x.min(axis=1),
    lambda x: x.transpose((0, 2, 1)) @ x.swapaxes(1, 2).swapaxes(-1, 1),
    lambda x: x.reshape(-1, 6).pad(((0, 0), (1, 2)), 0.5),
    lambda x: x.reshape(x.shape[0], 3, 2, 4).unsqueeze(1).squeeze(axis=1),
    lambda x: tuple(x.split(2, axis=1)) + tuple(x.chunk(2, axis=2)) + (x[:, 0],),
    lambda x: x[:, 1:-1, ::2] + x[:, 3:1:-1, None, 0] + x[:, -2:, ::-2],
    lambda x: lucid.concatenate([x, x.square(), -x], axis=-1),
    lambda x: (x, x * lucid.arange(6).astype("float32"), x.astype("int32").float()),
    lambda x: lucid.arange(2).float() + x.sum(axis=(1, 2), keepdims=False).reshape(-1, 1),
]


@pytest.mark.parametrize("i", range(len(FUNCTIONS)))
def test_forward_code(i, tmp_path):
    check(Of(FUNCTIONS[i]), (4, 6), path=tmp_path)


def test_several_inputs(tmp_path):
    table = nn.Parameter(np.random.default_rng(0).normal(size=(3, 4)))

    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = table

        def forward(self, image, label):
            return image + F.embedding(label, self.table)[:, :, None]

    path = lucid.onnx.export(
        Conditional(), (lucid.zeros(1, 4, 5), Tensor([0])), tmp_path / "model.onnx"
    )
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["image", "label"]
    assert "table" in [constant.name for constant in graph.initializer]
    x = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    label = np.array([2, 0, 1], np.int32)
    (found,) = runtime.InferenceSession(path).run(None, {"image": x, "label": label})
    np.testing.assert_allclose(found, x + table.numpy()[label][:, :, None], rtol=1e-6)


def test_weights_have_their_names_and_a_constant_is_computed_once(tmp_path):
    module = nn.utils.weight_norm(nn.Conv1d(4, 2, 3))
    graph = check(randomised(module), (4, 6), path=tmp_path)
    assert op_types(graph) == ["Conv"]
    assert "bias" in [constant.name for constant in graph.initializer]


# --- Errors -----------------------------------------------------------------------------------


class Inner(nn.Module):
    def forward(self, x):
        return x.cumsum(axis=1)


def adaptive():
    return nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool1d(2))


REFUSED = [
    (nn.Sequential(nn.ReLU(), nn.Sequential(Inner())), NotImplementedError,
     r'the operation "cumsum" of "1.0" \(Inner\) cannot be written as ONNX: it has no translation'),
    (adaptive(), NotImplementedError,
     r'"adaptive_avg_pool" of "1" \(AdaptiveAvgPool1d\) .* output_size=2 must .* got \(3,\)'),
    (Of(lambda x: x * float(x.sum())), ValueError, r"reads the values of a Tensor of shape \(\)"),
    (Of(lambda x: x if x.sum() > 0 else -x), ValueError, r"reads the values of a Tensor"),
    (Of(lambda x: x * lucid.ones(x.shape[0], 1, 1)), ValueError,
     r'a constant in the operation "multiply" of Of is computed from the batch size'),
    (Of(lambda x: -x if x.shape[0] == 1 else x), ValueError, r"runs other operations for a batch"),
    (Of(lambda x: x.sum(axis=0) if x.shape[0] < 2 else x.sum(axis=1)), ValueError,
     r"runs other operations|arguments of the operation \"sum\" of Of depend on the batch size"),
    (Of(lambda x: "text"), ValueError, r"must return Tensors, got \['str'\]"),
    (nn.Sequential(nn.BatchNorm1d(4)), NotImplementedError,
     r'"batch_norm_training" of "0" \(BatchNorm1d\) .* Does the Module need eval\(\)'),
    (nn.Sequential(nn.Dropout()), NotImplementedError,
     r'"dropout" of "0" \(Dropout\) cannot be written as ONNX: it has no translation. Does the'),
    (Of(lambda x: x + lucid.randn(1, 4, 1)), ValueError, r"changes the value of a random gener"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "error", "message"), REFUSED)
def test_what_is_refused_changes_nothing(module, error, message, tmp_path):
    before = {name: value.numpy() for name, value in module.state_dict().items()}
    seed = lucid.random.default_generator().state.numpy()
    with pytest.raises(error, match=message):
        lucid.onnx.export(module, np.zeros((1, 4, 3), np.float32), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(lucid.random.default_generator().state.numpy(), seed)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_the_example_needs_a_batch(tmp_path):
    with pytest.raises(
        ValueError, match=r"the batch, of one size .* got shapes \[\(2,\), \(3,\)\]"
    ):
        lucid.onnx.export(Of(lucid.add), (lucid.zeros(2), lucid.zeros(3)), tmp_path / "model.onnx")


def test_attributes_that_the_forward_pass_sets_are_put_back(tmp_path):
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = None

        def forward(self, x):
            self.seen = x + 1
            return self.seen * 2

    module = Remembers()
    check(module, (3,), path=tmp_path)
    lucid.onnx.export(fresh := Remembers(), lucid.zeros(1, 3), tmp_path / "fresh.onnx")
    assert fresh.seen is None


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx.checker", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lucid-jax\[onnx\]"'):
        lucid.onnx.export(nn.ReLU(), lucid.zeros(1, 3), tmp_path / "model.onnx")


# --- Attention ----------------------------------------------------------------------------------


class Attends(nn.Module):
    """Attention of a sequence to itself or to another, with a mask."""

    def __init__(self, mask=None, is_causal=False, **options):
        super().__init__()
        self.attention = nn.MultiHeadAttention(8, 2, **options)
        self.mask, self.is_causal = mask, is_causal

    def forward(self, x, memory=None):
        memory = x if memory is None else memory
        return self.attention(x, memory, memory, attn_mask=self.mask, is_causal=self.is_causal)


HIDDEN = np.random.default_rng(2).uniform(size=(5, 5)) < 0.5
HIDDEN[1] = True  # a query that sees no key


@pytest.mark.parametrize(
    "module, shapes",
    [
        (Attends(), [(5, 8)]),
        (Attends(), [(3, 8), (5, 8)]),
        (Attends(is_causal=True), [(5, 8)]),
        (Attends(mask=HIDDEN), [(5, 8)]),
        (Attends(mask=np.where(HIDDEN, -np.inf, 0.3).astype("f")), [(5, 8)]),
        (Attends(mask=HIDDEN, is_causal=True), [(5, 8)]),
        (Attends(bias=False), [(5, 8)]),
        (Attends(kdim=3, vdim=3), [(5, 8), (4, 3)]),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2), [(5, 8)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_attention(module, shapes, tmp_path):
    check(randomised(module), *shapes, path=tmp_path)


def test_attention_with_groups_of_heads_is_refused(tmp_path):
    module = Of(lambda q: F.scaled_dot_product_attention(q, q[:, :1], q[:, :1], enable_gqa=True))
    with pytest.raises(NotImplementedError, match="with enable_gqa it has no translation"):
        lucid.onnx.export(module, np.zeros((2, 2, 5, 8), "f"), tmp_path / "model.onnx")


class Repeats(nn.Module):
    """A layer that is computed anew in the backward pass, three times in a row."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        def turn(carry, _):
            return lucid.checkpoint(self.layer, carry).tanh(), None

        return lucid.scan(turn, x, length=3)[0]


def test_a_loop_is_unrolled_and_a_branch_refused(tmp_path):
    check(randomised(Repeats()), (4,), path=tmp_path)
    branch = Of(lambda x: lucid.cond(x.sum() > 0, lambda: x, lambda: -x))
    with pytest.raises(ValueError, match=r"they exist only when the graph runs\..*lucid\.where"):
        lucid.onnx.export(branch, np.zeros((2, 3), "f"), tmp_path / "model.onnx")
