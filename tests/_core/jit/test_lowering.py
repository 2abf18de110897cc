"""What a compiled function shows of its program."""

from __future__ import annotations

import re

import lucid
from lucid import Tensor, nn
from tests._core.jit.models import X
from tests.helpers import count_compiles


def test_lower_shows_the_program_and_runs_nothing():
    total = Tensor([1.0])

    @lucid.jit
    def add(x):
        total.data = (total + x).data

    text = add.lower(Tensor([2.0])).as_text()
    assert "stablehlo.add" in text and total.tolist() == [1.0]
    add(Tensor([2.0]))
    with count_compiles(0):
        add(Tensor([2.0]))
    assert total.tolist() == [5.0]


def test_names_of_modules_are_in_the_metadata():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x)

    text = lucid.jit(Encoder()).lower(Tensor(X)).compile().as_text()
    names = re.findall(r'op_name="([^"]*)"', text)
    assert any("Encoder/Linear/" in name and "linear" in name for name in names), names
    # Squared, so that the step needs the forward pass, whose operations carry the names.
    step = lucid.jit(lambda model, x: (model(x) ** 2).sum().backward())
    backward = step.lower(Encoder(), Tensor(X))
    assert "Encoder" in backward.compile().as_text()
