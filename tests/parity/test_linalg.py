"""`lucid.linalg` beside `torch.linalg`: values, gradients and second derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg
from tests.helpers import check_torch, spaced

torch = pytest.importorskip("torch")


def regular(*shape):
    return spaced(*shape) + 3 * np.eye(*shape[-2:])


def definite(b):
    unit = np.eye(b.shape[-2])
    return b @ b.mT + (unit if isinstance(b, Tensor) else torch.from_numpy(unit))


ANY = [(3, 3), (4, 2), (2, 4), (2, 3, 3), (2, 1, 3, 2)]
SQUARE = [(1, 1), (4, 4), (2, 3, 3)]
# lucid's function, torch's, and shapes of its operands.
CASES = {
    "cholesky": (
        lambda b: linalg.cholesky(definite(b)), lambda b: torch.linalg.cholesky(definite(b)), ANY,
    ),
    "cholesky of what is not symmetric": (
        lambda a: linalg.cholesky(a + 5 * np.eye(3)),
        lambda a: torch.linalg.cholesky(a + 5 * torch.eye(3)), [(3, 3), (2, 3, 3)],
    ),
    "det": (linalg.det, torch.linalg.det, SQUARE),
    "inv": (linalg.inv, torch.linalg.inv, SQUARE),
    "solve": (
        lambda a: linalg.solve(a, a[..., 0]), lambda a: torch.linalg.solve(a, a[..., 0]), SQUARE,
    ),
    "solve for columns": (
        lambda a: linalg.solve(a, a[..., :2] ** 2),
        lambda a: torch.linalg.solve(a, a[..., :2] ** 2), SQUARE[1:],
    ),
    "matrix_power": (
        lambda a: linalg.matrix_power(a, -3), lambda a: torch.linalg.matrix_power(a, -3), SQUARE,
    ),
    "norm": (linalg.norm, torch.linalg.norm, ANY),
    "pinv": (linalg.pinv, torch.linalg.pinv, ANY),
    "qr": (lambda a: linalg.qr(a), lambda a: tuple(torch.linalg.qr(a)), ANY),
    "svd": (
        lambda a: signless(*linalg.svd(a, False)),
        lambda a: signless(*torch.linalg.svd(a, False)), ANY,
    ),
    "svd with full matrices": (
        lambda a: signless(*linalg.svd(a)), lambda a: signless(*torch.linalg.svd(a)), ANY[:-1],
    ),
    "eig": (
        lambda a: orderless(*linalg.eig(a), of_lucid),
        lambda a: orderless(*torch.linalg.eig(a), of_torch), SQUARE,
    ),
}  # fmt: skip


def signless(u, s, vh):
    """What does not depend on the signs of the singular vectors."""
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return u * u, s, vh * vh, u[..., :1] @ vh[..., :1, :]


def of_lucid(z):
    return lucid.apply(jnp.real, z), lucid.apply(lambda x: (x * x.conj()).real, z)


def of_torch(z):
    return z.real, (z * z.conj()).real


def orderless(values, vectors, parts):
    """Sums over the eigenvalues of what does not depend on the phases of the eigenvectors."""
    real, square = parts(values)
    weight = real + square / 2
    return (parts(vectors)[1] * weight[..., None, :]).sum(-1), weight.sum(-1)


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, (*_, shapes) in CASES.items() for shape in shapes]
)
def test_function(name, shape):
    ours, theirs, _ = CASES[name]
    check_torch(ours, theirs, regular(*shape), rtol=1e-8)


COMPLEX = {
    name: CASES[name] for name in ("det", "inv", "solve", "matrix_power", "norm", "pinv", "eig")
} | {
    "cholesky": (
        lambda a: linalg.cholesky(a @ adjoint(a)), lambda a: torch.linalg.cholesky(a @ a.mH), None,
    ),
    "qr": (linalg.qr, lambda a: tuple(torch.linalg.qr(a)), None),
    "svd": (
        lambda a: phaseless(*linalg.svd(a), of_lucid),
        lambda a: phaseless(*torch.linalg.svd(a), of_torch), None,
    ),
}  # fmt: skip


def adjoint(z):
    return lucid.apply(lambda x: x.conj().mT, z)


def phaseless(u, s, vh, parts):
    return parts(u)[1], s, parts(vh)[1], parts(u[..., :1] @ vh[..., :1, :])[0]


def flat(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name):
    """As real functions of the two parts of the matrix."""
    ours, theirs, _ = COMPLEX[name]

    def of_parts(fn, i, parts, a, b):
        outputs = flat(fn(a + i * b))
        return tuple(part for y in outputs for part in parts(y))

    check_torch(
        lambda a, b: of_parts(ours, 1j, of_lucid, a, b),
        lambda a, b: of_parts(theirs, 1j, of_torch, a, b),
        regular(3, 3),
        spaced(3, 3, seed=1),
        rtol=1e-8,
    )


@pytest.mark.parametrize("rank", [1, 2])
def test_singular_values_of_lower_rank(rank):
    a = spaced(4, rank) @ spaced(rank, 3, seed=1)
    theirs = torch.tensor(a, requires_grad=True)
    torch.linalg.svd(theirs)[1][:rank].sum().backward()
    with jax.enable_x64(True):
        x = Tensor(a, requires_grad=True)
        linalg.svd(x)[1][:rank].sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_pinv_of_lower_rank():
    check_torch(
        lambda x, y: linalg.pinv(x @ y),
        lambda x, y: torch.linalg.pinv(x @ y),
        spaced(4, 2),
        spaced(2, 3, seed=1),
        rtol=1e-8,
    )


def test_complex_gradients_are_in_the_same_convention():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3)) for _ in range(2))

    def derivatives(x, y, grad, absolute, conj, real):
        loss = (absolute(x @ y + conj(x)) ** 2).sum() + real(x * x * y).sum()
        first = grad(loss, [x, y], create_graph=True)
        second = grad(sum((absolute(g) ** 2).sum() for g in first), [x, y])
        return [*first, *second]

    theirs = derivatives(
        *(torch.tensor(v, requires_grad=True) for v in (a, b)),
        torch.autograd.grad, torch.abs, torch.conj, torch.real,
    )  # fmt: skip
    with jax.enable_x64(True):
        ours = derivatives(
            *(Tensor(v, requires_grad=True) for v in (a, b)),
            lucid.autograd.grad, lucid.abs,
            *(lambda x, fn=fn: lucid.apply(fn, x) for fn in (jnp.conj, jnp.real)),
        )  # fmt: skip
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-9)
