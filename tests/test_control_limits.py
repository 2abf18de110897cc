"""Loops and branches in a program: what cannot be as in Python is refused, and nothing else is."""

import jax
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import JitError, Tensor, nn

BOTH = pytest.mark.parametrize("wrap", [lambda fn: fn, lucid.jit], ids=["eager", "compiled"])
NO = Tensor([-1.0])
ROWS = Tensor([[1.0], [3.0]])


def parameter(grad=None):
    w = nn.Parameter([2.0])
    w.grad = None if grad is None else Tensor([grad])
    return w


def backward_of(w):
    with lucid.enable_grad():
        (w * w).sum().backward()


def give_up(w):
    w.grad = None


# --- Results of branches --------------------------------------------------------------------------


@BOTH
def test_numbers_of_branches_are_results(wrap):
    choose = wrap(lambda x: lucid.cond(x.sum() > 0, lambda: 1.5, lambda: 2.5))
    assert [float(choose(x)) for x in (NO, -NO)] == [2.5, 1.5]


def test_other_constants_of_branches_must_agree():
    same = lucid.jit(lambda x: lucid.cond(x.sum() > 0, lambda: ("a", x), lambda: ("a", -x)))
    assert same(NO)[0] == "a"
    with pytest.raises(ValueError, match=r"cond: the results .* of 'a' and .* of 'b'\."):
        lucid.jit(lambda x: lucid.cond(x.sum() > 0, lambda: "a", lambda: "b"))(NO)


# --- Gradients ------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_that_does_not_run_leaves_gradients(wrap, sign):
    w = parameter(5.0)

    def anew():
        w.grad = None
        backward_of(w)

    wrap(lambda x: lucid.cond(x.sum() > 0, anew, lambda: None))(Tensor([float(sign)]))
    assert w.grad.item() == (4 if sign > 0 else 5)


@BOTH
@pytest.mark.parametrize("turns", [0, 2])
def test_a_while_loop_without_turns_leaves_gradients(wrap, turns):
    w = parameter(5.0)

    def body(i):
        w.grad = None
        backward_of(w)
        return i + 1

    wrap(lambda n: lucid.while_loop(lambda i: i < n, body, 0))(turns)
    assert w.grad.item() == (4 if turns else 5)


@BOTH
def test_a_scan_without_turns_changes_nothing(wrap):
    w, seen = parameter(5.0), nn.Buffer(np.zeros(1, "f"))

    def body(total, row):
        w.grad = None
        seen.data = seen.data + row.data
        return total + row.sum(), row * 2

    total, ys = wrap(lambda xs: lucid.scan(body, 0.0, xs))(lucid.ones(0, 1))
    assert (total.item(), ys.shape, w.grad.item(), seen.item()) == (0, (0, 1), 5, 0)


@pytest.mark.parametrize("grad", [None, 5.0])
def test_a_gradient_in_one_branch_only(grad):
    w = parameter(grad)

    def changed():
        if grad is None:
            backward_of(w)
        else:
            w.grad = None

    with pytest.raises(JitError, match=r"of shape \(1,\) would be None in one case and a Tensor"):
        lucid.jit(lambda x: lucid.cond(x.sum() > 0, changed, lambda: None))(NO)
    assert (w.grad is None) == (grad is None)


@BOTH
@pytest.mark.parametrize(("end", "grad"), [(backward_of, 25.0), (give_up, None)])
def test_branches_that_both_give_a_gradient_or_both_give_it_up(wrap, end, grad):
    w = parameter(5.0)

    def changed():
        w.data = w.data * w.grad.data
        end(w)

    wrap(lambda x: lucid.cond(x.sum() > 0, changed, lambda: end(w)))(-NO)
    assert w.item() == 10
    assert (w.grad and w.grad.item()) == grad


def test_the_test_of_a_while_loop_changes_no_gradient():
    w = parameter(7.0)

    def test(i):
        w.grad = w.grad * 2
        return i < 3

    with pytest.raises(JitError, match="changes a Tensor from outside; only the body may change"):
        lucid.jit(lambda: lucid.while_loop(test, lambda i: i + 1, 0))()
    assert w.grad.item() == 7


def through_an_argument(w, x):
    return lucid.cond(x.sum() < 0, lambda w: (backward_of(w), x * 0)[1], lambda w: x * 0, w)


def through_a_row(w, x):
    return lucid.scan(lambda c, row: (c, backward_of(row * w)), 0.0, lucid.stack([w, w]))


def through_a_carry(w, x):
    return lucid.scan(lambda c, row: (c * w, (c * w * row).sum().backward()), w, ROWS)


def through_a_later_carry(w, x):
    return lucid.scan(lambda c, row: (c + w * 1, ((c + w) * row).sum().backward()), x, ROWS)


def through_a_carry_of_a_carry(w, x):
    def body(carry, row):
        a, b = carry
        ((a + w) * row).sum().backward()
        return (b * 1, w * row), None

    return lucid.scan(body, (x, x), ROWS)


@pytest.mark.parametrize(
    "call",
    [
        through_an_argument, through_a_row, through_a_carry, through_a_later_carry,
        through_a_carry_of_a_carry,
    ],
)  # fmt: skip
def test_a_backward_inside_that_reaches_what_it_was_given(call):
    w = parameter()
    with pytest.raises(JitError, match="reaches an argument, whose gradient would be lost"):
        lucid.jit(call)(w, NO)
    assert w.grad is None


@BOTH
def test_a_carry_with_a_graph_that_no_backward_reaches(wrap):
    w = parameter()

    def body(total, row):
        loss = (w * row).sum()
        loss.backward()
        return total + loss, None

    assert wrap(lambda xs: lucid.scan(body, 0.0, xs)[0])(ROWS).item() == 8
    assert w.grad.item() == 4


# --- What is changed in place ---------------------------------------------------------------------


@BOTH
def test_a_carry_changed_in_place_is_not_the_callers(wrap):
    start = lucid.zeros(1)

    def body(total, row):
        total += row
        return total, None

    assert wrap(lambda x: lucid.scan(body, start, x)[0])(ROWS).item() == 4
    assert start.item() == 0


def checkpointed(b):
    def f(a):
        b.data = b.data + 1
        return a * 10

    return lucid.checkpoint(f, b)


def scanned(b):
    def f(total, row):
        b.data = b.data + 1
        return total + row, None

    return lucid.scan(f, 0.0, b)


@pytest.mark.parametrize("call", [checkpointed, scanned])
def test_state_that_is_an_argument_too(call):
    b = nn.Buffer(np.ones(2, "f"))
    with pytest.raises(JitError, match="changes a Tensor from outside that is an argument as well"):
        lucid.jit(lambda: call(b))()
    assert b.tolist() == [1, 1]


@pytest.mark.parametrize("loop", [lucid.while_loop, lucid.scan])
@BOTH
def test_numbers_of_a_carry_keep_their_value(wrap, loop):
    def run(first, following):
        if loop is lucid.scan:
            return lucid.scan(lambda c, x: (following, None), first, ROWS)[0]
        return lucid.while_loop(lambda c: c < 1, lambda c: following, first)

    assert wrap(lambda: run(0.5, 1))().tolist() == 1.0
    with pytest.raises(ValueError, match=r"must keep its shape and dtype, int32\[\]; .* float32"):
        wrap(lambda: run(0, 1.5))()


@BOTH
def test_the_result_of_a_while_loop_is_off_the_tape(wrap):
    w = parameter()
    result = wrap(lambda: lucid.while_loop(lambda c: (c < 2).any(), lambda c: w, lucid.ones(1)))()
    assert result.item() == 2 and not result.requires_grad


@BOTH
def test_the_number_of_turns(wrap):
    def run(length):
        return wrap(lambda: lucid.scan(lambda c, _: (c + 1, None), 0, length=length))()

    assert run(np.int64(3))[0].item() == 3
    with pytest.raises(ValueError, match=r"scan: there must be one number of turns: .*length=-1"):
        run(-1)
    for wrong in (2.5, True, "3"):
        with pytest.raises(TypeError, match=f"scan: length must be an integer, got {wrong!r}"):
            run(wrong)


# --- Hooks and draws ------------------------------------------------------------------------------


def with_a_hook(x, w):
    y = w * x
    y.register_hook(lambda gradient: gradient * 10)
    return y


def with_a_kept_gradient(x, w):
    y = w * x
    y.retain_grad()
    return y * 2


def with_a_module_hook(x, w):
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda m, given, taken: None)
    return layer(w * x)


@pytest.mark.parametrize("fn", [with_a_hook, with_a_kept_gradient, with_a_module_hook])
def test_a_backward_from_outside_does_not_pass_by_a_hook_inside(fn):
    w, x = parameter(), lucid.ones(1)
    y = lucid.jit(lambda x: fn(x, w))(x)  # nobody asks for a gradient
    with pytest.raises(JitError, match="backward from outside would pass by a hook"):
        y.sum().backward()
    for call in (
        lambda x: lucid.checkpoint(fn, x, w),
        lambda x: lucid.scan(lambda c, row: (c + fn(row, w), None), x, lucid.ones(2, 1))[0],
    ):
        with pytest.raises(JitError, match="backward from outside would pass by a hook"):
            lucid.jit(lambda x, call=call: call(x).sum().backward())(x)


@BOTH
def test_a_hook_inside_hears_a_backward_inside(wrap):
    w = parameter()
    body = wrap(
        lambda xs: lucid.scan(lambda c, x: (c, with_a_hook(x, w).sum().backward()), 0.0, xs)
    )
    body(ROWS)
    assert w.grad.item() == 40


@pytest.mark.parametrize(
    "call",
    [
        lambda x: lucid.checkpoint(F.dropout, x, 0.5),
        lambda x: lucid.scan(lambda c, _: (F.dropout(c, 0.5), None), x, length=2)[0],
    ],
)
def test_a_draw_inside_a_transformation_of_jax_leaves_no_trace(call):
    with pytest.raises(JitError, match=r"random numbers inside jax\.jit"):
        jax.jit(lambda x: call(Tensor(x)).data)(np.ones(3, "f"))
    lucid.random.seed(0)
    assert np.isfinite(lucid.random.randn(2).numpy()).all()
