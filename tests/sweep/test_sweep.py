"""Gradients over a grid of settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import UsageError, sweep_gradients


def scaled(k: float = 1.0, turn: float = 0.0) -> tuple[Any, Any]:
    """Return an objective whose gradient is as long as `k` and turned by an angle."""
    grad = k * np.array([np.cos(turn), np.sin(turn)])
    return {"w": np.ones(2)}, {
        "value_and_grad": lambda _: (
            {"a": 1.0, "b": 0.0},
            {"a": {"w": grad}, "b": {"w": np.zeros(2)}},
        )
    }


def test_a_table_of_measurements() -> None:
    """Every point must be measured and shown, the last setting varying fastest."""
    found = sweep_gradients({"k": [1.0, 3.0], "turn": [0, 1]}, scaled)
    assert [stop.setting for stop in found.stops] == [
        {"k": "1", "turn": "0"},
        {"k": "1", "turn": "1"},
        {"k": "3", "turn": "0"},
        {"k": "3", "turn": "1"},
    ]
    assert found.at(k=3.0, turn=1).norm == pytest.approx(3.0)
    assert found.max_norm_ratio == pytest.approx(3.0)
    assert found.passed
    assert str(found).splitlines()[1].split()[:4] == ["k", "turn", "loss", "norm"]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (
            {"max_norm_ratio": 2.0},
            "gradient norm 1 at k=1, 3 at k=3: ratio 3, max_norm_ratio 2",
        ),
        ({"max_parameter_ratio": 2.0}, "gradient norm of w 1 at k=1, 3 at k=3"),
        ({"max_component_ratio": 2.0}, "gradient norm of component a 1 at k=1, 3 at k=3"),
    ],
)
def test_a_broken_limit_names_setting_and_values(limits: dict[str, float], text: str) -> None:
    """The worst two values of the setting must be named, and only those."""
    (finding,) = sweep_gradients({"k": [1.0, 2.0, 3.0]}, scaled, **limits).findings  # type: ignore[arg-type]
    assert finding.subject == "k"
    assert text in finding.text


def test_directions() -> None:
    """A gradient that turns must be seen though its norm stays."""
    found = sweep_gradients({"turn": [0.0, 2.0]}, scaled, min_cosine=0.5, max_norm_ratio=1.01)
    (finding,) = found.findings
    assert finding.text.startswith("cosine -0.42 between the gradients at turn=0 and turn=2")


def test_only_one_setting_changes_at_a_time() -> None:
    """Points that differ in two settings must not be held against each other."""
    found = sweep_gradients({"k": [1.0, 2.0], "turn": [0, 1]}, scaled, max_norm_ratio=2.5)
    assert found.passed


def test_replicates_at_every_point() -> None:
    """With replicates the mean norm and the ratio of signal to noise are swept."""

    def noisy(noise: float) -> tuple[Any, Any]:
        return {"w": np.ones(3)}, {
            "value_and_grad": lambda p: (
                0.0,
                {"w": p["w"] + noise * np.random.standard_normal(3)},  # noqa: NPY002
            )
        }

    found = sweep_gradients({"noise": [0.1, 0.4]}, noisy, replicates=16, max_snr_ratio=2.0)
    (finding,) = found.findings
    assert finding.text.startswith("signal-to-noise ratio ")


def test_a_point_that_is_not_finite_fails() -> None:
    """NaN anywhere on the grid must fail without any limit."""
    found = sweep_gradients({"k": [1.0, float("nan")]}, scaled)
    assert found.findings[0].text == "the gradient is not finite at k=nan"


@pytest.mark.parametrize(
    ("settings", "build", "options", "text"),
    [
        ({}, scaled, {}, "a sweep takes settings such as"),
        ({"k": 3}, scaled, {}, "a sweep takes settings such as"),
        ({"k": "123"}, scaled, {}, "a sweep takes settings such as"),
        ({"k": [1.0]}, scaled, {}, "at least two points"),
        ({"k": [1.0, 1.0]}, scaled, {}, "look alike"),
        ({"k": [1, 2]}, 3, {}, "a function of the settings"),
        ({"k": [1, 2]}, scaled, {"max_nrom_ratio": 2.0}, "did you mean 'max_norm_ratio'"),
        ({"k": [1, 2]}, scaled, {"max_norm_ratio": 0.5}, "max_norm_ratio must be"),
        ({"k": [1, 2]}, scaled, {"max_snr_ratio": 2.0}, "replicates is off"),
        ({"k": [1, 2]}, lambda k: (scaled(k)[0], 3), {}, "at k=1: the function of the settings"),
    ],
)
def test_misuse(settings: Any, build: Any, options: dict[str, Any], text: str) -> None:
    """What makes no sweep must be refused, with what would."""
    with pytest.raises(UsageError, match=text):
        sweep_gradients(settings, build, **options)


def test_an_unknown_point_names_those_there_are() -> None:
    """Asking for a value that was not swept must list the grid."""
    with pytest.raises(UsageError, match="it has k=1; k=2"):
        sweep_gradients({"k": [1, 2]}, scaled).at(k=3)
