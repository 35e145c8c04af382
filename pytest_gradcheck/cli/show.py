"""``gradcheck show``: a baseline or a report as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.cli.loading import Item, chosen, from_path, norm_of
from pytest_gradcheck.cli.output import coloured, line, number, print_json, table
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Measurement, SeriesBaseline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Show what is in a file or a folder."""
    items = from_path(Path(arguments.path))
    found = [item for item in items if chosen(item.label, arguments.select)]
    if not found and arguments.select:
        msg = f"none of the {len(items)} entries in {arguments.path} is {arguments.select!r}"
        raise UsageError(msg)
    if arguments.json:
        print_json([_plain(item) for item in found])
        return 0
    gradients = [(i, i.kept) for i in found if isinstance(i.kept, Measurement)]
    runs = [(i, i.kept) for i in found if isinstance(i.kept, SeriesBaseline)]
    if gradients or not runs:
        table(
            ["entry", "status", "value", "norm", "max_abs", "parameters", "allowed", "walked"],
            (_row(*one) for one in gradients),
        )
    if runs:
        if gradients:
            line()
        table(
            ["training run", "status", "steps", "metrics", "last loss", "mean norm"],
            (_run(*one) for one in runs),
        )
    if arguments.parameters or len(found) == 1:
        for item in found:
            line()
            line(coloured(item.label, "bold"))
            if isinstance(item.kept, SeriesBaseline):
                _metrics(item.kept)
            else:
                _parameters(item.kept)
    return 0


def _run(item: Item, series: SeriesBaseline) -> list[str]:
    """Return the row of one training run."""
    loss = next((v for n, v in series.metrics.items() if n.rpartition(".")[2] == "loss"), None)
    return [
        item.key,
        _status(item),
        str(series.steps),
        str(len(series.metrics)),
        number(loss.tail if loss else None, 6),
        number(norm_of(series), 6),
    ]


def _metrics(series: SeriesBaseline) -> None:
    """Print a row for each metric of a training run."""
    table(
        [
            *("metric", "first step", "mean", "last steps"),
            *("allowed at first", "allowed in the mean", "allowed late"),
        ],
        (
            [
                name,
                number(kept.head[0] if kept.head else None, 6),
                number(kept.mean, 6),
                number(kept.tail, 6),
                number(kept.head_allowance, 2),
                number(kept.mean_allowance, 2),
                number(kept.late_allowance, 2),
            ]
            for name, kept in series.metrics.items()
        ),
    )


def _row(item: Item, m: Measurement) -> list[str]:
    """Return the row of one gradient."""
    return [
        item.key,
        _status(item),
        number(m.value, 6),
        number(m.norm, 6),
        number(m.max_abs, 6),
        str(len(m.native.parameters)),
        number(_widest(m), 2),
        number(m.walked, 2) if m.walked else "-",
    ]


def _parameters(m: Measurement) -> None:
    """Print a row for each parameter, and one for each component."""
    table(
        ["parameter", "shape", "dtype", "norm", "max_abs", "mean", "zeros", "allowed"],
        (
            [
                p.name,
                "x".join(map(str, p.shape)) or "()",
                p.dtype,
                "disconnected" if p.disconnected else number(p.norm, 6),
                number(p.max_abs, 6),
                number(p.mean),
                f"{p.zeros}",
                number(_allowed(m).get(p.name), 2),
            ]
            for p in m.native.parameters
        ),
    )
    if m.native.components:
        table(
            ["component", "value", "norm", "share"],
            (
                [c.name, number(c.value, 6), number(c.norm, 6), f"{100 * c.share:.1f} %"]
                for c in m.native.components
            ),
        )


def _plain(item: Item) -> dict[str, Any]:
    """Return one entry as plain data, NaN and Inf as text."""
    from pytest_gradcheck.serialize import to_json

    return {
        "file": item.file,
        "key": item.key,
        "status": _status(item),
        "environment": dict(item.environment),
        "kind": "series" if isinstance(item.kept, SeriesBaseline) else "gradient",
        "series" if isinstance(item.kept, SeriesBaseline) else "measurement": to_json(item.kept),
    }


def _status(item: Item) -> str:
    """Return what became of an entry in its run; a baseline is one."""
    entry = item.entry
    if entry is None:
        return "baseline"
    return "drifted" if entry.drifted else ", ".join(entry.failed) or entry.baseline


def _allowed(m: Measurement) -> dict[str, float]:
    """Return the allowances of the sharpest tier."""
    return dict(m.shadow_allowances or m.allowances)


def _widest(m: Measurement) -> float | None:
    """Return the widest allowance of a parameter."""
    allowed = _allowed(m)
    return max(_of(m, allowed), default=None)


def _of(m: Measurement, allowed: dict[str, float]) -> Iterator[float]:
    """Yield the allowances of parameters."""
    yield from (allowed[p.name] for p in m.native.parameters if p.name in allowed)
