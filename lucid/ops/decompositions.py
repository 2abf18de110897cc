"""Decompositions of matrices, and what is computed by them. Leading axes are a batch.

No value is looked at: where another library raises an error, as for the inverse of a singular
matrix, results are NaN or infinite. 16-bit floats and integers are computed with in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import in_float32, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def _exactly(fn: F) -> F:
    """With products in float32, of which GPUs and TPUs round the operands to fewer bits."""
    return jax.default_matmul_precision("float32")(fn)


@op
@in_float32
def cholesky(a: Operand) -> Tensor:
    """The lower triangular `L` with a positive diagonal for which `L @ L.H` is `a`.

    Of `a`, which is Hermitian and positive definite, the upper triangle is not read; the gradient
    is Hermitian as well. The result is NaN if `a` is not positive definite.

    Shape: (..., n, n) -> (..., n, n)

    Raises:
        ValueError: `a` is not square.

    >>> lucid.linalg.cholesky(Tensor([[4.0, 2.0], [2.0, 5.0]]))
    Tensor([[2., 0.],
            [1., 2.]])
    """
    a = _square("cholesky", a)
    lower = jnp.tril(a, -1)
    read = jnp.tril(a) + _adjoint(lower)
    mean = (a + _adjoint(a)) / 2  # which both triangles have a part in
    return lax.linalg.cholesky(mean + lax.stop_gradient(read - mean), symmetrize_input=False)


@op
@in_float32
def det(a: Operand) -> Tensor:
    """The determinant. Of singular matrices too it has its gradient and second derivatives.

    Shape: (..., n, n) -> (...)

    Raises:
        ValueError: `a` is not square.

    >>> lucid.linalg.det(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(-2.)
    """
    a = _square("det", a)
    if a.shape[-1] == 0:
        return jnp.ones(a.shape[:-2], a.dtype)
    return jnp.linalg.det(a) if a.shape[-1] < 4 else _det(a)  # of small ones JAX has polynomials


@op
@in_float32
def inv(a: Operand) -> Tensor:
    """The inverse; of a singular matrix, infinite or NaN.

    Shape: (..., n, n) -> (..., n, n)

    Raises:
        ValueError: `a` is not square.

    >>> lucid.linalg.inv(Tensor([[2.0, 0.0], [1.0, 1.0]]))
    Tensor([[ 0.5,  0. ],
            [-0.5,  1. ]])
    """
    return jnp.linalg.inv(_square("inv", a))


@op
@in_float32
def solve(a: Operand, b: Operand) -> Tensor:
    """The `x` for which `a @ x` is `b`; infinite or NaN if `a` is singular.

    Batches broadcast. As in PyTorch, `b` is one vector for each matrix if it has one axis, or the
    shape of `a` but for the last axis.

    Shape: (..., n, n), (..., n, k) -> (..., n, k); or (..., n, n), (..., n) -> (..., n)

    Raises:
        ValueError: `a` is not square, or `b` does not fit.

    >>> lucid.linalg.solve(Tensor([[2.0, 0.0], [1.0, 1.0]]), Tensor([2.0, 3.0]))
    Tensor([1., 2.])
    """
    a, b = _square("solve", a), wide(b)
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]
    columns = b[..., None] if vectors else b
    if columns.ndim < 2 or columns.shape[-2] != a.shape[-1]:
        raise ValueError(
            f"solve: b must have the shape (..., {a.shape[-1]}, k), or that of vectors "
            f"(..., {a.shape[-1]}), for a of shape {a.shape}, got {b.shape}."
        )
    x = jnp.linalg.solve(a, columns)
    return x[..., 0] if vectors else x


@op
@in_float32
def matrix_power(a: Operand, n: int) -> Tensor:
    """The product of `n` matrices `a`; of `-n` inverses if `n` is negative.

    Shape: (..., m, m) -> (..., m, m)

    Raises:
        ValueError: `a` is not square.

    >>> lucid.linalg.matrix_power(Tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    Tensor([[1., 3.],
            [0., 1.]])
    """
    return jnp.linalg.matrix_power(_square("matrix_power", a), n)


@op
@in_float32
def pinv(a: Operand, rcond: float = 1e-12) -> Tensor:
    """The pseudo-inverse of Moore and Penrose.

    The gradient is that among matrices of the same rank (Golub and Pereyra, SIAM J. Numer. Anal.
    10, 1973).

    Shape: (..., n, m) -> (..., m, n)

    Args:
        rcond: singular values of at most this part of the largest count as 0; so do those of at
            most `max(n, m)` times the unit of the dtype, which rounding alone can leave.

    >>> lucid.linalg.pinv(Tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0. ]])
    """
    a = _matrix("pinv", a)
    unit = float(np.finfo(a.dtype).eps)
    return jnp.linalg.pinv(a, max(rcond, max(a.shape[-2:]) * unit))


@op
@in_float32
@_exactly
def qr(a: Operand) -> tuple[Tensor, Tensor]:
    """`Q` with orthonormal columns and the upper triangular `R` for which `Q @ R` is `a`.

    The signs on the diagonal of `R` are those of LAPACK. The gradient needs the first `min(n, m)`
    columns of `a` to be linearly independent.

    Shape: (..., n, m) -> (..., n, k), (..., k, m), k = min(n, m)

    >>> q, r = lucid.linalg.qr(Tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> lucid.abs(r)
    Tensor([[5. , 2.2],
            [0. , 0.4]])
    """
    a = _matrix("qr", a)
    rows = a.shape[-2]  # the columns behind the first square follow from it, and so do gradients
    q, r = jnp.linalg.qr(a[..., :rows])
    return q, jnp.concatenate([r, _adjoint(q) @ a[..., rows:]], -1)


@op
@in_float32
def svd(a: Operand, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The singular values `s` of `a`, descending, and `u` and `vh` with `a = (u * s) @ vh`.

    The vectors are a choice: of signs (of phases, for complex numbers), and of a basis where
    singular values are equal. Only what does not depend on it, such as `s` or a projection, has a
    gradient that means something; at equal or zero singular values it has no second derivative
    that does. The columns of `u` and the rows of `vh` behind the first `k` pass no gradient.

    Shape: (..., n, m) -> (..., n, k), (..., k), (..., k, m), k = min(n, m); `u` is (..., n, n) and
        `vh` (..., m, m) if `full_matrices`

    >>> u, s, vh = lucid.linalg.svd(Tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 0.0]]))
    >>> u.shape, s, vh.shape
    ((3, 3), Tensor([3., 2.]), (2, 2))
    """
    u, s, vh = _svd(_matrix("svd", a))
    if full_matrices:
        u, vh = _completed(u), _adjoint(_completed(_adjoint(vh)))
    return u, s, vh


@op
@in_float32
def eig(a: Operand, eps: float = 1e-12) -> tuple[Tensor, Tensor]:
    """The eigenvalues of `a`, in no order, and its eigenvectors, the columns of a matrix.

    Both are complex, also for a real `a`. The eigenvectors have length 1; their phase is a choice,
    and only what does not depend on it has a gradient that means something. The gradient needs
    the eigenvectors to be linearly independent. On GPUs it works where JAX has it.

    Shape: (..., n, n) -> (..., n), (..., n, n)

    Args:
        eps: eigenvalues that are at most this far apart count as equal: the gradient is that of
            what does not depend on the choice of their eigenvectors.

    Raises:
        ValueError: `a` is not square.

    >>> values, vectors = lucid.linalg.eig(Tensor([[0.0, 1.0], [-1.0, 0.0]]))
    >>> lucid.abs(values)
    Tensor([1., 1.])
    """
    return _eig(eps, _square("eig", a))


# --- The determinant, which JAX differentiates by dividing by it ---------------------------------


@jax.custom_jvp
def _det(a: Array) -> Array:
    return jnp.linalg.det(a)


@_det.defjvp
@_exactly
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (a,), (da,) = primals, tangents
    return _det(a), jnp.trace(_adjugate(a) @ da, axis1=-2, axis2=-1)  # Jacobi's formula


@jax.custom_jvp
@_exactly
def _adjugate(a: Array) -> Array:
    """The determinant times the inverse, which singular matrices have too.

    adj(u s v^H) = adj(v^H) adj(s) adj(u), where u and v^H are unitary and s is diagonal.
    """
    u, s, vh = jnp.linalg.svd(a)
    phase = (jnp.linalg.det(u) * jnp.linalg.det(vh))[..., None, None]
    others = ~jnp.eye(s.shape[-1], dtype=bool)
    minors = jnp.prod(s[..., None, :], -1, where=others)
    return phase * (_adjoint(vh) * minors[..., None, :]) @ _adjoint(u)


@_adjugate.defjvp
@_exactly
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (a,), (da,) = primals, tangents
    u, s, vh = jnp.linalg.svd(a)
    phase = (jnp.linalg.det(u) * jnp.linalg.det(vh))[..., None, None]
    p = _adjoint(u) @ da @ _adjoint(vh)
    # The minors of s + p to first order: on the diagonal p takes the place of another s, and off
    # it that of the two which share its row and its column.
    others = ~jnp.eye(s.shape[-1], dtype=bool)
    pairs = others * jnp.prod(s[..., None, None, :], -1, where=others[:, None] & others)
    on = jnp.sum(pairs * jnp.diagonal(p, axis1=-2, axis2=-1)[..., None, :], -1)
    minors = jnp.where(others, -pairs * p, on[..., None])
    return _adjugate(a), phase * (_adjoint(vh) @ minors @ _adjoint(u))


# --- Singular values and eigenvalues, which JAX differentiates where all of them differ ---------


@jax.custom_jvp
def _svd(a: Array) -> tuple[Array, Array, Array]:
    u, s, vh = jnp.linalg.svd(a, full_matrices=False)
    return u, s, vh


@_svd.defjvp
@_exactly
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, ...], ...]:
    # With p = u^H da v, and turns x of u and y of v (skew-Hermitian): p = x s + ds - s y.
    # p and p^H together give x and y off the diagonal; of it only the phase of u is turned.
    (a,), (da,) = primals, tangents
    u, s, vh = _svd(a)
    v, uh = _adjoint(vh), _adjoint(u)
    across, down = s[..., None, :], s[..., :, None]
    p = uh @ da @ v
    ph = _adjoint(p)
    apart = _reciprocal((across - down) * (across + down))
    phase = jnp.eye(s.shape[-1]) * (p - ph) / 2 * _reciprocal(across)
    du = u @ (apart * (p * across + down * ph) + phase)
    dv = v @ (apart * (down * p + ph * across))
    n, m = a.shape[-2:]
    if n > m:  # the vectors in u also leave the space that they span
        away = da @ v
        du = du + (away - u @ (uh @ away)) * _reciprocal(across)
    if m > n:
        away = _adjoint(da) @ u
        dv = dv + (away - v @ (vh @ away)) * _reciprocal(across)
    ds = jnp.diagonal(p, axis1=-2, axis2=-1).real
    return (u, s, vh), (du, ds, _adjoint(dv))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _eig(eps: float, a: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eig(a)
    return values, vectors


@_eig.defjvp
@_exactly
def _(
    eps: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (a,), (da,) = primals, tangents
    values, v = _eig(eps, a)
    p = jnp.linalg.solve(v, da.astype(v.dtype) @ v)
    gap = values[..., None, :] - values[..., :, None]
    turned = v @ (p * _reciprocal(jnp.where(jnp.abs(gap) <= eps, 0, gap)))
    # The part along an eigenvector would change its length.
    along = jnp.sum((v.conj() * turned).real, -2, keepdims=True)
    return (values, v), (jnp.diagonal(p, axis1=-2, axis2=-1), turned - v * along)


def _completed(u: Array) -> Array:
    """A square matrix: more columns behind those of `u`, orthonormal to them and to each other."""
    if u.shape[-2] == u.shape[-1]:
        return u
    basis = jnp.linalg.qr(lax.stop_gradient(u), mode="complete")[0]
    return jnp.concatenate([u, basis[..., u.shape[-1] :]], -1)


def _reciprocal(x: Array) -> Array:
    """1 / x, but 0 of 0."""
    return jnp.where(x == 0, 0, 1 / jnp.where(x == 0, 1, x))


def _adjoint(a: Array) -> Array:
    return a.mT.conj()


def _matrix(call: str, a: Operand) -> Array:
    a = wide(a)
    if a.ndim < 2:
        raise ValueError(
            f"{call}: a must be a matrix or a batch of them, with shape (..., n, m), got {a.shape}."
        )
    return a


def _square(call: str, a: Operand) -> Array:
    a = wide(a)
    if a.ndim < 2 or a.shape[-2] != a.shape[-1]:
        raise ValueError(
            f"{call}: a must be a square matrix or a batch of them, with shape (..., n, n), got "
            f"{a.shape}."
        )
    return a
