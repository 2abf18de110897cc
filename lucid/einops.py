"""Functions whose axes have names, in the pattern language of the einops package."""

from lucid._core.package import publish
from lucid.ops.patterns import einsum, rearrange, reduce, repeat

__all__ = ["einsum", "rearrange", "reduce", "repeat"]

publish(globals())
