from __future__ import annotations

import pytest

from pytest_gradcheck.testing import LAWS, Law, Scenario
from tests.backends.scenarios_pymc import SCENARIOS


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_pymc_obeys_the_law(scenario: Scenario, law: Law) -> None:
    """Every scenario of PyMC models must obey every law."""
    law(scenario)
