"""Keep what failed for its baseline, so that ``gradcheck review`` can accept it without a new run.

The file is a report like any other, with only such calls in it, in pytest's own cache.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.as_json import json_text

if TYPE_CHECKING:
    import pytest

    from pytest_gradcheck.reporters import Report

__all__ = ["KEY", "keep"]

KEY = "gradcheck/pending"
"""Of the file in pytest's cache; `pytest_gradcheck.cli.pending` finds it by its path."""


def keep(report: Report, config: pytest.Config) -> None:
    """Keep what a run left to review; a run that left nothing clears what an earlier one did.

    Args:
        report: of the run.
        config: of pytest; it warns by itself where its cache cannot be written.
    """
    cache = config.cache
    left = tuple(e for e in report.entries if e.offer and e.baseline != "recorded")
    if cache is None or not (left or cache.get(KEY, None)):
        return
    kept = dataclasses.replace(report, entries=left, unused=(), pruned=(), notes=())
    cache.set(KEY, json.loads(json_text(kept)) if left else None)
