"""state_dict against torch: names, order, shapes, exchange of values, and equal outputs."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.helpers import spaced

torch = pytest.importorskip("torch")


def build(nn, deconv):
    """One model in both libraries; `deconv` hides the order of their arguments."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Linear(3, 2, bias=False)
            self.register_parameter("none", None)
            self.a = nn.Parameter(torch.zeros(2) if nn is torch.nn else np.zeros(2))
            self.register_buffer("mean", torch.zeros(2) if nn is torch.nn else np.zeros(2))
            zeros = torch.zeros(1) if nn is torch.nn else np.zeros(1)
            self.register_buffer("hidden", zeros, persistent=False)

        def forward(self, x):
            return self.b(x) * self.a + self.mean

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.Sequential(
                OrderedDict(up=deconv(4, 6, 3, 2, 1, 1, 2), act=nn.ReLU(), conv=nn.Conv2d(6, 2, 3))
            )
            self.heads = nn.ModuleList([Head(), nn.Identity(), Head()])
            self.table = nn.ModuleDict({"z": nn.Conv1d(4, 2, 3, groups=2), "y": nn.Tanh()})
            self.scales = nn.ParameterList([nn.Parameter(self.heads[0].a)])
            self.tied = self.heads[0]
            self.extra = nn.ParameterDict({"k": self.heads[2].a})

        def forward(self, x):
            y = self.decoder(x)
            y = y.flatten(2)[..., :3]
            return self.heads[2](self.heads[0].b(y)[..., :1] + y)

    return Net()


def ours():
    return build(lucid.nn, lambda i, o, k, s, p, op, g: lucid.nn.ConvTranspose2d(
        i, o, k, stride=s, padding=p, output_padding=op, groups=g
    ))  # fmt: skip


def theirs():
    return build(torch.nn, lambda i, o, k, s, p, op, g: torch.nn.ConvTranspose2d(
        i, o, k, stride=s, padding=p, output_padding=op, groups=g
    ))  # fmt: skip


def shapes(state):
    return [(name, tuple(value.shape)) for name, value in state.items()]


def test_names_order_and_shapes():
    a, b = ours(), theirs()
    assert shapes(a.state_dict()) == shapes(b.state_dict())
    for method in ("named_parameters", "named_buffers"):
        assert shapes(dict(getattr(a, method)())) == shapes(dict(getattr(b, method)()))
    for method in ("named_modules", "named_children"):
        assert [n for n, _ in getattr(a, method)()] == [n for n, _ in getattr(b, method)()]
    assert shapes(a.state_dict(prefix="p.")) == shapes(b.state_dict(prefix="p."))


def test_values_go_both_ways_and_outputs_agree():
    a, b = ours(), theirs()
    a.load_state_dict({name: value.numpy() for name, value in b.state_dict().items()})
    x = spaced(2, 4, 4, 4).astype(np.float32)
    ours_x, theirs_x = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = a(ours_x), b(theirs_x)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(ours_x.grad.numpy(), theirs_x.grad.numpy(), rtol=1e-4, atol=1e-5)
    got = {n: p.grad for n, p in a.named_parameters()}
    for name, parameter in b.named_parameters():
        assert (got[name] is None) == (parameter.grad is None), name
        if parameter.grad is not None:
            grad = parameter.grad.numpy()
            np.testing.assert_allclose(got[name].numpy(), grad, rtol=1e-4, atol=1e-4)
    b.load_state_dict({n: torch.tensor(v.numpy()) for n, v in ours().state_dict().items()})


LAYERS = {
    "Linear": ((3, 5), {}),
    "Linear without bias": ((3, 5), {"bias": False}),
    "Conv1d": ((4, 6, 3), {"groups": 2}),
    "Conv2d": ((4, 6, (3, 2)), {"groups": 2, "bias": False}),
    "Conv3d": ((4, 6, (3, 2, 1)), {}),
    "ConvTranspose1d": ((4, 6, 3), {"groups": 2}),
    "ConvTranspose2d": ((4, 6, (3, 2)), {"groups": 2}),
    "ConvTranspose3d": ((4, 6, (3, 2, 1)), {"bias": False}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_torchs_parameters_and_initial_bounds(name):
    arguments, options = LAYERS[name]
    kind = name.split()[0]
    a = getattr(lucid.nn, kind)(*arguments, **options)
    b = getattr(torch.nn, kind)(*arguments, **options)
    assert shapes(a.state_dict()) == shapes(b.state_dict())
    fan_in, _ = torch.nn.init._calculate_fan_in_and_fan_out(b.weight)
    assert lucid.nn.init.fans(a.weight) == torch.nn.init._calculate_fan_in_and_fan_out(b.weight)
    ours = np.concatenate([getattr(lucid.nn, kind)(*arguments, **options).weight.numpy().ravel()
                           for _ in range(8)])  # fmt: skip
    theirs = np.concatenate([
        getattr(torch.nn, kind)(*arguments, **options).weight.detach().numpy().ravel()
        for _ in range(8)
    ])  # fmt: skip
    for values in (ours, theirs):
        assert np.abs(values).max() <= fan_in**-0.5
        assert np.abs(values).max() > 0.9 * fan_in**-0.5


@pytest.mark.parametrize("nonlinearity", [
    "linear", "conv1d", "conv_transpose2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu",
])  # fmt: skip
def test_gains_are_torchs(nonlinearity):
    ours, theirs = lucid.nn.init.calculate_gain, torch.nn.init.calculate_gain
    assert ours(nonlinearity) == theirs(nonlinearity)
    assert ours(nonlinearity, 0.3) == theirs(nonlinearity, 0.3)


@pytest.mark.parametrize(("fill", "shape", "options"), [
    ("eye", (3, 5), {}), ("dirac", (4, 3, 3), {}), ("dirac", (4, 1, 2, 3), {"groups": 2}),
    ("dirac", (2, 3, 1, 3, 4), {}),
])  # fmt: skip
def test_initialisers_that_draw_nothing_are_torchs(fill, shape, options):
    w, v = lucid.empty(shape), torch.empty(shape)
    getattr(lucid.nn.init, fill)(w, **options)
    getattr(torch.nn.init, f"{fill}_")(v, **options)
    np.testing.assert_array_equal(w.numpy(), v.numpy())


@pytest.mark.parametrize("fill", [
    "trunc_normal", "orthogonal", "xavier_uniform", "xavier_normal", "kaiming_uniform",
    "kaiming_normal",
])  # fmt: skip
@pytest.mark.parametrize("shape", [(60, 80), (24, 16, 3, 5)])
def test_initialisers_have_torchs_statistics(fill, shape):
    w, v = lucid.empty(shape), torch.empty(shape)
    getattr(lucid.nn.init, fill)(w)
    getattr(torch.nn.init, f"{fill}_")(v)
    # The standard error of a standard deviation of 4800 values is about 1 percent.
    assert w.numpy().std() == pytest.approx(v.numpy().std(), rel=0.08)
    if "uniform" in fill:
        assert np.abs(w.numpy()).max() == pytest.approx(v.abs().max().item(), rel=0.02)
