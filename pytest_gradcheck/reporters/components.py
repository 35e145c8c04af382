"""Write the components of a gradient: what each is worth, and which parameters it pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import answer, code, number, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.records import ComponentStats, GradientStats, Push

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
    pushed = {c.name: {push.parameter: push for push in c.pushes} for c in components}
    hardest: dict[str, float] = {}
    for push in (push for c in components for push in c.pushes):
        hardest[push.parameter] = max(hardest.get(push.parameter, 0.0), push.norm)
    every = native.parameters
    names = sorted([p.name for p in every if p.name in hardest], key=lambda n: -hardest[n])[:top]
    shown = set(names)
    rows = [p.name for p in every if p.name in shown]
    if len(components) <= _MATRIX:
        heads = [code(c.name) for c in components]
        cells = {n: [_cell(c, pushed[c.name].get(n)) for c in components] for n in rows}
    else:
        heads = ["pushed hardest by", "then by", "then by"]
        cells = {
            n: _strongest([(c, p) for c in components if (p := pushed[c.name].get(n))])
            for n in rows
        }
    title = "Components by parameter"
    if len(rows) < len(every) and len(every) > top:
        title += f" ({len(rows)} of {len(every)})"
    yield from titled(
        f"{title}: norm and share",
        ["variable", *heads],
        ([code(name), *cells[name]] for name in rows),
    )


def _cell(component: ComponentStats, push: Push | None) -> str:
    """Return norm and share of a component in a parameter; a dash where it has no part in it."""
    if push is None:
        return "-"
    bad = "**NOT FINITE** " if push.parameter in component.nonfinite else ""
    return f"{bad}{number(push.norm)} ({100 * push.share:.1f} %)"


def _strongest(pushes: Sequence[tuple[ComponentStats, Push]]) -> list[str]:
    """Return the cells of the components that push a parameter hardest, broken ones first."""

    def hard(one: tuple[ComponentStats, Push]) -> tuple[bool, float]:
        return one[1].parameter in one[0].nonfinite, one[1].norm

    found = sorted(pushes, key=hard, reverse=True)[:_STRONGEST]
    cells = [f"{code(c.name)} {_cell(c, push)}" for c, push in found]
    return [*cells, *["-"] * (_STRONGEST - len(cells))]
