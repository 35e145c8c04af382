"""Put together what an update stores: what drifted is new, the rest stays as it was."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import VALUE, component_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import GradientStats

__all__ = ["kept", "mixed"]


def mixed(new: GradientStats, old: GradientStats, keep: set[str]) -> GradientStats:
    """Return a tier in which what is to be kept is the old.

    Args:
        new: the tier now.
        old: the tier of the baseline.
        keep: the keys of what did not drift, as allowances have them.
    """
    parameters = zip(new.parameters, old.parameters, strict=True)
    components = [
        dataclasses.replace(c, value=d.value, norm=d.norm)
        if component_key(c.name, "value") in keep
        else c
        for c, d in zip(new.components, old.components, strict=True)
    ]
    return dataclasses.replace(
        new,
        value=old.value if VALUE in keep else new.value,
        parameters=tuple(q if q.name in keep else p for p, q in parameters),
        components=tuple(components),
    )


def kept(new: Mapping[str, float], old: Mapping[str, float], keep: set[str]) -> dict[str, float]:
    """Return allowances in which those of what is to be kept are the old ones."""
    return {key: old[key] if key in keep and key in old else value for key, value in new.items()}
