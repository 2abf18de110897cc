"""Program: one traced and compiled form of an imperative function."""

from __future__ import annotations

import collections
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lucid._core import epoch, spread
from lucid._core.arrays import staged
from lucid._core.closing import Arguments, Closure, Inputs, Settings, settings_of
from lucid._core.errors import LOST, JitError, definition, is_lost, mismatched
from lucid._core.flat import Cut, Flat, cut_like, flatten
from lucid._core.mode import lock, state
from lucid._core.op import Op
from lucid._core.tape import Node
from lucid._core.tensor import Tensor
from lucid._core.trace import same
from lucid._core.typing import Array
from lucid._core.variable import Edge, Variable
from lucid._core.watch import Watch, drawn, random_states


class Form(NamedTuple):
    """Which of the arrays that a program returns is what: see `Results`."""

    flat: list[list[int]]  # which gradients of state leave together, in one array each
    cuts: list[Cut]  # of these arrays
    own: list[int]  # which gradients, of state and then of arguments, are arrays of their own
    forgotten: list[int]  # and which are None


_SMALL = 1024  # elements up to which copying a gradient costs less than one more result of XLA
_MANY = 8  # gradients that are worth a flat array


class Program(Closure):
    """A function that was closed over its state, compiled.

    Args:
        fn: the user's function.
        arguments: the arguments of the call that it is traced for.
        donate: whether the buffers of Tensors that get new data are reused.

    Raises:
        JitError: the function breaks a rule of compiled functions.
    """

    def __init__(self, fn: Callable[..., Any], arguments: Arguments, donate: bool) -> None:
        self.checked_at = epoch.current
        self.watch = Watch([fn if hasattr(fn, "__code__") else type(fn).__call__])
        self.random_states = random_states()
        self._numbers_before: list[Any] = []
        self._numbers_on_device: list[Any] = []
        super().__init__(fn, arguments, self.watch.calls())
        for module, _ in self.found.modules.values():
            self.watch.add(type(module).forward)
            for value in vars(module).values():
                self.watch.add(value)
        self.variables = [variable for variable, _ in self.watch.variables.values()]
        self.readers = [variable.reader() for variable in self.variables]
        self.values = self.watch.values()
        self.live = state.grad_enabled and any(y.kind == "live" for y in self.outputs)
        # The tape would hold the inputs of a program with a graph, so they cannot be reused; and
        # around a program with callbacks Python code runs, where an interrupt would lose results.
        self.donates = donate and not self.live and not self.has_effects
        leaves = jax.tree.leaves(self.inputs(arguments))
        self.on_one_device = all(len(a.sharding.device_set) == 1 for a in leaves if _is_held(a))
        self.places: list[Any] = []  # of the written state, where it lies on several devices
        self.run = jax.jit(self._named(), donate_argnums=0 if self.donates else ())
        self.changes = self.changes_state()
        self.op: Op | None = None
        self.jaxpr: Any = None  # of `run`, if its results have a graph
        self.form: Form | None = None  # None until it is traced for good
        self.resizes = False  # whether state gets another shape or dtype
        self.warm = False  # whether it has run, so that JAX runs it without Python

    def _named(self) -> Callable[..., list[Array]]:
        """`pure` with a flat result, under the name of the user's function for profilers."""

        def pure(*parts: Any) -> list[Array]:
            results = self.pure(*parts)
            self.resizes = any(
                (a.shape, a.dtype) != (b.shape, b.dtype)
                for a, b in zip(parts[0], results.written, strict=True)
            )
            written = map(_kept, results.written, self.places or [None] * len(results.written))
            flat = self._flat_grads(results.grads)
            grads: list[Any] = [*results.grads, *results.arg_grads]
            together = [[grads[i] for i in held] for held in flat]
            rest = {*range(len(grads))}.difference(*flat)
            own = [i for i in sorted(rest) if grads[i] is not None]
            self.form = Form(flat, [*map(cut_like, together)], own, [*rest.difference(own)])
            return [
                *written,
                *map(flatten, together),
                *[grads[i] for i in own],
                *results.arg_data,
                *results.outputs,
            ]

        pure.__name__ = _name(self.fn)
        return pure

    def _flat_grads(self, grads: Sequence[Array | None]) -> list[list[int]]:
        """Which gradients of state leave the program together: small ones that nothing reads."""
        if not self.on_one_device:
            return []
        read = set(map(id, self.grads_read))
        by_dtype: dict[Any, list[int]] = collections.defaultdict(list)
        for i, (tensor, grad) in enumerate(zip(self.grads_written, grads, strict=True)):
            if grad is not None and grad.size <= _SMALL and id(tensor) not in read:
                by_dtype[grad.dtype].append(i)
        return [held for held in by_dtype.values() if len(held) >= _MANY]

    # --- Fitting ---

    def fits(self, arguments: Arguments) -> bool:
        """Whether the state is still what the program was traced for."""
        if self.checked_at != epoch.current:
            if self._changed_state() is not None:
                return False
            self.checked_at = epoch.current
        return self._changed_value(arguments) is None

    def change(self, arguments: Arguments) -> str | None:
        """What changed since the program was traced, apart from the arguments' signature."""
        return self._changed_state() or self._changed_value(arguments)

    def _changed_value(self, arguments: Arguments) -> str | None:
        """What changed of that which gives no sign."""
        now = [read() for read in self.readers]
        if not all(map(operator.is_, now, self.values)):
            for variable, value, before in zip(self.variables, now, self.values, strict=True):
                if not same(value, before):
                    return f'the variable "{variable.name}"'
        leaves = arguments.leaves
        if [t._gradient is not None for t in self.grads_read] != self.had_grad or [
            leaves[i]._grad is not None for i in self.arg_grads_read
        ] != self.arg_had_grad:
            return "whether gradients are None"
        for i, device in self.arg_devices:
            if leaves[i].device != device:
                return "the device of an argument"
        return None

    def _changed_state(self) -> str | None:
        """What changed of Modules, optimizers and Tensors, which bump the epoch."""
        for module, attributes in self.snapshots:
            after = module._snapshot()
            for name in {**attributes, **after}:
                if not same(attributes.get(name), after.get(name)):
                    return f"{type(module).__name__}.{name}"
        for stand_in, before in zip(self.found.stand_ins.values(), self.settings, strict=True):
            for what, old, new in zip(Settings._fields, before, settings_of(stand_in), strict=True):
                if old != new:
                    return f"{what} of a Tensor of shape {stand_in.owner.shape}"
        return None

    # --- Running ---

    def number_values(self) -> list[Any]:
        """The hyperparameters on the device, where they stay while they are what they were."""
        now = super().number_values()
        if now != self._numbers_before:
            with jax.core.eval_context():
                self._numbers_on_device = jax.tree.map(jnp.asarray, now)
            self._numbers_before = now
        return self._numbers_on_device

    def compile(self, arguments: Arguments) -> None:
        """Trace the program for good and compile it, for the first call."""
        self._bind_state(arguments)
        try:
            inputs = self.inputs(arguments)
            if any(map(_is_traced, inputs.args)) or staged():
                jax.eval_shape(self.run, *inputs)
            else:  # before the lock is taken, so that others need not wait
                self.run.lower(*inputs).compile()
            if self.live:
                self.jaxpr = self.run.trace(*inputs).jaxpr  # which JAX remembers
            self._check_repeatable()
        except BaseException as error:
            self.found.restore()
            mismatch = mismatched(error, jax.tree.leaves(self.inputs(arguments)))
            if mismatch is not None:
                raise mismatch from error
            raise

    def first_call(self, arguments: Arguments) -> Any:
        """Run the program; if that fails, what happened while it was traced is undone."""
        try:
            return self(arguments)
        except BaseException:
            self.found.restore()
            raise

    def _check_repeatable(self) -> None:
        """Refuse what the second trace did again, and further calls would not.

        What the first trace alone did may stay: it filled a cache, say.
        """
        for (variable, first), before in zip(
            self.watch.variables.values(), self.values, strict=True
        ):
            place = None if same(variable.value(), before) else self.watch.assignment(variable)
            if place is not None:
                variable.set(first)
                raise JitError(
                    f'{place}: the variable "{variable.name}" was set inside a compiled function '
                    f"({definition(self.fn)}), which would happen only while it is traced. Keep a "
                    "number that changes in a Tensor, or change it outside."
                )
        found = drawn(self.random_states, self.watch)
        if found is not None:
            module, line = found
            raise JitError(
                f"{line or definition(self.fn)}: a draw from {module} inside a compiled function "
                f"({definition(self.fn)}) would happen only while it is traced, and be the same in "
                "each call. Draw from lucid.random, or outside and pass the number as a Tensor."
            )

    def _bind_state(self, arguments: Arguments) -> None:
        """Bind the state to the device that any input is bound to, as the results will be.

        Else the second call would find other inputs than the first, and compile once more.
        """
        leaves = jax.tree.leaves(self.inputs(arguments))
        bound = {a.sharding for a in leaves if _is_held(a) and a.committed}
        meshes = {s.mesh for s in bound if isinstance(s, NamedSharding) and s.mesh.size > 1}
        if len(meshes) == 1:  # what is bound to nothing goes to all devices
            bound = {NamedSharding(meshes.pop(), PartitionSpec())}
        if len(bound) == 1:
            place = bound.pop()
            for tensor in self.written:
                if _is_held(tensor._data) and not tensor._data.committed:
                    tensor._put(spread.put("state of a compiled function", tensor._data, place))
        held = [t._data.sharding if _is_held(t._data) else None for t in self.written]
        self.places = [
            p if isinstance(p, NamedSharding) and p.mesh.size > 1 else None for p in held
        ]

    def __call__(self, arguments: Arguments) -> Any:
        self._check_aliases(arguments)
        if self.changes and (
            any(map(_is_traced, arguments.arrays())) or staged()
        ):  # before anything is donated
            raise self._impure()
        try:
            if self.has_effects:  # callbacks may wait for the lock
                inputs, outputs = self._step(arguments)
            else:
                with lock:
                    state.stepping = True
                    try:
                        inputs, outputs = self._step(arguments)
                    finally:
                        state.stepping = False
        except RuntimeError as error:
            if any(is_lost(tensor._data) for tensor in (*self.written, *self.read)):
                raise RuntimeError(f"{_name(self.fn)}: {LOST}") from error
            raise
        node = self._node(arguments, inputs) if self.live and state.grad_enabled else None
        return self.put_together(arguments, outputs, node)

    def _step(self, arguments: Arguments) -> tuple[Inputs, list[Array]]:
        """Run the program and put the new state in place: what it read, and its outputs.

        Python looks at signals, and lets other threads run, between its own instructions only.
        There is none between an execution, which ends the life of the old arrays, and the last
        assignment of a new one: all of that is one call of C code. The first execution runs
        through Python code of JAX; it gives away copies instead.
        """
        if self.donates and self.warm:
            self._make_own()
        inputs = self.inputs(arguments)
        if self.form is None:  # inside a transformation of JAX
            jax.eval_shape(self.run, *inputs)
        assert self.form is not None
        if not self.changes:
            self.warm = True
            return inputs, list(self.run(*inputs))
        leaves = arguments.leaves
        form = self.form
        flats = [Flat(cut) for cut in form.cuts]
        separate = [Tensor._wrap(None) for _ in form.own]  # type: ignore[arg-type]
        grad_owners = [*self.grads_written, *[leaves[i] for i in self.arg_grads_written]]
        places = [
            *self.written,
            *[flat.whole for flat in flats],
            *separate,
            *[leaves[i] for i in self.args_written],
        ]
        if self.warm:
            results = itertools.chain.from_iterable(map(self.run, *[[x] for x in inputs]))
        else:
            own = inputs
            if self.donates:
                own = inputs._replace(written=[spread.copied(array) for array in inputs.written])
            results = iter(self.run(*own))
        outputs: list[Array] = []
        collections.deque(
            itertools.chain(
                map(_set_data, places, results),
                *[
                    map(
                        _set_grad,
                        [grad_owners[i] for i in held],
                        zip(itertools.repeat(flat), itertools.count()),
                    )
                    for held, flat in zip(form.flat, flats, strict=True)
                ],
                map(_set_grad, [grad_owners[i] for i in form.own], separate),
                map(_set_grad, [grad_owners[i] for i in form.forgotten], itertools.repeat(None)),
                map(outputs.append, results),
            ),
            maxlen=0,
        )
        if not (self.warm and self.donates):
            for tensor in self.written:
                tensor._shared = None  # nobody else holds what the program made
        for i in self.args_written:
            leaves[i]._shared = None
        self.warm = True
        if self.resizes:
            epoch.bump()
        return inputs, outputs

    def _make_own(self) -> None:
        """Copy the arrays that something else may hold too, since donation ends their life."""
        for tensor in self.written:
            if tensor._shared is not None:
                tensor._data, tensor._shared = spread.copied(tensor._data), None

    def _check_aliases(self, arguments: Arguments) -> None:
        """Refuse a Tensor that is an argument and state too, if either of them is changed."""
        for i in self.traced:
            stand_in = self.found.stand_ins.get(id(arguments.leaves[i]))
            if stand_in is not None and (
                stand_in.data_written
                or stand_in.grad_written
                or i in self.args_written
                or i in self.arg_grads_written
            ):
                raise JitError(
                    f"{definition(self.fn)}: the function changes a Tensor of shape "
                    f"{stand_in.owner.shape} that is an argument of this call and is also reached "
                    "from outside, and would take them for two. Use only one of them."
                )
        if self.args_written or self.grads_in_place:
            gradients = {id(t._grad) for t in self.grads_read}
            if any(id(arguments.leaves[i]) in gradients for i in self.traced):
                raise JitError(
                    f"{definition(self.fn)}: the function changes an argument that is the gradient "
                    "of a Tensor from outside, and would take them for two. Use only one of them."
                )

    def _impure(self) -> JitError:
        return JitError(
            f"{_name(self.fn)} changes state, such as gradients, running statistics or a random "
            "generator, and so is no pure function inside jax.jit, jax.grad or jax.vmap. Use "
            "lucid.func.functional_call there."
        )

    def _node(self, arguments: Arguments, inputs: Inputs) -> Node:
        """The one node of the tape that stands for this call."""
        taken = [x.copy() if isinstance(x, np.ndarray) else x for x in jax.tree.leaves(inputs)]
        if self.op is None:
            # Of what was traced, not of the function: what that depends on may have changed.
            from jax.extend.core import jaxpr_as_fun  # which loads Pallas

            traced = jaxpr_as_fun(self.jaxpr)
            n = sum(y.kind in {"tensor", "live", "array"} for y in self.outputs)

            def outputs_of(*values: Any) -> tuple[Array, ...]:
                return tuple(traced(*values)[-n:])

            self.op = Op(outputs_of, _name(self.fn))
        edges: list[Edge | None] = [None] * len(taken)
        tensors = (*self.written, *self.read)
        edges[: len(tensors)] = [t._edge() for t in tensors]
        # The arguments come last, but for their gradients.
        given = [arguments.leaves[i] for i in self.traced]
        first = len(taken) - len(inputs.arg_grads) - len(given)
        edges[first : first + len(given)] = [
            t._edge() if isinstance(t, Variable) else None for t in given
        ]
        for tensor, array in zip((*self.read, *given), (*inputs.read, *inputs.args), strict=True):
            if isinstance(tensor, Variable):  # the node holds its array
                tensor._shared = array
        return Node(self.op, taken, edges, len(self.outputs))


# In C, as `_step` needs it.
_set_data: Any = Variable.__dict__["_data"].__set__
_set_grad: Any = Variable.__dict__["_gradient"].__set__


def _kept(array: Array, place: Any) -> Array:
    """The array where the state lay before, or XLA would choose a place itself."""
    return array if place is None else jax.lax.with_sharding_constraint(array, place)


def _is_held(array: Any) -> bool:
    """Whether this is an array that lies somewhere."""
    return isinstance(array, jax.Array) and not _is_traced(array)


def _is_traced(array: Any) -> bool:
    return isinstance(array, jax.core.Tracer)


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)
