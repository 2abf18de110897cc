"""Layers against PyTorch's, for tests that need it."""

from __future__ import annotations

import jax

import lucid
from lucid import Tensor
from tests.helpers import check_torch, spaced


def check_layer(ours, theirs, call, *arrays):
    """Compare outputs, gradients and second derivatives, by the inputs and by all weights.

    Args:
        call: takes a function of the inputs, `as_tensor` of its library and the inputs.
    """
    import torch  # which only some of the tests' environments have

    with jax.enable_x64(True):
        ours.to("float64")
        theirs.double()
        state = dict(theirs.named_parameters())
        assert {n: p.shape for n, p in ours.state_dict().items()} == {
            n: tuple(p.shape) for n, p in theirs.state_dict().items()
        }
        assert list(ours.state_dict()) == list(theirs.state_dict())
        weights = [0.3 * spaced(*p.shape, seed=9 + i) for i, p in enumerate(state.values())]
        n = len(arrays)

        def with_ours(*xs):
            parameters = dict(zip(state, xs[n:], strict=True))
            return call(
                lambda *args, **named: lucid.func.functional_call(ours, parameters, *args, **named),
                Tensor,
                *xs[:n],
            )

        def with_theirs(*xs):
            parameters = dict(zip(state, xs[n:], strict=True))
            return call(
                lambda *args, **named: torch.func.functional_call(theirs, parameters, args, named),
                torch.tensor,
                *xs[:n],
            )

        # PyTorch's fused attention has no second derivative.
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            check_torch(with_ours, with_theirs, *arrays, *weights, rtol=1e-8)
