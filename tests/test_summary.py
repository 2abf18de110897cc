"""lucid.summary: layers, shapes, Parameters and costs of a forward pass that is not run."""

import copy

import jax
import numpy as np
import pytest

import lucid
from lucid import nn
from tests.helpers import count_compiles


def decoder():
    return nn.Sequential(
        nn.ConvTranspose2d(6, 4, kernel_size=4, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.ReLU(), nn.Dropout(0.5)),
        nn.Conv2d(4, 3, kernel_size=1, bias=False),
    )


def test_layers_come_in_the_order_of_their_calls_with_shapes_and_parameters():
    found = lucid.summary(decoder(), lucid.zeros(2, 6, 5, 5))
    up = ((2, 4, 10, 10),)
    assert [layer[:4] for layer in found.layers] == [
        ("", "Sequential", ((2, 3, 10, 10),), 0),
        ("0", "ConvTranspose2d", up, 6 * 4 * 16 + 4),
        ("1", "BatchNorm2d", up, 8),
        ("2", "Sequential", up, 0),
        ("2.0", "ReLU", up, 0),
        ("2.1", "Dropout", up, 0),
        ("3", "Conv2d", ((2, 3, 10, 10),), 12),
    ]
    assert found.parameters == decoder().count_parameters() == 6 * 4 * 16 + 4 + 8 + 12


@pytest.mark.parametrize(
    "layer, shape, flops",
    [
        (nn.Linear(16, 8, bias=False), (4, 16), 2 * 4 * 16 * 8),
        (nn.Conv2d(3, 5, 1, bias=False), (2, 3, 6, 6), 2 * 2 * 3 * 5 * 36),
        # Each input pixel meets the whole kernel; what falls outside the output is computed too.
        (nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), (2, 8, 9, 9), 2 * 2 * 8 * 4 * 16 * 81),
        (nn.ReLU(), (2, 3), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_floating_point_operations_are_those_of_the_products(layer, shape, flops):
    found = lucid.summary(layer, lucid.zeros(*shape))
    assert flops <= found.flops <= 1.2 * flops
    assert found.flops == found.layers[0].flops
    assert found.bytes_accessed >= 4 * np.prod(shape)


def test_the_module_is_as_it_was_and_nothing_is_run():
    model, generator = decoder(), lucid.random.default_generator()
    seen = []
    model[1].register_forward_hook(lambda module, args, output: seen.append(module))
    compiled = lucid.jit(model)
    x = lucid.randn(2, 6, 5, 5)
    compiled(x)
    before = copy.deepcopy(model.state_dict()), generator.state.numpy()
    hooks = [m._hooks for m in model.modules()]
    lucid.summary(model, x)
    after = model.state_dict(), generator.state.numpy()
    for name, value in before[0].items():
        np.testing.assert_array_equal(value.numpy(), after[0][name].numpy())
    np.testing.assert_array_equal(before[1], after[1])
    assert [m._hooks for m in model.modules()] == hooks and model.training
    with count_compiles(0):  # nor does a program look again
        compiled(x)


def test_a_layer_that_is_called_twice_has_its_parameters_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x))

    found = lucid.summary(Tied(), jax.ShapeDtypeStruct((2, 3), "float32"))
    assert [(layer.name, layer.parameters) for layer in found.layers] == [
        ("", 0), ("layer", 12), ("layer", 0),
    ]  # fmt: skip
    assert found.parameters == 12
    assert found.layers[1].flops == found.layers[2].flops


def test_layers_in_loops_and_branches_come_once():
    layer = nn.Linear(3, 3)

    class Calls(nn.Module):
        def __init__(self, call):
            super().__init__()
            self.layer, self.call = layer, call

        def forward(self, x):
            return self.call(x)

    def loop(body, x):
        return lucid.scan(lambda c, _: (body(c), None), x, length=3)[0]

    calls = {
        "plain": layer,
        "checkpoint": lambda x: lucid.checkpoint(layer, x),
        "scan": lambda x: loop(layer, x),
        "while_loop": lambda x: lucid.while_loop(lambda c: (c > 0).all(), layer, x),
        "checkpoint in scan": lambda x: loop(lambda c: lucid.checkpoint(layer, c), x),
    }
    found = {
        name: [
            (row.name, row.shapes, row.parameters, row.flops)
            for row in lucid.summary(Calls(call), lucid.zeros(2, 3)).layers
            if row.name
        ]
        for name, call in calls.items()
    }
    assert len(found["plain"]) == 1 and found["plain"][0][3] > 0
    assert all(rows == found["plain"] for rows in found.values())


def test_several_results_and_several_arguments():
    recurrent = lucid.summary(nn.LSTM(4, 3), lucid.zeros(7, 2, 4))
    assert recurrent.layers[0].shapes == ((7, 2, 3), (1, 2, 3), (1, 2, 3))
    attention = nn.MultiHeadAttention(8, 2)
    x, memory = lucid.zeros(2, 5, 8), lucid.zeros(2, 3, 8)
    names = [layer.name for layer in lucid.summary(attention, x, memory, memory).layers]
    assert names == ["", "out_proj"]


def test_the_table():
    model = nn.Sequential(nn.Linear(2000, 1000), nn.Sequential(nn.ReLU()))
    assert (
        repr(lucid.summary(model, lucid.zeros(100, 2000)))
        == """\
layer  class       output       parameters  MFLOP   MiB
-------------------------------------------------------
       Sequential  (100, 1000)
0      Linear      (100, 1000)   2,001,000    400  10.3
1      Sequential  (100, 1000)
  0    ReLU        (100, 1000)                0.1  1.53
-------------------------------------------------------
total                            2,001,000    400  11.9"""
    )


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"^summary: a Module is needed, got function\.$"):
        lucid.summary(lambda x: x, lucid.zeros(2))
    with pytest.raises(lucid.JitError, match="needs the value of a Tensor"):
        lucid.summary(Reads(), lucid.zeros(2))


class Reads(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x
