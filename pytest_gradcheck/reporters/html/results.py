"""Gather what the page shows of the checks of a call, whatever they judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import CheckResult

__all__ = ["judged"]

_FINDINGS = 20  # of one check; the table of parameters has the rest


def judged(results: Sequence[CheckResult], story: list[str]) -> dict[str, Any]:
    """Return probable causes, the message of a failure, and what each check found.

    Args:
        results: of the checks.
        story: the message, empty where nothing failed.
    """
    return {
        "causes": [sentence for one in results for sentence in one.diagnosis],
        "story": story,
        "checks": [
            [
                one.check,
                one.outcome,
                one.reason,
                [[f.subject, f.text] for f in one.findings[:_FINDINGS]],
                len(one.findings),
                list(one.hints[:1]),
            ]
            for one in results
        ],
    }
