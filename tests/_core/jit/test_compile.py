"""lucid 2's names: compile, JITFunction, JITModule."""

from __future__ import annotations

import lucid
from lucid import nn


def test_what_compile_gives():
    function = lucid.compile(lambda x: x * 2, max_cache_entries=2)
    assert isinstance(function, lucid.JITFunction)
    model = nn.Linear(2, 1)
    for compiled in (lucid.compile(model), model.compile(), lucid.JITModule(model)):
        assert isinstance(compiled, lucid.JITModule)
        assert compiled.weight is model.weight
        x = lucid.ones(1, 2)
        assert abs((compiled(x) - model(x)).item()) < 1e-6


def test_a_cache_that_is_invalidated_traces_again():
    traces = []

    @lucid.compile
    def double(x):
        traces.append(x.shape)
        return x * 2

    x = lucid.ones(2)
    double(x)
    once = len(traces)
    double(x)
    assert len(traces) == once
    double.invalidate_cache()
    assert double.cache_info().programs == 0
    assert double(x).tolist() == [2.0, 2.0]
    assert len(traces) == 2 * once
    assert double.cache_info().misses == 2
