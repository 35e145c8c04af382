"""Say in words how the variables of two models differ: renamed, transformed, given other data.

A backend describes each variable as one text: what it is, then parts that are set apart by
semicolons, each a word and what it says::

    HalfNormal; transform LogTransform; dims (school); parameter tau_log__
    Normal; observed; shape 8; dtype float64; values 0a8eb226da11

Requirements:
    Any other text will do: what cannot be read part by part is shown whole.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.records import ComponentStats, Finding, GradientStats, Measurement
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import ParameterStats, Scalar

__all__ = ["SAME", "variable_findings"]

SAME = 1e-3
"""Relative distance below which what has a new name is the old one."""

_DATA = ("shape", "dtype", "values")
_ROLES = {"Data", "Potential"}


def variable_findings(
    measurement: Measurement, baseline: Measurement
) -> tuple[list[Finding], frozenset[str]]:
    """Return one finding for each variable that differs, and the subjects that need no other.

    These are the parameters and components of the variables found: where a variable was added, that
    it has a parameter and a component goes without saying.
    """
    now, was = measurement.structure, baseline.structure
    renamed = _renamed(measurement, baseline)
    found = []
    for name in dict.fromkeys([*was, *now]):
        text = ""
        if name in renamed:
            text = f"renamed to {renamed[name]}"
        elif name not in now:
            text = f"removed: {_shown(name, was[name], baseline.native)}"
        elif name not in was:
            known = name in renamed.values()
            text = "" if known else f"added: {_shown(name, now[name], measurement.native)}"
        elif now[name] != was[name]:
            text = _changed(was[name], now[name])
        if text:
            found.append(Finding(subject=name, text=text))
    names = {finding.subject for finding in found} | {*renamed.values()}
    parameters = {
        _parameter_name(name, texts[name]) for texts in (now, was) for name in names & texts.keys()
    }
    return found, frozenset(parameters | {f"component {name}" for name in names})


def _changed(was: Scalar, now: Scalar) -> str:
    """Return how one variable differs from what it was."""
    old, new = _parts(was), _parts(now)
    said = []
    for key in dict.fromkeys(["", *old, *new]):
        a, b = old.get(key), new.get(key)
        if a == b or key in _DATA or key == "parameter":
            continue
        if key == "":
            prefix = "" if {a, b} & _ROLES else "distribution "
            said.append(f"{prefix}{a} -> {b}")
        elif "" in {a, b} - {None}:  # a word alone
            said.append(f"now {key}" if a is None else f"no longer {key}")
        else:
            said.append(f"{key} {a or 'none'} -> {b or 'none'}")
    if all(key in old and key in new for key in _DATA):
        said += _data(old, new)
    return ", ".join(said) or f"{was} -> {now}"


def _data(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return in what the data of a variable differ, and what of them is the same."""
    other = [f"{key} {old[key]} -> {new[key]}" for key in _DATA[:2] if old[key] != new[key]]
    values = old["values"] != new["values"]
    if not (other or values):
        return []
    if old["shape"] == new["shape"]:  # else other values go without saying
        if values:
            other.append("values")
        same = f"same shape {new['shape']}" if values else "same values"
        return [f"data changed ({', '.join(other)}; {same})"]
    return [f"data changed ({', '.join(other)})"]


def _renamed(measurement: Measurement, baseline: Measurement) -> dict[str, str]:
    """Return old name to new name of variables that are the same in all but the name."""
    now, was = measurement.structure, baseline.structure
    pairs: dict[str, str] = {}
    for old in (name for name in was if name not in now):
        for new in (name for name in now if name not in was):
            if new in pairs.values() or _nameless(was[old]) != _nameless(now[new]):
                continue
            terms = _component(baseline.native, old), _component(measurement.native, new)
            parameters = (
                _parameter(baseline.native, _parameter_name(old, was[old])),
                _parameter(measurement.native, _parameter_name(new, now[new])),
            )
            if _same_terms(*terms) and _same_gradients(*parameters):
                pairs[old] = new
                break
    return pairs


def _same_terms(a: ComponentStats | None, b: ComponentStats | None) -> bool:
    """Return whether two components are worth and pull the same."""
    if a is None or b is None:
        return a is b
    near = math.isclose(a.value, b.value, rel_tol=SAME, abs_tol=1e-12)
    return near and math.isclose(a.norm, b.norm, rel_tol=SAME, abs_tol=1e-12)


def _same_gradients(a: ParameterStats | None, b: ParameterStats | None) -> bool:
    """Return whether two parameters have one shape and one gradient."""
    if a is None or b is None:
        return a is b
    if a.shape != b.shape or a.sketch is None or b.sketch is None:
        return False
    return distance(a.sketch, b.sketch) <= SAME * a.norm


def _parameter_name(name: str, text: Scalar) -> str:
    """Return the name of the parameter that belongs to a variable: often its own."""
    return _parts(text).get("parameter", name)


def _component(stats: GradientStats, name: str) -> ComponentStats | None:
    """Return a component, if there is one of that name."""
    return next((c for c in stats.components if c.name == name), None)


def _parameter(stats: GradientStats, name: str) -> ParameterStats | None:
    """Return a parameter, if there is one of that name."""
    return next((p for p in stats.parameters if p.name == name), None)


def _parts(text: Scalar) -> dict[str, str]:
    """Return the parts of a description by word: what the variable is stands under no word."""
    first, *rest = str(text).split("; ")
    return {"": first, **dict(_words(rest))}


def _words(parts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the word of each part and what it says."""
    for part in parts:
        word, _, said = part.partition(" ")
        yield word, said


def _nameless(text: Scalar) -> dict[str, str]:
    """Return a description without the name of the parameter."""
    return {word: said for word, said in _parts(text).items() if word != "parameter"}


def _shown(name: str, text: Scalar, stats: GradientStats) -> str:
    """Return a description as a reader wants it: with the shape, without names and hashes."""
    said = [
        f"{word} {said}".strip()
        for word, said in _parts(text).items()
        if word not in {"parameter", "values"}
    ]
    parameter = _parameter(stats, _parameter_name(name, text))
    if parameter is not None:
        said.append(f"shape {list(parameter.shape)}")
    return ", ".join(said)
