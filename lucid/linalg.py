"""Linear algebra: decompositions of matrices, inverses and norms."""

from lucid._core.package import publish
from lucid.ops.decompositions import (
    cholesky,
    det,
    eig,
    inv,
    matrix_power,
    pinv,
    qr,
    solve,
    svd,
)
from lucid.ops.reduce import norm

__all__ = ["cholesky", "det", "eig", "inv", "matrix_power", "norm", "pinv", "qr", "solve", "svd"]

publish(globals())
