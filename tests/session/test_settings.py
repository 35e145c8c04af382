from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_gradcheck.limits import LIMITS
from pytest_gradcheck.session import settings
from pytest_gradcheck.session.settings import Settings


def config(*, worker: bool = False, ini: dict[str, object] | None = None, **options: Any) -> Any:
    """Return what `settings.read` reads of a pytest configuration."""
    given: dict[str, object] = {
        "grad_baseline": None,
        "grad_baseline_update": False,
        "grad_baseline_prune": False,
        "grad_drift": "fail",
        "grad_variant": None,
        "grad_report": [],
        "grad_top": 20,
        "grad_rank_timeout": 300.0,
        "override_ini": None,
    }
    extra: dict[str, object] = {"workerinput": {}} if worker else {}
    return SimpleNamespace(
        option=SimpleNamespace(**(given | options)),
        inicfg=ini or {},
        invocation_params=SimpleNamespace(dir=Path.cwd()),
        **extra,
    )


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_the_defaults_compare_and_write_nothing() -> None:
    """Without flags, a run must only compare."""
    actual = settings.read(config())
    assert actual == Settings()
    assert not actual.records


def test_settings_cannot_change_during_a_run() -> None:
    """What a run was asked must hold until its end."""
    with pytest.raises(FrozenInstanceError):
        cast("Any", Settings()).mode = "update"


def test_pytest_knows_every_limit() -> None:
    """The names that pytest is told early must be those of the limits."""
    assert tuple(LIMITS) == settings.LIMITS


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("check", False), ("new", True), ("update", True), ("rewrite", True), ("off", False)],
)
def test_some_modes_record(mode: str, *, expected: bool) -> None:
    """A run must know whether it may write."""
    assert settings.read(config(grad_baseline=mode)).records is expected


def test_the_short_flag_is_the_mode_update() -> None:
    """``--grad-baseline-update`` must be ``--grad-baseline=update``."""
    short = settings.read(config(grad_baseline_update=True))
    assert short == settings.read(config(grad_baseline="update"))


@pytest.mark.parametrize(
    ("ci", "expected"), [("true", True), ("1", True), ("", False), ("0", False), ("False", False)]
)
def test_a_ci_machine_is_recognised(
    monkeypatch: pytest.MonkeyPatch, ci: str, *, expected: bool
) -> None:
    """``CI`` must count unless it is empty or says no."""
    monkeypatch.setenv("CI", ci)
    assert settings.read(config()).ci is expected


def test_a_worker_takes_report_paths_as_they_are(tmp_path: Path) -> None:
    """The process that starts the workers has checked the paths; a worker may see others."""
    path = str(tmp_path / "nowhere" / "out.json")
    assert settings.read(config(worker=True, grad_report=[path])).reports == (Path(path),)
    with pytest.raises(pytest.UsageError, match="there is no folder"):
        settings.read(config(grad_report=[path]))


def test_a_report_is_written_once(tmp_path: Path) -> None:
    """A path that is given twice must be one report."""
    path = str(tmp_path / "out.json")
    assert settings.read(config(grad_report=[path, path])).reports == (Path(path),)


@pytest.mark.parametrize(
    "value", ["0.5", 0.5, SimpleNamespace(value=0.5), SimpleNamespace(value="0.5")]
)
def test_the_ini_file_is_understood_in_every_version(value: object) -> None:
    """Text, a number, and what newer versions of pytest wrap it in must mean the same."""
    ini = {"grad_max_norm": value, "addopts": ["-q"]}
    assert settings.read(config(ini=ini)).limits == {"max_norm": 0.5}


def test_an_override_wins_over_the_ini_file() -> None:
    """``-o`` must replace what the file says."""
    given = config(ini={"grad_max_norm": "1"}, override_ini=["grad_max_norm=2"])
    assert settings.read(given).limits == {"max_norm": 2}
