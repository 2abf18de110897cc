"""How lucid is built.

    deconv(x) -> Module.__call__ -> ConvTranspose2d.forward -> run -> ops.conv
    loss.backward() -> walk over the tape -> jax.vjp of the same function, compiled and cached

- `lucid/_core/` is the engine. `declaration.py` makes a function of Tensors from its one
  definition, `gate.py` is the only gate between Tensors and arrays, and `op.py` the only caller of
  `jax.vjp`: the backward pass of an operation is compiled from its inputs and is an operation
  itself, which gives derivatives of every order. While a program is traced, the tape (`tape.py`)
  keeps residuals instead.
- `autocast.py` has the one table of what computes in 16 bits and what in float32 under
  `lucid.autocast`; the conversions are inside of the compiled operation.
- `lucid/ops/` declares the functions; their bodies compute with jax arrays and know nothing of
  Tensor. `ops/conv/` has one trilinear form and three JAX primitives that are each other's
  transposes: output, input gradient, weight gradient. Every derivative of any order is one of the
  three, so each is made fast once.
- `trace.py` says what happens to Tensors while a function is traced: it sees stand-ins of those
  from outside (`stand_in.py`), never these themselves: other threads go on, an exception leaves
  nothing to put back. `closing.py` makes a pure function of an imperative one; `program.py`
  compiles it, runs it and puts the new state in place within one call of C code; `watch.py` knows
  the Python variables behind it; `jit.py` keeps the programs. `nested.py` does for a part of a
  program what `closing.py` does for a whole one, and `lucid/control.py` makes loops of that.
- `waiting.py` and `growth.py` listen to what JAX tells of its compilations, so a call that compiles
  nothing pays nothing for them. `package.py` gives packages their names: what an import can do
  without is imported when it is first asked for, and stands under `if TYPE_CHECKING` for checkers
  and editors.
- `lucid/nn`, `lucid/optim` build on these. Imports point in one direction only; a test checks it.
"""
