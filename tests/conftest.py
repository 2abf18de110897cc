"""What holds for all tests."""

from __future__ import annotations

import pytest

from lucid._core import growth


@pytest.fixture(autouse=True)
def many_shapes(monkeypatch):
    """Tests meet many shapes on purpose, which nobody need be warned of."""
    monkeypatch.setattr(growth, "_told", True)
