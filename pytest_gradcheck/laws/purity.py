"""Laws about purity: the same bits for the same point, and nothing left behind."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import PrecisionError
from pytest_gradcheck.laws.evidence import bits, moved, packed, require, stirred, streams
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from pytest_gradcheck.testing import Scenario


def same_point_gives_the_same_bits(scenario: Scenario) -> None:
    """An evaluation is a pure function of the point."""
    made = scenario.build(0)
    for point in (None, moved(made)):
        first, second = made.value_and_grad(point), made.value_and_grad(point)
        require(scenario, bits(first) == bits(second), "the same point gives other bits")
        same = packed(made.value(point)) == packed(made.value(point))
        require(scenario, same, "the same point gives another value")


def the_point_is_where_the_objective_stands(scenario: Scenario) -> None:
    """Passing the current values, or some of them, changes nothing."""
    made = scenario.build(0)
    here = bits(made.value_and_grad())
    current = {name: to_numpy(view) for name, view in made.point.items()}
    some = dict(list(current.items())[::2])
    for point in (current, some, {}):
        require(
            scenario,
            bits(made.value_and_grad(point)) == here,
            f"passing the current values of {list(point)} changes the evaluation",
        )


def seeds_rule_every_draw(scenario: Scenario) -> None:
    """The seed fixes what is drawn, whatever was drawn before; another seed draws otherwise."""
    first, other = scenario.build(0), scenario.build(1)
    here = bits(first.value_and_grad())
    with stirred():
        again = bits(scenario.build(0).value_and_grad())
    require(scenario, here == again, "the same seed gives other bits")
    differs = bits(other.value_and_grad()) != here
    seen = "another seed gives other bits" if differs else "another seed gives the same bits"
    require(scenario, differs == scenario.stochastic, seen)


def random_streams_are_put_back(scenario: Scenario) -> None:
    """The global streams of Python and numpy stand where they stood."""
    made = scenario.build(0)
    for call in (made.value_and_grad, made.value):
        before = streams()
        call()
        require(scenario, streams() == before, "a global random stream has moved")


def objects_are_left_alone(scenario: Scenario) -> None:
    """The user's objects are the same bit for bit after every kind of evaluation."""
    before = scenario.state()
    made = scenario.build(0)
    elsewhere = moved(made)
    for call, what in ((made.value_and_grad, "value_and_grad"), (made.value, "value")):
        for precision in ("native", "float64"):
            for point in (None, elsewhere):
                with contextlib.suppress(PrecisionError):
                    call(point, precision=precision)
                where = "elsewhere" if point else "at the point"
                same = scenario.state() == before
                require(scenario, same, f"{what} {where} in {precision} changed the user's objects")


def objects_survive_an_error(scenario: Scenario) -> None:
    """The user's objects are the same bit for bit after the user's function raised."""
    if scenario.failing is None:
        return
    before, stood = scenario.state(), streams()
    made = scenario.failing()
    for precision in ("native", "float64"):
        for point in (None, moved(made)):
            try:
                made.value_and_grad(point, precision=precision)
            except Exception:  # noqa: BLE001 - whatever the user's function raises
                require(scenario, scenario.state() == before, "an error changed the user's objects")
                require(scenario, streams() == stood, "an error moved a random stream")
            else:
                require(scenario, False, "the error of the user's function is lost")  # noqa: FBT003
