"""The garbage collector rests, and goes on only if it was going before."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from pytest_gradcheck.uncollected import uncollected


@pytest.mark.parametrize("active", [True, False])
def test_the_collector_is_as_it_was(*, active: bool) -> None:
    """Inside nothing may be collected; afterwards, an error included, all must be as before."""
    was = gc.isenabled()
    try:
        (gc.enable if active else gc.disable)()
        with suppress(ZeroDivisionError), uncollected():
            assert not gc.isenabled()
            _ = 1 / 0
        assert gc.isenabled() is active
    finally:
        (gc.enable if was else gc.disable)()
