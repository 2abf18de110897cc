"""The lucid deep-learning API, computed by JAX."""

from lucid._version import __version__

__all__ = ["__version__"]
