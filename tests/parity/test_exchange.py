"""Three models written in both libraries: weights go both ways, and all numbers agree.

Two arrays agree when no difference is larger than 1e-5 of the largest value. It is not 1e-5 of
each value, for an element near 0 is a sum whose terms cancel, and float32 rounds the terms.
"""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor

torch = pytest.importorskip("torch")


# --- Models -----------------------------------------------------------------------------------


def generator(nn):
    """DCGAN, arXiv:1511.06434, narrower."""
    layers = []
    for channels, out, stride, padding in [(12, 24, 1, 0), (24, 16, 2, 1), (16, 8, 2, 1)]:
        layers += [
            nn.ConvTranspose2d(channels, out, 4, stride=stride, padding=padding, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1), nn.Tanh())


def unet(nn):
    """U-Net, arXiv:1505.04597, with two levels and BatchNorm."""

    def double(channels, out):
        return nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
        )  # fmt: skip

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.ModuleList([double(3, 6), double(6, 12)])
            self.pool = nn.MaxPool2d(2)
            self.bottom = double(12, 24)
            self.up = nn.ModuleList(
                [nn.ConvTranspose2d(24, 12, 2, stride=2), nn.ConvTranspose2d(12, 6, 2, stride=2)]
            )
            self.merge = nn.ModuleList([double(24, 12), double(12, 6)])
            self.head = nn.Conv2d(6, 2, 1)

        def forward(self, x):
            skips = []
            for block in self.down:
                skips.append(block(x))
                x = self.pool(skips[-1])
            x = self.bottom(x)
            for up, merge in zip(self.up, self.merge, strict=True):
                skip = skips.pop()
                x = merge(torch.cat([skip, up(x)], 1) if nn is torch.nn
                          else lucid.concatenate([skip, up(x)], 1))  # fmt: skip
            return self.head(x)

    return UNet()


def encoder(nn):
    """ResNet, arXiv:1512.03385: a stem, two stages of basic blocks, and a projection."""

    class Block(nn.Module):
        def __init__(self, channels, out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.relu = nn.ReLU()
            self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.downsample = None
            if stride > 1 or channels != out:
                self.downsample = nn.Sequential(
                    nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(
                nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.MaxPool2d(3, stride=2, padding=1),
            )  # fmt: skip
            self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
            self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(16, 5)

        def forward(self, x):
            return self.fc(self.pool(self.layer2(self.layer1(self.stem(x)))).flatten(1))

    return Encoder()


MODELS = {generator: (4, 12, 1, 1), unet: (2, 3, 16, 16), encoder: (4, 3, 32, 32)}
each_model = pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)


def pair(build):
    torch.manual_seed(0)
    theirs = build(torch.nn)
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            if value.ndim == 1:  # as after training: the scales are not all ones
                value.add_(torch.randn_like(value) * 0.2)
            assert value.requires_grad, name
    return build(lucid.nn), theirs


# --- Numbers ----------------------------------------------------------------------------------


def agree(ours, theirs, what):
    ours, theirs = np.asarray(ours), theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    error, scale = np.abs(ours - theirs).max(), np.abs(theirs).max()
    assert scale > 0, what
    assert error <= 1e-5 * scale, f"{what}: {error / scale:.1e} of the largest value"


def compare(ours, theirs, shape, seed):
    """Outputs, gradients of the input and of all parameters, and statistics afterwards."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(np.float32)
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a), theirs(b)
    agree(y.detach(), z, "output")
    weights = rng.standard_normal(y.shape).astype(np.float32)
    ours.zero_grad()
    theirs.zero_grad()
    y.backward(Tensor(weights))
    z.backward(torch.tensor(weights))
    agree(a.grad, b.grad, "gradient of the input")
    gradients = {name: value.grad for name, value in ours.named_parameters()}
    for name, value in theirs.named_parameters():
        agree(gradients.pop(name), value.grad, f"gradient of {name}")
    assert not gradients
    buffers = dict(ours.named_buffers())
    for name, value in theirs.named_buffers():
        agree(buffers.pop(name), value, name)
    assert not buffers


@pytest.mark.slow
@each_model
def test_weights_go_both_ways_and_all_numbers_agree(build):
    ours, theirs = pair(build)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for step in range(2):  # the second starts from statistics that the first has changed
        compare(ours, theirs, MODELS[build], seed=step)
    ours.eval(), theirs.eval()
    compare(ours, theirs, MODELS[build], seed=2)
    for give in (torch.from_dlpack, lambda value: torch.as_tensor(value.numpy())):
        again = build(torch.nn)
        again.load_state_dict({name: give(value) for name, value in ours.state_dict().items()})
        again.eval()
        compare(ours, again, MODELS[build], seed=3)


@each_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_safetensors_go_both_ways(build, dtype, tmp_path):
    files = pytest.importorskip("safetensors.torch")
    ours, theirs = pair(build)
    ours.to(str(dtype).removeprefix("torch."))
    state = theirs.to(dtype).state_dict()
    files.save_file(state, tmp_path / "theirs.safetensors")
    loaded = lucid.load(tmp_path / "theirs.safetensors")
    assert {name: str(value.dtype) for name, value in loaded.items()} == {
        name: str(value.dtype).removeprefix("torch.").replace("int64", "int32")
        for name, value in state.items()
    }
    ours.load_state_dict(loaded)
    lucid.save(ours.state_dict(), tmp_path / "ours.safetensors")
    back = files.load_file(tmp_path / "ours.safetensors")
    for name, value in state.items():
        assert torch.equal(back[name], value), name
        assert back[name].dtype == value.dtype or name.endswith("num_batches_tracked")
    build(torch.nn).to(dtype).load_state_dict(back)


# --- Values of PyTorch ------------------------------------------------------------------------

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("give", [
    torch.nn.Parameter,
    lambda w: torch.nn.Parameter(w.bfloat16()),
    lambda w: w.double(),
    lambda w: w.half(),
    lambda w: (w * 3).long(),
    lambda w: torch.stack([w, w], 2)[..., 0],
    lambda w: torch.stack([w, w], 2).bfloat16()[..., 0],
    lambda w: w.T.contiguous().bfloat16().T,
    lambda w: w[:1].expand(2, 3),
    lambda w: (w * w.clone().requires_grad_()),
], ids=["Parameter", "bfloat16 Parameter", "float64", "float16", "int64", "with gaps",
        "bfloat16 with gaps", "transposed bfloat16", "expanded", "of a graph"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_tensor_of_torch_loads(give, dtype):
    value = give(torch.tensor(RNG.standard_normal((2, 3)), dtype=torch.float32))
    layer = lucid.nn.Linear(3, 2, bias=False).to(dtype)
    weight = layer.weight
    layer.load_state_dict({"weight": value})
    assert layer.weight is weight
    assert weight.dtype == dtype
    expected = value.detach().to(getattr(torch, dtype)).float().numpy()
    np.testing.assert_array_equal(weight.float().numpy(), expected)


def test_loaded_values_are_copies():
    source = torch.nn.Linear(64, 64)
    layer = lucid.nn.Linear(64, 64)
    layer.load_state_dict(source.state_dict())
    before = layer.weight.numpy()
    with torch.no_grad():
        source.weight.zero_()
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_tied_parameters_of_torch_stay_tied():
    def tied(nn):
        return nn.Sequential(layer := nn.Linear(3, 3), nn.ReLU(), layer)

    ours, theirs = tied(lucid.nn), tied(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    assert ours[0].weight is ours[2].weight
    assert len(list(ours.parameters())) == 2
    np.testing.assert_array_equal(ours[2].weight.numpy(), theirs[0].weight.detach().numpy())


def test_what_torch_gives_no_values_of_is_named():
    values = {"weight": torch.empty(2, 3, device="meta"), "bias": torch.ones(2) * 1j}
    layer = lucid.nn.Linear(3, 2)
    before = layer.weight.numpy()
    with pytest.raises(ValueError, match=r"changed\.\n  weight: Tensor that gives no array .*\n"
                       r"  bias: dtype complex64 instead of float32$"):  # fmt: skip
        layer.load_state_dict(values)
    np.testing.assert_array_equal(layer.weight.numpy(), before)


# --- DLPack -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int32", "bool"])
def test_dlpack_shares_memory_both_ways(dtype):
    x = Tensor(RNG.standard_normal((8, 16)) > 0 if dtype == "bool" else
               RNG.standard_normal((8, 16)) * 9).to(dtype)  # fmt: skip
    y = torch.from_dlpack(x)
    assert (str(y.dtype), tuple(y.shape)) == (f"torch.{dtype}", x.shape)
    assert y.data_ptr() == x.data.unsafe_buffer_pointer()
    assert y.tolist() == x.tolist()
    z = lucid.from_dlpack(y)
    assert z.dtype == x.dtype
    assert z.data.unsafe_buffer_pointer() == y.data_ptr()
    transposed = lucid.from_dlpack(y.T)
    assert transposed.tolist() == x.T.tolist()
    gaps = lucid.from_dlpack(y[:, ::2])
    assert gaps.tolist() == x[:, ::2].tolist()


@pytest.mark.parametrize("export", [
    torch.from_dlpack,
    lambda w: torch.from_dlpack(w.detach()),
    lambda w: torch.from_dlpack(w.data)[1:].reshape(-1),
    lambda w: torch.from_dlpack(np.from_dlpack(w)),
], ids=["Parameter", "detached", "view of jax array", "through NumPy"])  # fmt: skip
def test_memory_that_torch_holds_is_not_reused(export):
    model = lucid.nn.Linear(64, 64)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.5)

    @lucid.jit
    def step(x):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()

    x = lucid.random.randn(2, 64)
    step(x)
    step(x)
    at = model.weight.data.unsafe_buffer_pointer()
    held = export(model.weight)
    assert held.data_ptr() - at in (0, 4 * 64)
    before = held.clone()
    for _ in range(3):
        step(x)
    assert torch.equal(held, before)
    assert np.abs(model.weight.numpy().ravel()[-64:] - before.ravel()[-64:].numpy()).max() > 0
