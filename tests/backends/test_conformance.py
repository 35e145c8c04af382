from __future__ import annotations

import pytest

from pytest_gradcheck.testing import LAWS, Law, Scenario
from tests.backends.scenarios_arrays import SCENARIOS


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_plain_arrays_obey_the_law(scenario: Scenario, law: Law) -> None:
    """Every scenario of plain arrays must obey every law."""
    law(scenario)
