"""What holds for every test: what it runs never writes to the machine that runs it."""

from __future__ import annotations

from contextlib import suppress

import pytest

with suppress(ImportError):  # without it, tests that draw are not collected
    from hypothesis import settings

    settings.register_profile("shared", deadline=None)  # machines are shared: time says nothing
    settings.load_profile("shared")


@pytest.fixture(autouse=True)
def _not_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what GitHub Actions sets, so that runs inside of tests leave its summary alone."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
