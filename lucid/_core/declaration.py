"""`op`: a function is declared once, and the declaration gives all of its forms.

    @op
    def exp(a: Operand) -> Tensor:
        return jnp.exp(a)

The annotations are those of the public function. What is annotated as `Operand` is data: a Tensor,
an array or a number, by position or by keyword; it is traced and differentiated, and no program
depends on its value. All other parameters are static, `**keywords` too: each combination of their
types and values is a program of its own. The body computes with jax arrays, and is the form for
users of JAX: `exp.pure`. `method` and `in_place` make the forms that Tensor has.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    TypeVar,
    overload,
)

from lucid._core import autocast
from lucid._core.arguments import frozen, is_whole
from lucid._core.gate import run
from lucid._core.integers import Rule
from lucid._core.misuse import misuse
from lucid._core.mode import state
from lucid._core.op import Op
from lucid._core.static import is_data, keep, refuse_static, static_key
from lucid._core.typing import Array
from lucid._core.variable import Variable

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

P = ParamSpec("P")
Rest = ParamSpec("Rest")
F = TypeVar("F", bound=Callable[..., Any])
Result = TypeVar("Result")
Arrays = TypeVar("Arrays")

_EMPTY = inspect.Parameter.empty
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
# What no keyword means: one of the name of such a parameter may be another.
_NAMELESS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_KEYWORD)


class Function(Generic[P, Result, Arrays]):
    """A declared function: of Tensors; of arrays alone it is pure, and returns arrays."""

    __name__: str
    # An attribute, not a method: so editors show the declared function and not this class.
    __call__: Callable[P, Result]
    pure: Callable[..., Arrays]
    declaration: Declaration


class Kind(NamedTuple):
    """What a parameter takes."""

    data: bool
    many: bool = False  # a sequence of operands
    exponent: bool = False  # whole Python numbers are static


class Source(NamedTuple):
    """What a declared Op was made from: the function, and its arguments but for the operands."""

    declaration: Declaration
    values: tuple[Any, ...]
    places: tuple[int | tuple[int, int], ...]  # of each operand: parameter, or parameter and item

    def arguments(self, operands: Sequence[Any]) -> list[Any]:
        """The value of each parameter, in their order."""
        values = list(self.values)
        for place, operand in zip(self.places, operands, strict=True):
            if isinstance(place, tuple):
                at, _ = place
                values[at] = (*values[at], operand)
            else:
                values[place] = operand
        return values

    def names(self) -> tuple[str, ...]:
        """The parameter that each operand belongs to."""
        at = (place[0] if isinstance(place, tuple) else place for place in self.places)
        return tuple(self.declaration.names[i] for i in at)

    def name(self, at: int) -> str:
        """What messages call an operand."""
        place = self.places[at]
        name = self.names()[at]
        return f"{name}[{place[1]}]" if isinstance(place, tuple) else name

    def optional(self, at: int) -> bool:
        """Whether an operand may be None."""
        place = self.places[at]
        parameter = self.declaration.parameters[place[0] if isinstance(place, tuple) else place]
        return "None" in parameter.annotation or parameter.default is None

    def static(self) -> dict[str, Any]:
        """The values that are no operands, by name; an empty tuple where several operands go."""
        alone = {place for place in self.places if not isinstance(place, tuple)}
        named = zip(self.declaration.names, self.values, strict=True)
        return {name: value for i, (name, value) in enumerate(named) if i not in alone}

    def __call__(self, *operands: Any) -> Any:
        return self.declaration.call(self.arguments(operands))


class Declaration:
    """A function of arrays, and what its annotations say of its parameters."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.name = fn.__name__
        self.low = autocast.TABLE.get(self.name)  # None for what autocast leaves alone
        self.check: Callable[..., None] | None = getattr(fn, "__check__", None)
        self.integers: Rule | None = getattr(fn, "__integers__", None)
        self.compiled = not hasattr(fn, "__by_value__")
        parameters = list(inspect.signature(fn).parameters.values())
        self.parameters = parameters
        self.names = [p.name for p in parameters]
        self.positional = sum(p.kind in _POSITIONAL for p in parameters)
        self.index = {p.name: i for i, p in enumerate(parameters) if p.kind not in _NAMELESS}
        self.kinds = [_kind(p) for p in parameters]
        self.variadic = next(
            (i for i, p in enumerate(parameters) if p.kind is p.VAR_POSITIONAL), None
        )
        # The place of **keywords, whose value is a tuple of (name, value).
        self.open = next((i for i, p in enumerate(parameters) if p.kind is p.VAR_KEYWORD), -1)
        # Of each parameter its default; `empty` where there is none.
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        self.defaults = tuple(() if p.kind in several else p.default for p in parameters)
        self.required = [i for i, default in enumerate(self.defaults) if default is _EMPTY]
        # Where every parameter takes one operand or one static value, nothing need be looked at.
        self.simple = not any(kind.many or kind.exponent for kind in self.kinds)
        self.data = tuple(i for i, kind in enumerate(self.kinds) if kind.data)
        self.static = tuple(i for i, kind in enumerate(self.kinds) if not kind.data)
        self.programs: dict[Any, Op] = {}
        self.plain: Op | None = None
        # By number of positional arguments: the operands that complete a call of nothing else.
        self.tails: dict[int, tuple[Any, ...]] = {}
        self._find_plain()

    def _find_plain(self) -> None:
        """Prepare the usual call: operands by position and defaults for all else."""
        one = [k.data and not (k.many or k.exponent) for k in self.kinds]
        leading = one.index(False) if False in one else len(one)
        if (
            any(i >= leading for i in self.required)
            or self.check is not None
            or any(k.exponent for k in self.kinds)
        ):
            return
        values = list(self.defaults)
        operands, places = self._operands(values)
        self.plain = self._build(values, places)
        for n in range(len(self.required), leading + 1):
            self.tails[n] = tuple(operands[n:])

    def __call__(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """A call of any form.

        Raises:
            TypeError: as Python does for a wrong number of arguments or a wrong name.
        """
        values = self._complete(args, named)
        if self.check is not None:
            self.check(*values)
        places: tuple[int | tuple[int, int], ...] = self.data
        if self.simple:
            operands = [values[i] for i in self.data]
            key: tuple[Any, ...] = tuple([static_key(values[i]) for i in self.static])
        else:
            operands, places = self._operands(values)
            key = (places, *map(static_key, values))
        dtype = None if self.low is None else state.autocast
        if dtype is not None:
            key = (dtype, key)
        try:
            program = self.programs.get(key)
        except TypeError:  # not hashable
            raise self._refusal(values) from None
        if program is None:
            for i in self.static:
                if is_data(frozen(values[i])):
                    raise self._refusal(values)
            program = self._build(values, places, dtype)
            keep(self.programs, key, program)
        return run(program, *operands)

    def _complete(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> list[Any]:
        """The value of each parameter; of one that takes several operands, a tuple."""
        given, at_most = len(args), self.variadic
        if at_most is not None and given > at_most:
            values = [*args[:at_most], args[at_most:], *self.defaults[at_most + 1 :]]
            given = at_most + 1
        elif given > self.positional:
            raise self._misuse(args, named)
        else:
            values = [*args, *self.defaults[given:]]
        for name in named:
            at = self.index.get(name, -1)
            if at < given or at == at_most:
                if at >= 0 or self.open < 0:
                    raise self._misuse(args, named)
                values[self.open] = (*values[self.open], (name, named[name]))
            else:
                values[at] = named[name]
        for i in self.required:
            if values[i] is _EMPTY:
                raise self._misuse(args, named)
        return values

    def _operands(self, values: list[Any]) -> tuple[list[Any], tuple[int | tuple[int, int], ...]]:
        """Take the operands out of `values`, and say where each belongs."""
        operands: list[Any] = []
        places: list[int | tuple[int, int]] = []
        for i in self.data:
            kind, value = self.kinds[i], values[i]
            if kind.many:
                if isinstance(value, Variable) or not isinstance(value, (tuple, list)):
                    raise TypeError(
                        f"{self.name}: {self.names[i]} must be a list or tuple of Tensors, got "
                        f"{type(value).__name__}."
                    )
                operands.extend(value)
                places.extend((i, j) for j in range(len(value)))
                values[i] = ()
            elif not (kind.exponent and is_whole(value)):
                operands.append(value)
                places.append(i)
                values[i] = None
        return operands, tuple(places)

    def _build(
        self,
        values: Sequence[Any],
        places: tuple[int | tuple[int, int], ...],
        dtype: Any = None,
    ) -> Op:
        """The function with the values that are no operands, to be compiled.

        Args:
            dtype: of the autocast that it runs under.
        """
        held = [None if i in places else frozen(value) for i, value in enumerate(values)]
        source = Source(self, tuple(held), places)
        fn: Callable[..., Any] = source.__call__
        if dtype is not None and self.low is not None:
            fn = autocast.converting(fn, self.low, dtype, source.names())
        return Op(fn, self.name, self.compiled, source)

    def call(self, values: Sequence[Any]) -> Any:
        """The function itself, with a value for each parameter."""
        positional: list[Any] = []
        named = {}
        for parameter, value in zip(self.parameters, values, strict=True):
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional.extend(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                named.update(value)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                named[parameter.name] = value
            else:
                positional.append(value)
        return self.fn(*positional, **named)

    def _refusal(self, values: Sequence[Any]) -> TypeError:
        for i in self.static:
            pairs = values[i] if i == self.open else ((self.names[i], values[i]),)
            for name, value in pairs:
                refuse_static(self.name, name, frozen(value))
        raise AssertionError("an unhashable value is a static one")

    def _misuse(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> TypeError:
        wrong = misuse(self.name, inspect.signature(self.fn), args, named)
        if wrong is not None:
            return wrong
        raise AssertionError("Python binds what `_complete` does")


def _kind(parameter: inspect.Parameter) -> Kind:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        raise TypeError(
            f"{parameter.name}: the annotations of an op must be strings, as "
            "`from __future__ import annotations` makes them."
        )
    words = annotation.replace("[", " ").replace("]", " ").split()
    if parameter.kind is parameter.VAR_KEYWORD and {"Operand", "Exponent"} & set(words):
        raise TypeError(f"{parameter.name}: the **keywords of an op are static.")
    if "Exponent" in words:
        return Kind(data=True, exponent=True)
    if "Operand" not in words:
        return Kind(data=False)
    return Kind(data=True, many="Sequence" in words or parameter.kind is parameter.VAR_POSITIONAL)


# --- The forms --------------------------------------------------------------------------------


@overload
def op(fn: Callable[P, Tensor], /) -> Function[P, Tensor, Array]: ...
@overload
def op(
    fn: Callable[P, tuple[Tensor, Tensor]], /
) -> Function[P, tuple[Tensor, Tensor], tuple[Array, Array]]: ...
@overload
def op(
    fn: Callable[P, tuple[Tensor, ...]], /
) -> Function[P, tuple[Tensor, ...], tuple[Array, ...]]: ...
@overload
def op(fn: F, /) -> F: ...  # of other results; and what editors show of all
def op(fn: Any, /) -> Any:
    """Declare a function of Tensors by its pure function of arrays; see above."""
    declaration = Declaration(fn)
    plain, tails = declaration.plain, declaration.tails

    def usual(*args: Any, **named: Any) -> Any:
        if not named and (tail := tails.get(len(args))) is not None:
            return run(plain, *args, *tail)  # type: ignore[arg-type]  # with tails there is one
        return declaration(args, named)

    def by_mode(*args: Any, **named: Any) -> Any:
        if state.autocast is None and not named and (tail := tails.get(len(args))) is not None:
            return run(plain, *args, *tail)  # type: ignore[arg-type]
        return declaration(args, named)

    # Two, so that what autocast leaves alone does not ask for it.
    public: Any = functools.wraps(fn)(usual if declaration.low is None else by_mode)
    public.pure = fn
    public.declaration = declaration
    return public


def checks(check: Callable[..., None]) -> Callable[[F], F]:
    """Call `check` with the arguments before a declared function runs; it raises for bad ones.

    For what the body cannot see, since there data has no value: numbers out of range.
    """

    def declare(fn: F) -> F:
        fn.__check__ = check  # type: ignore[attr-defined]
        return fn

    return declare


def by_value(fn: F) -> F:
    """Let a declared function, whose results have shapes that depend on values, run uncompiled."""
    fn.__by_value__ = True  # type: ignore[attr-defined]
    return fn


@overload
def method(function: Function[P, Result, Any], /) -> Callable[P, Result]: ...
@overload
def method(function: F, /) -> F: ...
def method(function: Any, /) -> Any:
    """A declared function as a method: the same object, with the type of one."""
    return function


@overload
def in_place(
    function: Function[Concatenate[Any, Rest], Tensor, Any], /
) -> Callable[Concatenate[Any, Rest], Tensor]: ...
@overload
def in_place(function: F, /) -> F: ...
def in_place(function: Any, /) -> Any:
    """The method that puts the result of a declared function into the place of its Tensor."""

    def put(self: Any, *args: Any, **named: Any) -> Tensor:
        own = put.__name__  # of `x += y`, the method's name and not the operator's
        name = f"{function.__name__}_" if own.startswith("__") else own
        self._check_in_place(name)
        result: Tensor = self._rebind(name, function(self, *args, **named))
        return result

    signature = inspect.signature(function)
    first, *rest = signature.parameters.values()
    put.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first.replace(name="self", annotation=inspect.Parameter.empty), *rest]
    )
    put.__doc__ = f"`{function.__name__}`, whose result takes the place of this Tensor's values."
    return put
