"""Inject the fault that the environment asks for, and say so at the top of the run."""

from __future__ import annotations

import pytest

from models import faults


def pytest_configure() -> None:
    """Break the chosen model before any test imports it."""
    try:
        fault = faults.requested()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if fault:
        faults.inject(fault)


def pytest_report_header() -> str | None:
    """Name the injected fault."""
    fault = faults.requested()
    return f"injected fault: {fault}" if fault else None
