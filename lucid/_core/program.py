"""Program: one traced and compiled form of an imperative function."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp

from lucid._core import arrays, epoch, tree
from lucid._core.errors import JitError, definition
from lucid._core.mode import lock, set_grad_enabled, state
from lucid._core.op import Op
from lucid._core.tape import Node
from lucid._core.tensor import Tensor
from lucid._core.trace import Capture, StandIn, Values, opaque, same
from lucid._core.tree import Static
from lucid._core.typing import Array
from lucid._core.variable import Edge, Variable
from lucid._core.watch import Watch, drawn, random_states


class Arguments(NamedTuple):
    """The arguments of a call, taken apart."""

    structure: tree.Structure
    names: tuple[str, ...]  # of the last ones, which are given by keyword
    leaves: list[Any]
    traced: list[int]  # the positions of Tensors and arrays
    repeated: dict[int, int]  # where a Tensor comes again, by position: where it came first

    def arrays(self) -> list[Any]:
        """The traced leaves as arrays."""
        leaves = [self.leaves[i] for i in self.traced]
        return [leaf._data if isinstance(leaf, Variable) else leaf for leaf in leaves]


class Owner:
    """What a program remembers of a Tensor that was an argument; not its values."""

    def __init__(self, tensor: Variable) -> None:
        self._data = jax.ShapeDtypeStruct(tensor._data.shape, tensor._data.dtype)
        self._requires_grad, self._keep_grad = tensor._requires_grad, tensor._keep_grad
        self._hooks = None if tensor._hooks is None else dict(tensor._hooks)
        self._node = None if tensor._node is None else "computed"
        traced = isinstance(tensor._data, jax.core.Tracer)
        self.device = None if traced else arrays.device_of(tensor._data)


class Inputs(NamedTuple):
    """What a program reads."""

    written: list[Array]  # of the Tensors that get new data
    read: list[Array]  # of the other Tensors
    grads: list[Array | None]  # of the Tensors whose gradient is read before it is written
    numbers: list[Any]  # hyperparameters
    hosts: list[Any]  # NumPy arrays that the function closes over
    args: list[Any]
    arg_grads: list[Array]  # of the arguments whose gradient is there and read


class Results(NamedTuple):
    """What a program computes."""

    written: list[Array]
    grads: list[Array | None]  # None for those that were forgotten
    arg_data: list[Array]
    arg_grads: list[Array | None]
    outputs: list[Array]


class Form(NamedTuple):
    """Which of the arrays that a program returns is what: see `Results`."""

    has_grad: list[bool]  # of the gradients of state, then of arguments
    n_outputs: int


class Output(NamedTuple):
    """How one leaf of the returned value is made from the results of a program."""

    kind: str  # "tensor", "live" (a Tensor with a graph), "array", "argument" or "value"
    value: Any = None  # of "argument" its position, of "value" what is returned


class Program:
    """A function traced for arguments of one signature, and the state that it touches.

    Args:
        fn: the user's function.
        arguments: the arguments of the call that it is traced for.
        donate: whether the buffers of Tensors that get new data are reused.

    Raises:
        JitError: the function breaks a rule of compiled functions.
    """

    def __init__(self, fn: Callable[..., Any], arguments: Arguments, donate: bool) -> None:
        self.fn = fn
        self.structure, self.names = arguments.structure, arguments.names
        self.traced = arguments.traced
        self.repeated = arguments.repeated
        # What takes the place of a traced argument: an Owner, or None for a plain array.
        self.leaves = list(arguments.leaves)
        for i in arguments.traced:
            leaf = self.leaves[i]
            self.leaves[i] = Owner(leaf) if isinstance(leaf, Variable) else None
        for i in arguments.repeated:
            self.leaves[i] = None
        self.checked_at = epoch.current
        self.grad_enabled = state.grad_enabled
        self.outputs: list[Output] = []
        self.out_structure: Any = None
        self.form: Form | None = None  # None until it is traced for good
        self.warm = False  # whether it has run, so that JAX runs it without Python

        self.watch = Watch([fn if hasattr(fn, "__code__") else type(fn).__call__])
        self.random_states = random_states()
        found = self.found = Capture()
        arg_grads = [
            leaf._grad._data if isinstance(leaf, Variable) and leaf._grad is not None else None
            for leaf in (arguments.leaves[i] for i in arguments.traced)
        ]

        def discover(args: Sequence[Array]) -> Results:
            opaque_grads = [None if g is None else opaque(g) for g in arg_grads]
            results, self.given = self._trace(found, args, opaque_grads)
            found.forget(self.given)
            return results

        try:
            with self.watch.calls():
                effects = jax.jit(discover).trace(arguments.arrays()).jaxpr.effects
            found.check_escapes()
        except BaseException:
            found.restore()
            raise
        self._list_state([grad is not None for grad in arg_grads])
        for module, _ in found.modules.values():
            self.watch.add(type(module).forward)
            for value in vars(module).values():
                self.watch.add(value)
        self.variables = [variable for variable, _ in self.watch.variables.values()]
        self.values = self.watch.values()
        self.live = state.grad_enabled and any(y.kind == "live" for y in self.outputs)
        self.has_effects = bool(effects)
        # The tape would hold the inputs of a program with a graph, so they cannot be reused; and
        # around a program with callbacks Python code runs, where an interrupt would lose results.
        self.donates = donate and not self.live and not self.has_effects
        self.run = jax.jit(self._named(), donate_argnums=0 if self.donates else ())
        self.op: Op | None = None

    def _list_state(self, args_have_grad: list[bool]) -> None:
        """What the first trace found, in lists."""
        found = self.found
        stand_ins = list(found.stand_ins.values())
        self.written = [s.owner for s in stand_ins if s.data_written]
        self.read = [s.owner for s in stand_ins if not s.data_written]
        self.grads_read = [s.owner for s in stand_ins if s.grad_read]
        self.grads_written = [s.owner for s in stand_ins if s.grad_written]
        self.numbers = [number for number, _ in found.numbers.values()]
        self.hosts = [host.array for host in found.hosts.values()]
        had_grad = dict(zip(self.traced, args_have_grad, strict=True))
        given = [(i, s) for i, s in zip(self.traced, self.given, strict=True) if s is not None]
        self.args_written = [i for i, s in given if s.data_written]
        self.arg_grads_written = [i for i, s in given if s.grad_written]
        self.arg_grads_read = [i for i, s in given if s.grad_read]
        self.arg_had_grad = [had_grad[i] for i in self.arg_grads_read]
        self.arg_devices = [(i, s.owner.device) for i, s in given if s.device_read]
        self.had_grad = [t._grad is not None for t in self.grads_read]
        self.settings = [_settings(s) for s in stand_ins]
        self.snapshots = [(module, module._snapshot()) for module, _ in found.modules.values()]
        self.snapshots += [(o, o._snapshot()) for o in found.optimizers.values()]

    # --- Tracing ---

    def _trace(
        self, capture: Capture, args: Sequence[Array], arg_grads: Sequence[Array | None]
    ) -> tuple[Results, list[StandIn | None]]:
        """Run the user's function on traced values: what it computed, and its arguments."""
        # JAX may trace again later, for a derivative, when the mode is another one.
        with capture.active(), set_grad_enabled(self.grad_enabled):
            given = list(self.leaves)
            stand_ins: list[StandIn | None] = []
            for i, array, grad in zip(self.traced, args, arg_grads, strict=True):
                owner = self.leaves[i]
                given[i] = array if owner is None else capture.argument(owner, array, grad)
                stand_ins.append(None if owner is None else given[i])
            for i, first in self.repeated.items():
                given[i] = given[first]
            values = tree.unflatten(self.structure, given)
            plain = [x.value if isinstance(x, Static) else x for x in values]
            n = len(plain) - len(self.names)
            returned = self.fn(*plain[:n], **dict(zip(self.names, plain[n:], strict=True)))
            after = tree.flatten(values)
            if after[1] != self.structure or any(
                a is not b for a, b in zip(after[0], given, strict=True)
            ):
                raise JitError(
                    f"{definition(self.fn)}: the function changed a list or dictionary among its "
                    "arguments, which would happen only while it is traced. Return the new value "
                    "instead."
                )
            arguments = [s for s in stand_ins if s is not None]
            capture.check(self.fn, arguments)
            found = capture.stand_ins.values()
            results = Results(
                written=[s.value for s in found if s.data_written],
                grads=[_grad_of(s) for s in found if s.grad_written],
                arg_data=[s.value for s in arguments if s.data_written],
                arg_grads=[_grad_of(s) for s in arguments if s.grad_written],
                outputs=self._take_apart(returned, given),
            )
            return results, stand_ins

    def _take_apart(self, returned: Any, given: list[Any]) -> list[Array]:
        """The arrays of the returned value; `self.outputs` says how to put it together again."""
        leaves, self.out_structure = tree.flatten(returned)
        position = {id(leaf): i for i, leaf in enumerate(given) if isinstance(leaf, Tensor)}
        self.outputs = []
        found = []
        for leaf in leaves:
            if id(leaf) in position:
                self.outputs.append(Output("argument", position[id(leaf)]))
            elif isinstance(leaf, Tensor) and leaf._born is state.capture:
                node = leaf._node
                live = node is not None and node.arrays is not None
                self.outputs.append(Output("live" if live else "tensor"))
                found.append(leaf._data)
            elif isinstance(leaf, jax.core.Tracer):
                self.outputs.append(Output("array"))
                found.append(leaf)
            else:
                self.outputs.append(Output("value", leaf))
        return found

    def _pure(self, *parts: Any) -> Results:
        """The function as JAX sees it: the parts of `Inputs` in, arrays out."""
        inputs = Inputs(*parts)
        of_written, of_read, of_grads = iter(inputs.written), iter(inputs.read), iter(inputs.grads)
        stand_ins = self.found.stand_ins.values()
        values = Values(
            data=[next(of_written if s.data_written else of_read) for s in stand_ins],
            grads=[next(of_grads) if s.grad_read else None for s in stand_ins],
            numbers=inputs.numbers,
            hosts=inputs.hosts,
        )
        had_grad = [i for i, had in zip(self.arg_grads_read, self.arg_had_grad, strict=True) if had]
        grads = dict(zip(had_grad, inputs.arg_grads, strict=True))
        capture = Capture(self.found, values)
        return self._trace(capture, inputs.args, [grads.get(i) for i in self.traced])[0]

    def _named(self) -> Callable[..., list[Array]]:
        """`_pure` with a flat result, under the name of the user's function for profilers."""

        def pure(*parts: Any) -> list[Array]:
            results = self._pure(*parts)
            grads = [*results.grads, *results.arg_grads]
            self.form = Form([grad is not None for grad in grads], len(results.outputs))
            kept = (grad for grad in grads if grad is not None)
            return [*results.written, *kept, *results.arg_data, *results.outputs]

        pure.__name__ = _name(self.fn)
        return pure

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
        for variable, before in zip(self.variables, self.values, strict=True):
            now = variable.value()
            if now is not before and not same(now, before):
                return f'the variable "{variable.name}"'
        leaves = arguments.leaves
        if [t._grad is not None for t in self.grads_read] != self.had_grad or [
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
            for what, old, new in zip(Settings._fields, before, _settings(stand_in), strict=True):
                if old != new:
                    return f"{what} of a Tensor of shape {stand_in.owner.shape}"
        return None

    # --- Running ---

    def first_call(self, arguments: Arguments) -> Any:
        """Run the program for the first time, which traces it for good and compiles it."""
        self._bind_state(arguments)
        try:
            inputs = self.inputs(arguments)
            if any(map(_is_traced, inputs.args)) or staged():
                jax.eval_shape(self.run, *inputs)
            else:  # before the lock is taken, so that others need not wait
                self.run.lower(*inputs).compile()
            self._check_repeatable()
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
        bound = {a.sharding for a in leaves if isinstance(a, jax.Array) and _is_bound(a)}
        if len(bound) == 1 and len((place := bound.pop()).device_set) == 1:
            for tensor in self.written:
                if not _is_bound(tensor._data):
                    tensor._put(jax.device_put(tensor._data, place))

    def inputs(self, arguments: Arguments) -> Inputs:
        """What the program reads, as it is now."""
        leaves = arguments.leaves
        grads = [leaves[i]._grad for i in self.arg_grads_read]
        return Inputs(
            [t._data for t in self.written],
            [t._data for t in self.read],
            [None if t._grad is None else t._grad._data for t in self.grads_read],
            [number.value() for number in self.numbers],
            self.hosts,
            arguments.arrays(),
            [grad._data for grad in grads if grad is not None],
        )

    def __call__(self, arguments: Arguments) -> Any:
        self._check_aliases(arguments)
        if self._changes_state() and (
            any(map(_is_traced, arguments.arrays())) or staged()
        ):  # before anything is donated
            raise self._impure()
        if self.has_effects:  # callbacks may wait for the lock
            inputs, outputs = self._step(arguments)
        else:
            with lock:
                state.stepping = True
                try:
                    inputs, outputs = self._step(arguments)
                finally:
                    state.stepping = False
        node = self._node(arguments, inputs) if self.live and state.grad_enabled else None
        return self._put_together(arguments, outputs, node)

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
        leaves = arguments.leaves
        gradients = [Tensor._wrap(None) if kept else None for kept in self.form.has_grad]  # type: ignore[arg-type]
        grad_owners = [*self.grads_written, *(leaves[i] for i in self.arg_grads_written)]
        places = [
            *self.written,
            *(gradient for gradient in gradients if gradient is not None),
            *(leaves[i] for i in self.args_written),
        ]
        if self.warm:
            results = itertools.chain.from_iterable(map(self.run, *([x] for x in inputs)))
        else:
            own = inputs
            if self.donates:
                own = inputs._replace(written=[_copied(array) for array in inputs.written])
            results = iter(self.run(*own))
        outputs: list[Array] = []
        collections.deque(
            itertools.chain(
                map(_set_data, places, results),
                map(_set_grad, grad_owners, gradients),
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
        return inputs, outputs

    def _make_own(self) -> None:
        """Copy the arrays that something else may hold too, since donation ends their life."""
        for tensor in self.written:
            if tensor._shared is not None:
                tensor._data, tensor._shared = _copied(tensor._data), None

    def _changes_state(self) -> bool:
        changed = self.written or self.grads_written or self.args_written or self.arg_grads_written
        return bool(changed)

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

    def _impure(self) -> JitError:
        return JitError(
            f"{_name(self.fn)} changes state, such as gradients, running statistics or a random "
            "generator, and so is no pure function inside jax.jit, jax.grad or jax.vmap. Use "
            "lucid.func.functional_call there."
        )

    def _node(self, arguments: Arguments, inputs: Inputs) -> Node:
        """The one node of the tape that stands for this call."""
        taken, treedef = jax.tree.flatten(inputs)
        if self.op is None:

            def outputs_of(*values: Any) -> tuple[Array, ...]:
                return tuple(self._pure(*jax.tree.unflatten(treedef, values)).outputs)

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

    def _put_together(self, arguments: Arguments, computed: list[Array], node: Node | None) -> Any:
        leaves = []
        at = 0
        for kind, value in self.outputs:
            if kind == "value":
                leaves.append(value)
            elif kind == "argument":
                leaves.append(arguments.leaves[value])
            else:
                array = computed[at]
                if kind == "array":
                    leaves.append(array)
                else:
                    leaves.append(Tensor._wrap(array, node if kind == "live" else None, at))
                at += 1
        return tree.unflatten(self.out_structure, leaves)


# In C, as `_step` needs it.
_set_data: Any = Variable.__dict__["_data"].__set__
_set_grad: Any = Variable.__dict__["_grad"].__set__


class Settings(NamedTuple):
    """What a program depends on of a Tensor from outside, apart from its values."""

    requires_grad: bool
    hooks: tuple[int, ...]
    device: str | None


def _settings(stand_in: StandIn) -> Settings:
    tensor = stand_in.owner
    device = tensor.device if stand_in.device_read else None
    return Settings(tensor._requires_grad, tuple(tensor._hooks or ()), device)


def _copied(array: Array) -> Array:
    return jax.device_put(array, may_alias=False)


def staged() -> bool:
    """Whether JAX traces what runs now, although no operand shows it."""
    return _trace_state() != _EAGER and isinstance(jnp.zeros(()), jax.core.Tracer)


_trace_state: Any = getattr(jax.extend.core, "get_opaque_trace_state", None) or getattr(
    jax.core, "get_opaque_trace_state", None
)
_EAGER = _trace_state()


def _is_bound(array: Array) -> bool:
    """Whether an array may not move to another device by itself."""
    return not _is_traced(array) and array.committed


def _is_traced(array: Any) -> bool:
    return isinstance(array, jax.core.Tracer)


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _grad_of(stand_in: StandIn) -> Array | None:
    return None if stand_in.gradient is None else stand_in.gradient.data
