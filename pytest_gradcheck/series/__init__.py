"""A training run as numbers over steps: gathered, summarised, judged by rules, compared.

Requirements:
    No framework is known here. A watcher (see `pytest_gradcheck.backends._torch.watching`) fills
    rows; everything from there on is plain numbers.
"""

from __future__ import annotations

from pytest_gradcheck.series.judge import judge_series
from pytest_gradcheck.series.rules import RULES, Rule
from pytest_gradcheck.series.summary import Summary, summarise

__all__ = ["RULES", "Rule", "Summary", "judge_series", "summarise"]
