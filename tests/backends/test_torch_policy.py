"""How exactly torch computes in float32 is read off and kept with the gradient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pytest_gradcheck import check_gradients, measure_gradients
from pytest_gradcheck.backends._torch import policy
from pytest_gradcheck.backends._torch.policy import policy_of
from pytest_gradcheck.backends._torch.source import read
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.serialize import baseline_text, parse_baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Measurement


@pytest.fixture
def _medium() -> Iterator[None]:
    """Have matrix products computed in bfloat16."""
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


def layer(dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Return a small layer with fixed values."""
    torch.manual_seed(0)
    return nn.Linear(3, 2, dtype=dtype)


def measured(model: nn.Linear, cast: torch.dtype | None = None) -> Measurement:
    """Return the measurement of a loss, under autocast where a type is given."""
    inputs = torch.arange(12.0, dtype=model.weight.dtype).reshape(4, 3)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", dtype=cast, enabled=cast is not None):
            made: torch.Tensor = model(inputs)
        return made.float().square().mean()

    return measure_gradients(model, loss).measurement


def test_what_is_as_torch_comes_is_left_out() -> None:
    """Existing baselines know no policy, so that the usual one must be none."""
    assert measured(layer()).policy == {}


@pytest.mark.usefixtures("_medium")
def test_the_precision_of_matrix_products_is_seen() -> None:
    """A policy set before the test must be kept with what was measured under it."""
    assert measured(layer()).policy == {"matmul": "bf16"}


@pytest.mark.usefixtures("_medium")
def test_float64_has_no_policy() -> None:
    """Rules for float32 must not count where nothing is computed in float32."""
    model = layer(torch.float64)
    found = measure_gradients(model, lambda: model(torch.ones(1, 3).double()).sum())
    assert found.measurement.policy == {}


def test_autocast_shows_in_what_it_made() -> None:
    """Autocast inside the closure must be seen, though it is over when the loss returns."""
    assert measured(layer(), torch.bfloat16).policy == {"activations": "bfloat16"}
    assert measured(layer(torch.bfloat16)).policy == {}


def test_a_baseline_of_another_policy_is_not_compared() -> None:
    """The failure must name the rule, whether or not this processor computes differently."""
    model = layer()
    inputs = torch.arange(12.0).reshape(4, 3)
    baseline = recordable(measured(model))
    torch.set_float32_matmul_precision("medium")
    try:
        verdict = check_gradients(
            model, lambda: model(inputs).square().mean(), perturb=False, baseline=baseline
        )
    finally:
        torch.set_float32_matmul_precision("highest")
    (failure,) = verdict.failures
    assert (failure.reason, [f.subject for f in failure.findings]) == ("policy", ["matmul"])
    assert "torch.set_float32_matmul_precision" in failure.hints[0]


@pytest.mark.usefixtures("_medium")
def test_a_policy_is_stored_on_a_line_of_its_own() -> None:
    """What was written must come back, and stand where a reader sees it."""
    entry = recordable(measured(layer()))
    text = baseline_text({}, {"x": entry})
    assert '\n  "policy": {"matmul": "bf16"},\n' in text
    (read_back,) = parse_baseline(text)[1].values()
    assert read_back.policy == {"matmul": "bf16"}  # type: ignore[union-attr] # no series is there


@pytest.mark.parametrize(
    ("device", "backends", "expected"),
    [
        ("cpu", {"mkldnn": {"matmul": {"fp32_precision": "tf32"}}}, {"matmul": "tf32"}),
        ("cpu", {"mkldnn": {"conv": {"fp32_precision": "bf16"}}}, {"convolution": "bf16"}),
        ("cpu", {"mkldnn": {}}, {}),
        (
            "cuda",
            {"cuda": {"matmul": {"allow_tf32": True}}, "cudnn": {"allow_tf32": False}},
            {"matmul": "tf32", "convolution": "ieee", "recurrent": "ieee"},
        ),
        ("cuda", {"cuda": {"matmul": {"allow_tf32": False}}, "cudnn": {"allow_tf32": True}}, {}),
        (
            "cuda",
            {
                "cuda": {"matmul": {"fp32_precision": "none"}},
                "cudnn": {"conv": {"fp32_precision": "ieee"}, "rnn": {"fp32_precision": "tf32"}},
            },
            {"convolution": "ieee"},
        ),
        ("xpu", {}, {}),
    ],
)
def test_old_and_new_settings_say_the_same(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    backends: dict[str, dict[str, object]],
    expected: dict[str, str],
) -> None:
    """Settings were renamed in torch 2.9; a policy must read the same before and after."""
    model = layer()
    loss = model(torch.ones(1, 3)).sum()
    source = read(model, wrt=None, name=None)
    libraries = SimpleNamespace(
        **{
            name: SimpleNamespace(
                **{
                    key: SimpleNamespace(**part) if isinstance(part, dict) else part
                    for key, part in parts.items()
                }
            )
            for name, parts in backends.items()
        }
    )
    elsewhere = [SimpleNamespace(dtype=torch.float32, device=SimpleNamespace(type=device))]
    shown = SimpleNamespace(tensors=tuple(elsewhere), wrt=source.wrt)
    stand_in = SimpleNamespace(
        backends=libraries,
        finfo=torch.finfo,
        get_float32_matmul_precision=torch.get_float32_matmul_precision,
    )
    monkeypatch.setattr(policy, "torch", stand_in)
    assert policy_of(shown, loss) == expected  # type: ignore[arg-type] # only these are asked for
