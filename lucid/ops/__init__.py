"""Pure functions from jax arrays to a jax array; they know nothing of Tensor."""
