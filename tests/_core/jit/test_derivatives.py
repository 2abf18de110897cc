"""Compiled functions inside derivatives and JAX's transformations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests._core.jit.models import X, mlp
from tests.helpers import close, count_compiles


def test_backward_through_a_call_reaches_arguments_and_parameters():
    grads = []
    for wrap in (lambda f: f, lucid.jit):
        model = mlp(3, 4, 1)
        x = Tensor(X, requires_grad=True)
        y = wrap(lambda x, m=model: (m(x) ** 2).mean())(x * 2)
        (y * 3).backward()
        grads.append([x.grad.numpy(), *(p.grad.numpy() for p in model.parameters())])
    jax.tree.map(close, *grads)


def test_a_call_is_one_node():
    x = Tensor([1.0, 2.0], requires_grad=True)
    a, b = lucid.jit(lambda x: ((x * x).sum(), x.exp()))(x)
    assert a._node is b._node
    assert [edge for edge in a._node.edges if edge is not None] == [(x, 0)]


def test_second_derivatives():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = lucid.jit(lambda x: (x**3).sum())(x)
    (first,) = lucid.autograd.grad([y], [x], create_graph=True)
    first.sum().backward()
    close(first.numpy(), [3.0, 12.0, 27.0])
    close(x.grad.numpy(), [6.0, 12.0, 18.0])


def test_backward_of_the_second_call_compiles_nothing():
    model = mlp(3, 4, 1)
    forward = lucid.jit(lambda x: (model(x) ** 2).mean())
    x = Tensor(X)
    for _ in range(2):
        forward(x).backward()
    with count_compiles(0):
        forward(x).backward()


def test_backward_sees_the_values_of_its_call_although_an_optimizer_stepped():
    w = nn.Parameter([2.0])
    optimizer = lucid.optim.SGD([w], lr=1.0)
    square = lucid.jit(lambda: (w * w).sum())
    y = square()
    y.backward(retain_graph=True)
    lucid.jit(optimizer.step)()  # donates the old value, which the graph still needs
    w.grad = None
    y.backward()
    assert w.grad.tolist() == [4.0] and w.tolist() == [-2.0]


def test_without_grad_there_is_no_graph():
    fn = lucid.jit(lambda x: x * 2)
    x = Tensor([1.0], requires_grad=True)
    assert fn(x).requires_grad
    with lucid.no_grad():
        assert not fn(x).requires_grad
    assert not lucid.jit(lambda x: (x * 2).detach())(x).requires_grad


def test_statistics_are_written_also_when_the_result_has_a_graph():
    norm = nn.BatchNorm1d(3)
    loss = lucid.jit(lambda x: (norm(x) ** 3).sum())(Tensor(X))
    close(norm.running_mean.numpy(), 0.1 * X.mean(0))
    loss.backward()
    twin = nn.BatchNorm1d(3)
    (twin(Tensor(X)) ** 3).sum().backward()
    close(norm.weight.grad.numpy(), twin.weight.grad.numpy(), atol=1e-5)


def test_a_pure_function_for_jax():
    model = mlp(3, 4, 1)
    fn = lucid.jit(lambda x: (model(x) ** 2).mean())
    plain = jax.jit(lambda x: fn(Tensor(x)).data)
    x = jnp.asarray(X)
    close(plain(x), fn(Tensor(X)).numpy())
    target = Tensor(X, requires_grad=True)
    fn(target).backward()
    close(jax.grad(lambda x: fn(Tensor(x)).data)(x), target.grad.numpy())
    close(jax.vmap(lambda row: fn(Tensor(row)).data)(x), [fn(Tensor(row)).item() for row in X])


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_state_cannot_be_written_inside_a_jax_transformation(transform):
    total = Tensor(0.0)

    @lucid.jit
    def add(x):
        total.data = (total + x.sum()).data
        return x.sum()

    with pytest.raises(lucid.JitError, match=r"add changes state, .* Use lucid.func"):
        transform(lambda x: add(Tensor(x)).data)(jnp.ones(3))
    assert total.item() == 0.0
    add(Tensor([1.0, 1.0, 1.0]))
    assert total.item() == 3.0


def test_no_tracer_is_left_behind():
    with jax.checking_leaks():
        model = mlp(3, 4, 1)
        norm = nn.BatchNorm1d(1)
        optimizer = lucid.optim.Adam([*model.parameters(), *norm.parameters()], lr=0.1)

        @lucid.jit
        def step(x):
            optimizer.zero_grad()
            loss = (norm(model(x)) * lucid.rand(6, 1)).sum()
            loss.backward()
            optimizer.step()
            return loss

        step(Tensor(X))
        step(Tensor(X))
        lucid.jit(lambda x: (model(x) ** 2).mean())(Tensor(X)).backward()


# --- What left the tape ---


def without_grad(x):
    with lucid.no_grad():
        return x * 2


def buffered(x):
    BUFFER.data = x.data
    return BUFFER


BUFFER = nn.Buffer(lucid.zeros(3))


# How x leaves the tape: the constant that it becomes, which is then multiplied by x.
LEAVES = {
    "detach": lambda x: x.detach(),
    "no_grad": without_grad,
    "Tensor": lambda x: Tensor(x),
    "data": lambda x: x.data,
    "buffer": buffered,
    "grad": lambda x: lucid.autograd.grad((x**3).sum(), x),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", LEAVES)
def test_gradients_do_not_flow_through_what_left_the_tape(name, compiled):
    def product(x):
        return (x * LEAVES[name](x)).sum()

    x = Tensor([1.0, -2.0, 3.0], requires_grad=True)
    (lucid.jit(product) if compiled else product)(x).backward()
    values = x.numpy()
    constant = {"no_grad": 2 * values, "grad": 3 * values**2}.get(name, values)
    np.testing.assert_allclose(x.grad.numpy(), constant, rtol=1e-6)


def test_what_is_on_the_tape_is_differentiated_again():
    def penalty(x):
        slope = lucid.autograd.grad((x**3).sum(), x, create_graph=True)
        return (slope * x).sum()  # 3 x^3

    x = Tensor([1.0, -2.0], requires_grad=True)
    lucid.jit(penalty)(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 9 * x.numpy() ** 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["detach", "no_grad"])
def test_jax_takes_what_left_the_tape_of_a_module_for_a_constant(name):
    class Product(nn.Module):
        def forward(self, x):
            return (x * LEAVES[name](x)).sum()

    pure, state = lucid.func.functionalize(Product())
    x = np.array([1.0, -2.0], "f")
    found = jax.grad(lambda a: pure(state, a)[0])(x)
    np.testing.assert_allclose(found, {"no_grad": 2 * x}.get(name, x), rtol=1e-6)
    with lucid.no_grad():  # the mode around the call says nothing about JAX's gradients
        layer, weights = lucid.func.functionalize(nn.Linear(2, 1))
        assert np.abs(jax.grad(lambda a: layer(weights, a)[0].sum())(x)).min() > 0


@pytest.mark.parametrize(
    "change", [lambda m: m.eval(), lambda m: setattr(m, "momentum", 0.9)], ids=["mode", "number"]
)
def test_backward_is_of_the_call_whatever_changed_since(change):
    found = []
    for wrap in (lambda f: f, lucid.jit):
        layer, x = nn.BatchNorm1d(3), Tensor(X, requires_grad=True)
        fn = wrap(layer)
        y = fn(x)
        change(layer)
        (y**3).sum().backward()
        layer.train()
        (fn(x) ** 3).sum().backward()
        found.append([x.grad.numpy(), layer.weight.grad.numpy()])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *found)


def test_backward_is_of_the_variables_of_the_call():
    factor, flag = 2.0, True

    def fn(x):
        y = x * x * factor
        return {"a": y, "b": y * 2} if flag else {"b": y * 2, "a": y}

    x = Tensor(1.0, requires_grad=True)
    compiled = lucid.jit(fn)
    y = compiled(x)["a"]
    factor, flag = 5.0, False
    y.backward()
    assert (y.item(), x.grad.item()) == (2.0, 4.0)
    factor, flag = 2.0, True
    again = compiled(x)
    assert (again["a"].item(), again["b"].item()) == (2.0, 4.0)


def test_arrays_of_jax_are_differentiated():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    compiled = lucid.jit(model)
    x = jnp.asarray(X)

    def of(fn):
        def total(x):
            return fn(x).data.sum()

        return [jax.grad(total)(x), jax.jvp(total, (x,), (x,))[1], jax.hessian(total)(x)]

    jax.tree.map(close, of(compiled), of(lambda x: model(Tensor(x))))
    assert np.abs(of(compiled)[0]).min() > 0


def doubled_in_place(w, x):
    with lucid.no_grad():
        w.mul_(2.0)
    return (w * x).sum()


def used_before_and_after(w, x):
    y = (w * x).sum()
    w.data = w.data * 3
    return y * (w * x).sum()


def in_a_loop(w, x):
    def body(total, _):
        return total + doubled_in_place(w, x), None

    return lucid.scan(body, 0.0, length=2)[0]


@pytest.mark.parametrize("fn", [doubled_in_place, used_before_and_after, in_a_loop])
def test_gradients_of_a_leaf_that_gets_new_values(fn):
    found = []
    for wrap in (lambda f: f, lucid.jit):
        w = nn.Parameter([1.0, -2.0])
        y = wrap(lambda x, w=w: fn(w, x))(Tensor([1.0, 3.0]))
        y.backward()
        found.append([y.numpy(), w.numpy(), w.grad.numpy()])
    jax.tree.map(close, *found)


def test_gradients_of_an_embedding_with_a_largest_norm():
    found = []
    for wrap in (lambda f: f, lucid.jit):
        lucid.random.seed(0)
        layer = nn.Embedding(3, 2, max_norm=0.5)
        (wrap(layer)(Tensor(np.array([0, 1, 1]))) ** 2).sum().backward()
        found.append([layer.weight.numpy(), layer.weight.grad.numpy()])
    jax.tree.map(close, *found)
    assert np.abs(found[0][1]).max() > 0


@pytest.mark.parametrize("wrap", [lambda f: f, lucid.jit], ids=["eager", "compiled"])
def test_the_tape_keeps_what_a_numpy_array_held(wrap):
    w, a = nn.Parameter([1.0, 1.0]), np.array([3.0, 4.0], "f")
    y = wrap(lambda a: w * a)(a)
    a[:] = 0
    y.sum().backward()
    assert w.grad.tolist() == [3.0, 4.0]


def test_in_place_operations_on_what_is_computed_inside():
    def fn(x):
        y = x * 2
        y.add_(1.0)
        y[0] = 0.0
        return (y * y).sum()

    found = []
    for wrap in (lambda f: f, lucid.jit):
        x = Tensor([1.0, 2.0], requires_grad=True)
        wrap(fn)(x).backward()
        found.append(x.grad.numpy())
    close(*found)
