"""Decompositions: values, gradients and second derivatives, of batches, complex and bare cases.

The vectors of a decomposition are a choice of signs, so they are compared by what is none.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg
from tests.helpers import check_op, close, spaced

SHAPES = [(3, 3), (4, 2), (2, 4), (2, 1, 2, 3)]
SQUARE = [(1, 1), (4, 4), (2, 3, 3)]


def regular(*shape, seed=0):
    """Square matrices that are far from singular, so that finite differences of inverses hold."""
    return spaced(*shape, seed=seed) + 5 * np.eye(shape[-1])


def real(z):
    return lucid.apply(jnp.real, z)


def size(z):
    return lucid.apply(lambda x: (x * x.conj()).real, z)


def square(z):
    return (z * z.conj()).real


def adjoint(z):
    return z.conj().mT if isinstance(z, np.ndarray) else lucid.apply(lambda x: x.conj().mT, z)


def definite(b):
    """A Hermitian, positive definite matrix made of any."""
    return b @ adjoint(b) + np.eye(b.shape[-1])


@pytest.mark.parametrize("shape", SQUARE, ids=str)
@pytest.mark.parametrize("name", ["det", "inv"])
def test_of_a_square_matrix(name, shape):
    check_op(getattr(linalg, name), getattr(np.linalg, name), regular(*shape), rtol=1e-9)


@pytest.mark.parametrize("shape", SQUARE, ids=str)
def test_cholesky(shape):
    check_op(
        lambda b: linalg.cholesky(definite(b)),
        lambda b: np.linalg.cholesky(definite(b)),
        spaced(*shape),
        rtol=1e-9,
    )


def test_cholesky_does_not_read_the_upper_triangle():
    a = np.array([[4.0, 2.0], [2.0, 5.0]])
    expected = linalg.cholesky(Tensor(a)).numpy()
    a[0, 1] = 7.0
    close(linalg.cholesky(Tensor(a)).numpy(), expected)


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 3), (3,)], [(3, 3), (3, 2)], [(2, 3, 3), (2, 3)], [(2, 3, 3), (2, 3, 1)],
        [(2, 3, 3), (3,)], [(2, 1, 2, 2), (3, 2, 1)], [(2, 2), (3, 2, 2)],
    ],
    ids=str,
)  # fmt: skip
def test_solve(shapes):
    a, b = regular(*shapes[0]), spaced(*shapes[1], seed=1)
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]

    def reference(a, b):
        x = np.linalg.inv(a) @ (b[..., None] if vectors else b)
        return x[..., 0] if vectors else x

    check_op(linalg.solve, reference, a, b, rtol=1e-9)


@pytest.mark.parametrize("n", [-2, -1, 0, 1, 2, 5])
def test_matrix_power(n):
    check_op(
        lambda a: linalg.matrix_power(a, n),
        lambda a: np.linalg.matrix_power(a, n),
        regular(2, 2, 2),
        rtol=1e-9,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pinv(shape):
    check_op(linalg.pinv, np.linalg.pinv, spaced(*shape), rtol=1e-9)


def test_pinv_of_matrices_of_lower_rank():
    check_op(
        lambda x, y: linalg.pinv(x @ y),
        lambda x, y: np.linalg.pinv(x @ y, 1e-10),
        spaced(4, 2, seed=1),
        spaced(2, 3, seed=2),
        rtol=1e-8,
    )


def test_pinv_leaves_out_small_singular_values():
    a = np.diag([4.0, 1.0])
    close(linalg.pinv(Tensor(a), 0.3).numpy(), np.diag([0.25, 0.0]))
    # In float32 its third singular value is what rounding left.
    low = np.outer([1.0, 2.0, 3.0], [0.1, 0.7, 0.3]) + np.outer([0.3, 0.1, 0.2], [1.0, 2.0, 0.7])
    close(linalg.pinv(Tensor(low.astype("f"))).numpy(), np.linalg.pinv(low, 1e-6), 1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_qr(shape):
    check_op(linalg.qr, lambda a: tuple(np.linalg.qr(a)), spaced(*shape), rtol=1e-9)


def of_svd(u, s, vh, square):
    """What does not depend on signs: squares, values, and the part of each singular value."""
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return square(u), s, square(vh), u[..., :1] @ vh[..., :1, :]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_svd(shape, full):
    check_op(
        lambda a: of_svd(*linalg.svd(a, full), lambda x: x * x),
        lambda a: of_svd(*np.linalg.svd(a, full), np.square),
        spaced(*shape),
        rtol=1e-9,
    )


@pytest.mark.parametrize("imaginary", [0, 1j])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 5, 2), (3, 0), (0, 2)], ids=str)
def test_the_vectors_of_svd_are_a_basis(shape, imaginary):
    a = spaced(*shape) + imaginary * spaced(*shape, seed=1)
    a = a.astype("F" if imaginary else "f")
    full, thin = ([y.numpy() for y in linalg.svd(Tensor(a), f)] for f in (True, False))
    for (u, s, vh), reference in ((full, np.linalg.svd(a)), (thin, np.linalg.svd(a, False))):
        assert [x.shape for x in (u, s, vh)] == [x.shape for x in reference]
        k = s.shape[-1]
        close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, 1e-5)
    for basis in (full[0], full[2]):
        unit = np.broadcast_to(np.eye(basis.shape[-1]), basis.shape)
        close(basis @ adjoint(basis), unit, 1e-5)


def test_vectors_that_complete_a_basis_pass_no_gradient():
    a = Tensor(spaced(4, 2), requires_grad=True)
    u, _, _ = linalg.svd(a)
    (u[:, 2:] * Tensor(spaced(4, 2, seed=1))).sum().backward()
    close(a.grad.numpy(), np.zeros((4, 2)))


@pytest.mark.parametrize("a", [2 * np.eye(3), np.zeros((3, 2)), np.ones((2, 3))], ids=str)
def test_equal_and_zero_singular_values_have_gradients(a):
    """Of their sum, a gradient is U V^H of the singular values that are not 0."""
    x = Tensor(a, requires_grad=True)
    linalg.svd(x)[1].sum().backward()
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    rank = int((s > 1e-6).sum())
    assert np.isfinite(x.grad.numpy()).all()
    found = u[:, :rank].T @ x.grad.numpy() @ vh[:rank].T
    close(found, np.eye(rank), 1e-5)


def test_a_projection_between_equal_singular_values_has_its_gradient():
    a = np.diag([3.0, 3.0, 1.0])
    weight = spaced(3, 3)

    def projected(x, svd):
        u = svd(x)[0][:, :2]
        return u @ u.mT

    x = Tensor(a, requires_grad=True)
    (projected(x, linalg.svd) * Tensor(weight)).sum().backward()
    step = 1e-5
    for at in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[at] = step
        apart = projected(a + moved, np.linalg.svd) - projected(a - moved, np.linalg.svd)
        assert abs(x.grad.numpy()[at] - (apart * weight).sum() / (2 * step)) < 1e-5


def of_eig(values, vectors, real, square):
    """Sums over the pairs, which have no order, of what does not depend on phases."""
    weight = real(values) + square(values) / 2
    return (square(vectors) * weight[..., None, :]).sum(-1), weight.sum(-1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 3, 3)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_eig(shape, seed):
    check_op(
        lambda a: of_eig(*linalg.eig(a), real, size),
        lambda a: of_eig(*np.linalg.eig(a), np.real, square),
        spaced(*shape, seed=seed),
        rtol=1e-8,
    )


def test_eigenvalues_that_are_equal_pass_gradients():
    x = Tensor(2 * np.eye(2), requires_grad=True)
    values, _ = linalg.eig(x)
    real(values * values).sum().backward()
    close(x.grad.numpy(), 4 * np.eye(2))


# Functions of a complex matrix by its two parts, as real numbers that depend on no phase.
COMPLEX = {
    "cholesky": (
        lambda a: real(linalg.cholesky(definite(a))),
        lambda a: np.linalg.cholesky(definite(a)).real,
        (3, 3),
    ),
    "det": (lambda a: real(linalg.det(a)), lambda a: np.linalg.det(a).real, (4, 4)),
    "inv": (lambda a: real(linalg.inv(a)), lambda a: np.linalg.inv(a).real, (2, 3, 3)),
    "solve": (
        lambda a: real(linalg.solve(a, a[..., :1])),
        lambda a: np.linalg.solve(a, a[..., :1]).real,
        (3, 3),
    ),
    "matrix_power": (
        lambda a: real(linalg.matrix_power(a, -2)),
        lambda a: np.linalg.matrix_power(a, -2).real,
        (2, 2),
    ),
    "pinv": (lambda a: real(linalg.pinv(a)), lambda a: np.linalg.pinv(a).real, (3, 2)),
    "norm": (lambda a: linalg.norm(a, 3), lambda a: (np.abs(a) ** 3).sum() ** (1 / 3), (3, 2)),
    "qr": (
        lambda a: tuple(map(size, linalg.qr(a))),
        lambda a: tuple(map(square, np.linalg.qr(a))),
        (2, 3),
    ),
    "svd": (
        lambda a: of_parts(*linalg.svd(a), size, real),
        lambda a: of_parts(*np.linalg.svd(a), square, np.real),
        (3, 2),
    ),
    "eig": (
        lambda a: of_eig(*linalg.eig(a), real, size),
        lambda a: of_eig(*np.linalg.eig(a), np.real, square),
        (3, 3),
    ),
}


def of_parts(u, s, vh, square, real):
    us, ss, vs, part = of_svd(u, s, vh, square)
    return us, ss, vs, real(part)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name):
    fn, reference, shape = COMPLEX[name]
    check_op(
        lambda re, im: fn(re + 1j * im),
        lambda re, im: reference(re + 1j * im),
        spaced(*shape, seed=1) + 5 * np.eye(*shape[-2:]),
        spaced(*shape, seed=2),
        rtol=1e-8,
    )


def test_every_function_is_in_the_table_of_complex_ones():
    assert set(COMPLEX) == set(linalg.__all__)


@pytest.mark.parametrize("ord", [1, 2, 3, 2.5, np.inf])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_norm(ord, axis):
    keepdims = axis == 0

    def reference(a):
        size = np.abs(a)
        if ord == np.inf:
            return size.max(axis, keepdims=keepdims)
        return (size**ord).sum(axis, keepdims=keepdims) ** (1 / ord)

    check_op(lambda a: linalg.norm(a, ord, axis, keepdims), reference, spaced(2, 2, 2), rtol=1e-11)


@pytest.mark.parametrize("ord", [0, -1, -np.inf])
def test_an_order_that_is_not_positive_is_refused(ord):
    with pytest.raises(ValueError, match=rf"^norm: ord must be positive, got {ord}\.$"):
        linalg.norm(lucid.ones(2), ord)


def test_the_norm_of_zeros_has_gradient_zero():
    x = Tensor(np.zeros((2, 3)), requires_grad=True)
    linalg.norm(x, axis=1).sum().backward()
    close(x.grad.numpy(), np.zeros((2, 3)))


# --- Bare cases -------------------------------------------------------------------------------

OF_SQUARE = {
    "cholesky": linalg.cholesky,
    "det": linalg.det,
    "eig": linalg.eig,
    "inv": linalg.inv,
    "matrix_power": lambda a: linalg.matrix_power(a, 2),
    "solve": lambda a: linalg.solve(a, a),
}
OF_ANY = {"pinv": linalg.pinv, "qr": linalg.qr, "svd": linalg.svd}


def flat(y):
    return y if isinstance(y, tuple) else (y,)


EMPTY = [
    (name, shape) for name in [*OF_SQUARE, *OF_ANY] for shape in [(0, 0), (0, 2, 2), (2, 0, 0)]
]
EMPTY += [(name, shape) for name in OF_ANY for shape in [(3, 0), (0, 3)]]


@pytest.mark.parametrize(("name", "shape"), EMPTY)
def test_empty(name, shape):
    x = Tensor(np.zeros(shape, "f"), requires_grad=True)
    outputs = flat({**OF_SQUARE, **OF_ANY}[name](x))
    arguments = {"matrix_power": [2], "solve": [np.zeros(shape, "f")]}.get(name, [])
    expected = getattr(np.linalg, name)(np.zeros(shape, "f"), *arguments)
    expected = tuple(expected) if len(outputs) > 1 else (expected,)
    assert [y.shape for y in outputs] == [y.shape for y in expected]
    sum(size(y).sum() for y in outputs).backward()
    assert x.grad.shape == shape


def test_the_determinant_of_nothing_is_one():
    np.testing.assert_array_equal(linalg.det(lucid.zeros(2, 0, 0)).numpy(), [1.0, 1.0])


def cofactors(a):
    n = len(a)
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(n)] for i in range(n)]
    return np.linalg.det(np.array(minors)) * (-1) ** np.add.outer(range(n), range(n))


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_the_determinant_of_a_singular_matrix_has_its_derivatives(rank):
    """The gradient is the matrix of cofactors, and those are differentiated by differences."""
    a = spaced(5, rank) @ spaced(rank, 5, seed=1)
    along = spaced(5, 5, seed=2)
    with jax.enable_x64(True):
        x = Tensor(a, requires_grad=True)
        gradient = lucid.autograd.grad(linalg.det(x), x, create_graph=True)
        second = lucid.autograd.grad((gradient * Tensor(along)).sum(), x)
        close(gradient.numpy(), cofactors(a), 1e-9)
        step = 1e-3
        moved = (cofactors(a + step * along) - cofactors(a - step * along)) / (2 * step)
        twice = (cofactors(a + 2 * step * along) - cofactors(a - 2 * step * along)) / (4 * step)
        np.testing.assert_allclose(second.numpy(), (4 * moved - twice) / 3, atol=1e-7, rtol=1e-7)


def test_what_has_no_result_is_not_finite():
    singular = Tensor([[1.0, 2.0], [2.0, 4.0]])
    assert not np.isfinite(linalg.inv(singular).numpy()).all()
    assert not np.isfinite(linalg.solve(singular, Tensor([1.0, 0.0])).numpy()).all()
    assert np.isnan(linalg.cholesky(Tensor([[1.0, 2.0], [2.0, 1.0]])).numpy()).any()


@pytest.mark.parametrize("name", [*OF_SQUARE, *OF_ANY])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_narrow_dtypes_are_computed_in_float32(name, dtype):
    fn = {**OF_SQUARE, **OF_ANY}[name]
    a = np.array([[4, 1, 0], [1, 3, 1], [0, 1, 2]])
    expected = flat(fn(Tensor(a.astype("f"))))
    for found, target in zip(flat(fn(Tensor(a, dtype=dtype))), expected, strict=True):
        if dtype != "int32" and target.dtype == np.float32:
            target = target.astype(dtype)
        assert found.dtype == target.dtype
        np.testing.assert_array_equal(found.numpy(), target.numpy())


@pytest.mark.parametrize("name", [*OF_SQUARE, *OF_ANY])
def test_in_a_compiled_function(name):
    fn = {**OF_SQUARE, **OF_ANY}[name]
    x = Tensor(definite(spaced(3, 3)).astype("f"), requires_grad=True)

    def gradient(x):
        loss = sum(size(y).sum() for y in flat(fn(x)))
        return lucid.autograd.grad(loss, x)

    np.testing.assert_allclose(
        lucid.jit(gradient)(x).numpy(), gradient(x).numpy(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", OF_SQUARE)
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_matrix_that_is_not_square_is_refused(name, shape):
    text = rf"^{name}: a must be a square matrix or a batch of them, .*, got \({shape[0]},"
    with pytest.raises(ValueError, match=text):
        OF_SQUARE[name](lucid.zeros(*shape))


@pytest.mark.parametrize("name", OF_ANY)
def test_a_vector_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name}: a must be a matrix or .*, got \(3,\)\.$"):
        OF_ANY[name](lucid.zeros(3))


def test_a_side_that_does_not_fit_is_refused():
    text = (
        r"^solve: b must have the shape \(\.\.\., 3, k\), or that of vectors \(\.\.\., 3\), for a "
        r"of shape \(3, 3\), got \(2, 4\)\.$"
    )
    with pytest.raises(ValueError, match=text):
        linalg.solve(lucid.zeros(3, 3), lucid.zeros(2, 4))
