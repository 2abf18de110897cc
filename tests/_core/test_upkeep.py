"""What lucid 2 tells of a Tensor's memory, place and graph."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import leaf, run_python


def test_zero_puts_zeros_without_recording():
    x = leaf(2, 3)
    y = x * 2
    x.zero()
    assert (x.tolist(), x.requires_grad, x.is_leaf) == ([[0.0] * 3] * 2, True, True)
    y.backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2
    half = Tensor([1.0], dtype="float16", device="cpu")
    half.zero()
    assert (half.dtype, half.is_free) == (np.float16, False)


def test_zero_inside_a_compiled_function():
    x = Tensor([1.0, 2.0])

    @lucid.jit
    def clear():
        x.zero()
        return x.eval() + 1

    assert clear().tolist() == [1.0, 1.0]
    assert x.tolist() == [0.0, 0.0]


def test_copies():
    array = np.array([1.0, 2.0])
    copied = Tensor.copy_data(array)
    copied[0] = 5
    assert array.tolist() == [1.0, 2.0]
    data = Tensor([1.0]).data
    assert isinstance(Tensor.copy_grad(data), jax.Array) and Tensor.copy_grad(data) is not data
    x = leaf(2)
    for again in (x.new_tensor(), Tensor.copy_data(x)):
        assert type(again) is Tensor and again is not x
        assert (again.requires_grad, again.is_leaf) == (False, True)
        assert again.tolist() == x.tolist()
        again.zero()
        assert not (x == 0).any()
    with pytest.raises(TypeError, match=r"copy_data: an array is needed, got list\."):
        Tensor.copy_data([1.0])


def test_eval_gives_the_tensor_itself():
    x = leaf(2)
    assert x.eval() is x
    assert (x * 2).eval().requires_grad


def test_place_and_freedom():
    free, bound = Tensor([1.0]), Tensor([1.0], device="cpu")
    assert (free.is_cpu(), free.is_gpu(), bound.is_cpu()) == (True, False, True)
    assert (free.is_free, bound.is_free, (free + bound).is_free) == (True, False, False)
    assert Tensor.is_all_free() and Tensor.is_all_free(free, free * 2)
    assert not Tensor.is_all_free(free, bound)
    x = Tensor([1.0, 2.0], requires_grad=True, dtype="bfloat16", device="cpu")
    assert x.free() is x
    assert (x.is_free, x.requires_grad, x.dtype.name) == (True, True, "bfloat16")
    assert x.tolist() == [1.0, 2.0]


def test_a_free_tensor_follows_the_others():
    code = """
import lucid
a = lucid.Tensor([1.0], device="cpu:1")
b = lucid.Tensor([2.0], device="cpu:0").free()
print((a + b).device, b.device)
"""
    flag = "--xla_force_host_platform_device_count=2"
    assert run_python(code, XLA_FLAGS=flag) == ["cpu:1 cpu"]


def test_a_cleared_node_is_a_leaf():
    x = leaf(2)
    y = x * x
    z = y * 3
    y.clear_node()
    assert (y.is_leaf, y.requires_grad) == (True, True)
    (y * 5).backward()
    assert (y.grad.tolist(), x.grad) == ([5.0, 5.0], None)
    z.backward()  # what was recorded before goes on as it was
    assert np.allclose(x.grad, 6 * x.numpy())


def test_a_leaf_keeps_its_hooks():
    x = leaf(2)
    x.register_hook(lambda grad: grad * 10)
    x.clear_node(clear_op=False)
    (x * 2).backward()
    assert x.grad.tolist() == [20.0, 20.0]


# --- Operations -------------------------------------------------------------------------------


def test_flops_of_products():
    a, b = leaf(4, 8), leaf(8, 16)
    product = a @ b
    assert product.flops == 2 * 4 * 8 * 16
    assert (product @ b.T).flops == 2 * product.flops  # and nothing for the transposition
    twice = product + product  # one node, once
    assert twice.flops == product.flops + 4 * 16
    assert a.flops == Tensor([1.0]).flops == (a.detach() @ b.detach()).flops == 0


def test_flops_of_a_model_and_after_backward():
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    assert not lucid.flops_enabled()
    with lucid.count_flops():
        assert lucid.flops_enabled()
        y = model(lucid.ones(8, 16))
    assert not lucid.flops_enabled()
    products = 2 * 8 * (16 * 32 + 32 * 4)
    counted = y.flops
    assert products <= counted <= 1.1 * products
    y.backward()
    assert y.flops == counted


def test_count_flops_ends_with_an_error():
    with pytest.raises(KeyError), lucid.count_flops():
        raise KeyError
    assert not lucid.flops_enabled()


def test_flops_of_a_convolution():
    x = leaf(2, 3, 8, 8)
    y = nn.Conv2d(3, 5, 3, bias=False)(x)
    products = 2 * (2 * 5 * 6 * 6) * (3 * 3 * 3)
    assert products <= y.flops <= 1.5 * products
