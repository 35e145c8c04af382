"""What the user asked of one run, as one frozen value.

Requirements:
    Everything is read from the pytest configuration here and nowhere else, once, before any test.
    Flags that contradict each other, and report paths that could not be written at the end, are
    refused before the first test runs: nothing is worse than an hour of tests and no report.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import pytest

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.session.ranks import rank_of_run, timeout

__all__ = ["LIMITS", "MODES", "PREFIX", "Mode", "Settings", "read"]

PREFIX = "grad_"
"""What the name of a limit is preceded by in the ini file."""

LIMITS = (
    "finite",
    "reaches",
    "allow_missing",
    "allow_zero",
    "max_norm",
    "min_norm",
    "max_abs",
    "per_parameter",
    "perturb",
    "samples",
    "max_norm_ratio",
    "min_cosine",
    "balance",
    "max_share",
    "balance_parameters",
    "numeric",
    "replicates",
    "max_cv",
    "min_snr",
    "min_ess",
    "max_weight",
    "drift",
    "shadow",
    "min_drift",
)
"""The limits of `pytest_gradcheck.limits`, by name: pytest must know them before that is loaded."""

MODES = ("check", "new", "update", "rewrite", "off")
Mode = Literal["check", "new", "update", "rewrite", "off"]

_VARIANT = re.compile(r"\w[\w.+-]*")
_NEAR = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold what one run was asked to do.

    Attributes:
        mode: ``check`` compares; ``new`` also records what is missing; ``update`` also re-records
            what drifted; ``rewrite`` records everything; ``off`` neither reads nor writes.
        prune: whether baselines that no test uses are deleted.
        warn: whether drift only warns.
        variant: of the baselines to use; ``None`` takes it from the device, and the empty string
            is the one without a name.
        reports: the files to write at the end.
        top: the most rows in a table.
        limits: from the ini file, by name.
        ci: whether this is a continuous integration machine.
        keeps: whether what fails for its baseline is kept for ``gradcheck review``.
        worker: whether this process runs tests for another one, which does all the writing.
        rank: of this process in a run of torchrun, ``None`` elsewhere.
        rank_timeout: seconds that ranks wait for each other.
    """

    mode: Mode = "check"
    prune: bool = False
    warn: bool = False
    variant: str | None = None
    reports: tuple[Path, ...] = ()
    top: int = 20
    limits: Mapping[str, object] = field(default_factory=dict)
    ci: bool = False
    keeps: bool = False
    worker: bool = False
    rank: int | None = None
    rank_timeout: float = 300.0

    @property
    def offers(self) -> bool:
        """Whether somebody may want to record later what fails for its baseline now."""
        return self.keeps or any(path.suffix.lower() == ".json" for path in self.reports)

    @property
    def records(self) -> bool:
        """Whether the run may write baselines."""
        return self.mode in {"new", "update", "rewrite"}

    @property
    def pages(self) -> bool:
        """Whether a report is a page, which shows more than the other formats."""
        return any(path.suffix.lower() == ".html" for path in self.reports)


def read(config: pytest.Config) -> Settings:
    """Build the settings of a run from pytest's configuration.

    Args:
        config: with the options of `pytest_gradcheck.plugin` registered.

    Returns:
        The settings, checked.

    Raises:
        pytest.UsageError: flags contradict each other, or a value cannot be used.
    """
    option = config.option
    rank = rank_of_run(config)
    worker = hasattr(config, "workerinput") or bool(rank)
    ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return Settings(
        mode=_mode(option.grad_baseline, update=option.grad_baseline_update),
        prune=_prune(option.grad_baseline, prune=option.grad_baseline_prune),
        warn=option.grad_drift == "warn",
        variant=_variant(option.grad_variant),
        reports=_reports(option.grad_report, config.invocation_params.dir, check=not worker),
        top=_top(option.grad_top),
        limits=_limits(config),
        ci=ci,
        keeps=not ci and getattr(config, "cache", None) is not None,
        worker=worker,
        rank=rank,
        rank_timeout=timeout(option.grad_rank_timeout),
    )


def _mode(given: str | None, *, update: bool) -> Mode:
    """Return the mode that the two baseline flags agree on."""
    if update and given not in {None, "update"}:
        msg = (
            f"--grad-baseline-update contradicts --grad-baseline={given}; "
            "give one of the two (--grad-baseline-update is --grad-baseline=update)"
        )
        raise pytest.UsageError(msg)
    return "update" if update else cast("Mode", given or "check")


def _prune(given: str | None, *, prune: bool) -> bool:
    """Return whether to prune; without baselines nobody can know which are unused."""
    if prune and given == "off":
        msg = "--grad-baseline-prune contradicts --grad-baseline=off, which reads no baselines"
        raise pytest.UsageError(msg)
    return prune


def _variant(given: str | None) -> str | None:
    """Return the variant's name, which must do as a part of a file name."""
    if given is None:
        return None
    if not _VARIANT.fullmatch(given):
        msg = (
            f"--grad-variant={given!r}: a variant is a part of a file name: "
            "letters, digits, '_', '-', '+' and '.'"
        )
        raise pytest.UsageError(msg)
    return "" if given == "default" else given


def _reports(given: list[str], folder: Path, *, check: bool) -> tuple[Path, ...]:
    """Return the report paths, each once, each of a known format and in a folder that exists.

    A worker takes them as they are: the process that started it has checked them.
    """
    paths = tuple(dict.fromkeys((folder / Path(path).expanduser()) for path in given))
    if not paths or not check:
        return paths
    from pytest_gradcheck.reporters import check_suffix

    for path in paths:
        try:
            check_suffix(path)
        except UsageError as error:
            msg = f"--grad-report: {error}"
            raise pytest.UsageError(msg) from None
        if path.is_dir():
            msg = f"--grad-report={path}: this is a folder; name a file in it"
            raise pytest.UsageError(msg)
        if not path.parent.is_dir():
            msg = f"--grad-report={path}: there is no folder {path.parent}; create it first"
            raise pytest.UsageError(msg)
    return paths


def _top(given: int) -> int:
    """Return the number of rows, at least one."""
    if given < 1:
        msg = f"--grad-top={given}: a table needs at least 1 row"
        raise pytest.UsageError(msg)
    return given


def _limits(config: pytest.Config) -> dict[str, object]:
    """Return the limits in the ini file (and in ``-o``), by name."""
    raw = _raw_ini(config)
    keys = [key for key in raw if key.startswith(PREFIX)]
    if not keys:
        return {}
    # Loaded only where it is needed: most of the cost of starting would be here.
    from pytest_gradcheck.limits import parse, parse_ini

    given = {}
    try:
        for key in keys:
            name = key.removeprefix(PREFIX)
            if name not in LIMITS:
                near = difflib.get_close_matches(name, LIMITS, n=1, cutoff=_NEAR)
                known = ", ".join(PREFIX + one for one in LIMITS)
                guess = f"did you mean {PREFIX}{near[0]}?" if near else f"known: {known}"
                msg = f"the ini file: unknown limit {key}; {guess}"
                raise pytest.UsageError(msg)
            given[name] = parse_ini(name, raw[key])
        parse(("the ini file", given))
    except UsageError as error:
        raise pytest.UsageError(*error.args) from None
    return given


def _raw_ini(config: pytest.Config) -> dict[str, str]:
    """Return what the ini file and ``-o`` set, unknown names included, as text.

    pytest only warns of an unknown name and offers no public way to list them; a limit that
    silently does nothing is what the plugin must not have. A TOML file holds numbers and tables.
    """
    attributes = vars(config)
    raw = attributes.get("_inicfg") or attributes.get("inicfg") or {}
    values = {key: getattr(value, "value", value) for key, value in raw.items()}
    for one in config.option.override_ini or ():
        key, _, values[key] = one.partition("=")
    return {key: value if isinstance(value, str) else repr(value) for key, value in values.items()}
