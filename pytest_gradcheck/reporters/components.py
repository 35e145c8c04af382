"""Write the components of a gradient: what each is worth, and which parameters it pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import answer, code, number, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.records import ComponentStats, GradientStats

__all__ = ["component_lines"]

_MATRIX = 6  # components whose cosines, and whose pushes, are shown as a whole matrix
_STRONGEST = 3  # of more components, how many are shown for each parameter


def component_lines(native: GradientStats, top: int) -> Iterator[str]:
    """Yield the terms of the loss, and what each does to each parameter.

    Args:
        native: the gradient.
        top: the most parameters to show, those pushed hardest.
    """
    yield from _components(native)
    yield from _pushes(native, top)


def _components(native: GradientStats) -> Iterator[str]:
    """Yield the terms of the loss, with the cosines between their gradients."""
    components = native.components
    names = [f"cosine with {code(component.name)}" for component in components]
    if len(components) > _MATRIX:  # nobody reads a wider one
        names = ["strongest cosine"]
    yield from titled(
        "Components",
        ["component", "value", "L2 norm", "share", "finite", *names],
        (
            [
                code(c.name),
                number(c.value),
                number(c.norm),
                f"{100 * c.share:.1f} %",
                answer(c.finite, c.nonfinite),
                *_cosines(components, i),
            ]
            for i, c in enumerate(components)
        ),
    )


def _cosines(components: Sequence[ComponentStats], i: int) -> list[str]:
    """Return the cells with the cosines of one component."""
    cosines = components[i].cosines
    if len(components) <= _MATRIX:
        return list(map(number, cosines or (None,) * len(components)))
    others = [(abs(value), j) for j, value in enumerate(cosines) if j != i and value]
    if not others:
        return [number(None)]
    _, j = max(others)
    return [f"{number(cosines[j])} with {code(components[j].name)}"]


def _pushes(native: GradientStats, top: int) -> Iterator[str]:
    """Yield how hard each component pushes each parameter."""
    components = native.components
    shown = sorted(native.parameters, key=lambda p: -_hardest(components, p.name))[:top]
    names = {p.name for p in shown if any(_cell(c, p.name) for c in components)}
    rows = [p.name for p in native.parameters if p.name in names]
    if len(components) <= _MATRIX:
        heads = [code(c.name) for c in components]
        cells = {name: [_cell(c, name) or "-" for c in components] for name in rows}
    else:
        heads = ["pushed hardest by", "then by", "then by"]
        cells = {name: _strongest(components, name) for name in rows}
    title = "Components by parameter"
    if len(rows) < len(native.parameters) and len(native.parameters) > top:
        title += f" ({len(rows)} of {len(native.parameters)})"
    yield from titled(
        f"{title}: norm and share",
        ["variable", *heads],
        ([code(name), *cells[name]] for name in rows),
    )


def _cell(component: ComponentStats, name: str) -> str:
    """Return norm and share of a component in a parameter; nothing where it has no part in it."""
    for push in component.pushes:
        if push.parameter == name:
            bad = "**NOT FINITE** " if name in component.nonfinite else ""
            return f"{bad}{number(push.norm)} ({100 * push.share:.1f} %)"
    return ""


def _strongest(components: Sequence[ComponentStats], name: str) -> list[str]:
    """Return the cells of the components that push a parameter hardest, broken ones first."""
    found = [(name in c.nonfinite, c[name].norm, c) for c in components if _cell(c, name)]
    found.sort(key=lambda one: one[:2], reverse=True)
    cells = [f"{code(c.name)} {_cell(c, name)}" for _, _, c in found[:_STRONGEST]]
    return [*cells, *["-"] * (_STRONGEST - len(cells))]


def _hardest(components: Sequence[ComponentStats], name: str) -> float:
    """Return the norm of the hardest push on a parameter."""
    return max((p.norm for c in components for p in c.pushes if p.parameter == name), default=0.0)
