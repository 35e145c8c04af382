"""What tests of devices share: the CPU stands for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@pytest.fixture
def _untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin as a process does that has used no device."""
    from pytest_gradcheck.stats import afar, compared

    monkeypatch.setattr(afar.TRUST, "known", {})
    monkeypatch.setattr(compared.TRUST, "known", {})


@pytest.fixture
def _afar(_untried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a device that has shown what it computes."""
    from pytest_gradcheck.backends._torch import views
    from pytest_gradcheck.stats import afar, compared

    monkeypatch.setattr(views, "_HERE", frozenset())
    afar.TRUST.known["cpu"] = True
    compared.TRUST.known["cpu"] = True


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of tensors whenever some are brought over."""
    from pytest_gradcheck.backends._torch.device import crossing

    found: list[int] = []

    def counted(tensors: Sequence[torch.Tensor]) -> list[Any]:
        found.append(len(tensors))
        return bring(tensors)

    bring = crossing.brought
    monkeypatch.setattr(crossing, "brought", counted)
    return found
