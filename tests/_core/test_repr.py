"""How a Tensor prints, and where it is."""

from __future__ import annotations

import jax
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import run_python


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Tensor([1.0, 2.5]), "Tensor([1. , 2.5])"),
        (lambda: Tensor(2.0), "Tensor(2.)"),
        (lambda: Tensor([1, 2]), "Tensor([1, 2], dtype=int32)"),
        (lambda: Tensor([0.5], dtype="bfloat16"), "Tensor([0.5], dtype=bfloat16)"),
        (lambda: Tensor([[1.0], [2.0]]), "Tensor([[1.],\n        [2.]])"),
        (lambda: Tensor([1.0], requires_grad=True), "Tensor([1.], requires_grad=True)"),
        (lambda: Tensor([2.0], requires_grad=True) * 3, "Tensor([6.], grad_fn=<multiply>)"),
        (lambda: nn.Parameter([1.0]), "Parameter([1.])"),
        (lambda: nn.Parameter([1.0], dtype="float16"), "Parameter([1.], dtype=float16)"),
        (lambda: nn.Buffer([[1.0], [2.0]]), "Buffer([[1.],\n        [2.]])"),
        (lambda: lucid.zeros(0, 3), "Tensor([], shape=(0, 3))"),
    ],
)  # fmt: skip
def test_repr(make, text):
    assert repr(make()) == text


def test_repr_of_a_large_tensor_is_short():
    text = repr(lucid.zeros(1000, 1000))
    assert "..." in text
    assert len(text) < 500


def test_repr_in_a_trace():
    texts = []
    jax.jit(lambda x: texts.append(repr(x)) or x)(Tensor([1.0, 2.0]))
    assert texts == ["Tensor(<traced float32[2]>)"]


@pytest.mark.slow
def test_repr_of_another_device():
    code = (
        "import jax; from lucid import Tensor\n"
        "x = Tensor([1.0], device='cpu:1')\n"
        "print(repr(x)); print(x.device); print(repr(Tensor([1.0])))\n"
        "print(repr(x.to('cpu')), x.to(jax.devices()[1]).device)\n"
        "x.requires_grad_(); y = (x * 3).to('cpu')\n"
        "(y * y).backward(); print(y, x.grad)\n"
        "import lucid; z = (x * 3).to('cpu')\n"
        "g = lucid.autograd.grad(z**3, x, create_graph=True)\n"
        "print(g.device, lucid.autograd.grad(g, x))\n"
    )
    lines = run_python(code, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert lines == [
        'Tensor([1.], device="cpu:1")',
        "cpu:1",
        "Tensor([1.])",
        "Tensor([1.]) cpu:1",
        'Tensor([3.], grad_fn=<to>) Tensor([18.], device="cpu:1")',
        'cpu:1 Tensor([162.], device="cpu:1")',
    ]
