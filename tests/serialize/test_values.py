from __future__ import annotations

import gc
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.records import (
    CheckResult,
    ComponentStats,
    DirectionalDerivative,
    Element,
    Finding,
    GradientStats,
    Measurement,
    ParameterStats,
    PointStats,
    Sample,
    Scalar,
    Sketch,
    Table,
    Verdict,
)
from pytest_gradcheck.serialize import NotFinite, from_json, to_finite, to_json, to_plain
from tests.measurements import measurement, verdict

RECORDS = (
    ComponentStats,
    DirectionalDerivative,
    Element,
    Finding,
    GradientStats,
    Measurement,
    ParameterStats,
    PointStats,
    Sample,
    Sketch,
    Verdict,
)


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Generate small values of a type hint, floats of every kind among them."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        parts = {field.name: anything(hints[field.name]) for field in fields(hint)}
        if hint is CheckResult:  # a failure says something
            parts["findings"] = st.lists(anything(Finding), min_size=1, max_size=2).map(tuple)
        if hint is Table:  # rows fit their columns
            row = st.tuples(anything(Scalar), anything(Scalar))
            parts["head"] = st.tuples(st.text(max_size=3), st.text(max_size=3))
            parts["rows"] = st.lists(row, max_size=2).map(tuple)
        return st.builds(hint, **parts)
    if origin is tuple:
        return st.lists(anything(args[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=2), anything(args[1]), max_size=2)
    if origin is UnionType:
        return st.one_of([anything(arg) for arg in args])
    return st.text(max_size=3) if hint is str else st.from_type(hint)


def round_trip(record: Any) -> Any:
    """Return a record after a journey through JSON text."""
    return from_json(type(record), json.loads(json.dumps(to_json(record), allow_nan=False)))


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_any_record_comes_back_exactly(cls: type) -> None:
    """Every float, the signs of zeros and NaN included, must survive a journey through JSON."""

    @settings(max_examples=100, deadline=None)
    @given(anything(cls))
    def check(record: object) -> None:
        assert repr(round_trip(record)) == repr(record)

    check()


def test_a_verdict_with_its_baseline_comes_back_equal() -> None:
    """A verdict, with measurement and baseline inside, must equal what comes back."""
    whole = verdict(measurement(shadow=True))
    assert round_trip(whole) == whole


def test_a_measurement_with_nan_comes_back() -> None:
    """NaN must come back as NaN, though nothing that holds it need equal itself."""
    broken = measurement(samples=(replace(measurement().samples[0], cosine=math.nan),))
    assert repr(round_trip(broken)) == repr(broken)


def test_floats_that_json_lacks_are_text() -> None:
    """JSON data must hold no number that JSON does not have."""
    element = Element(index=(), value=-math.inf)
    assert to_json(element) == {"index": [], "value": "-inf", "at": None, "where": ""}


def test_text_that_looks_like_nan_stays_text() -> None:
    """A fact may be the text ``nan`` or the number; each must come back as what it was."""
    odd = measurement(facts={"text": "nan", "number": math.nan, "inf": math.inf, "none": None})
    assert to_json(odd)["facts"] == {
        "text": "nan",
        "number": {"float": "nan"},
        "inf": {"float": "inf"},
        "none": None,
    }
    assert repr(round_trip(odd).facts) == repr(odd.facts)


def test_numbers_keep_their_type_beside_text() -> None:
    """Integers, floats and booleans in facts must not turn into one another."""
    facts = {"int": 1, "float": 1.0, "bool": True}
    assert repr(round_trip(measurement(facts=facts)).facts) == repr(facts)


def test_a_read_only_mapping_is_written_like_any_other() -> None:
    """Records may hold mappings of any kind."""
    assert to_json(measurement(facts=MappingProxyType({"a": 1})))["facts"] == {"a": 1}


def test_a_number_without_a_fraction_is_a_float() -> None:
    """A float that JSON or its maker wrote as an integer must come back as a float."""
    assert repr(from_json(Element, {"index": [1], "value": 2}).value) == "2.0"
    assert to_json(Element(index=(), value=2))["value"] == 2.0
    assert repr(to_json(Element(index=(), value=2))["value"]) == "2.0"


def test_fields_with_a_default_may_be_left_out() -> None:
    """Data written before a field with a default was added must still be read."""
    assert from_json(Finding, {"subject": "w", "text": "t"}) == Finding(subject="w", text="t")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"index": [], "value": "abc"}, "Element.value: expected a number, found 'abc' (str)"),
        ({"index": [], "value": True}, "Element.value: expected a number, found True (bool)"),
        ({"index": [], "value": None}, "Element.value: expected a number, found None (NoneType)"),
        ({"index": [], "value": 10**400}, "Element.value: expected a number, found 1000"),
        ({"index": [], "value": 1e999}, "Element.value: expected a number, found inf (float)"),
        ({"index": [1, 2.5], "value": 1.0}, "Element.index.1: expected int, found 2.5 (float)"),
        ({"index": [True], "value": 1.0}, "Element.index.0: expected int, found True (bool)"),
        ({"index": "12", "value": 1.0}, "Element.index: expected a list, found '12' (str)"),
        ({"index": []}, "Element: missing field 'value'"),
        ({"index": [], "value": 1.0, "x": 0}, "Element: unknown field 'x'"),
        ([], "Element: expected an object (Element), found [] (list)"),
    ],
)
def test_wrong_data_is_refused_with_the_path_to_it(data: object, message: str) -> None:
    """Whoever reads the message must know which field holds what, and what belongs there."""
    with pytest.raises(UsageTypeError) as caught:
        from_json(Element, data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "7"}, "Measurement.seed: expected int, found '7' (str)"),
        ({"samples": {}}, "Measurement.samples: expected a list"),
        ({"facts": []}, "Measurement.facts: expected a mapping from text"),
        ({"facts": {"a": []}}, "Measurement.facts.a: expected str or int or float or bool or null"),
        ({"facts": {"a": {"float": 1}}}, "Measurement.facts.a: expected str or int or float"),
        ({"shadow": {"value": 1.0}}, "Measurement.shadow: missing field 'parameters'"),
        ({"shadow": 3}, "Measurement.shadow: expected GradientStats or null, found 3"),
        (
            {"shadow": {"value": "x", "parameters": []}},
            "Measurement.shadow.value: expected a number, found 'x'",
        ),
    ],
)
def test_wrong_data_deep_inside_is_found(change: dict[str, object], message: str) -> None:
    """The path must lead through mappings, tuples and optional records."""
    with pytest.raises(UsageTypeError) as caught:
        from_json(Measurement, to_json(measurement()) | change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Element(index=[1], value=1.0), "Element.index: expected a tuple, found [1] (list)"),  # type: ignore[arg-type]
        (Element(index=(), value="1"), "Element.value: expected a number"),  # type: ignore[arg-type]
        (measurement(facts={1: 2}), "Measurement.facts: expected a mapping from text"),
        (measurement(native=None), "Measurement.native: expected GradientStats, found None"),
    ],
)
def test_what_could_not_come_back_never_leaves(record: object, message: str) -> None:
    """A value of the wrong type must be refused when it is written, not when it is read."""
    with pytest.raises(UsageTypeError) as caught:
        to_json(record)
    assert str(caught.value).startswith(message)


def test_a_choice_accepts_its_values_only() -> None:
    """A field with a few possible texts must refuse any other."""
    one = measurement().samples[0]
    derivative = DirectionalDerivative(
        parameters=("w",), analytic=1.0, numeric=1.0, error=0.0, scale=1.0, allowed=0.1,
        precision="native", seed=0,
    )  # fmt: skip
    assert round_trip(derivative) == derivative
    with pytest.raises(UsageTypeError, match=r"precision: expected one of native, float64, found"):
        from_json(DirectionalDerivative, to_json(derivative) | {"precision": "float16"})
    assert round_trip(one) == one


@dataclass(frozen=True)
class Unknown:
    """Hold what JSON has no place for."""

    part: complex


def test_a_type_that_json_has_no_place_for_is_named() -> None:
    """A record with a field of another kind must be refused with that kind."""
    with pytest.raises(UsageTypeError, match=r"complex.*cannot|complex.*not a type"):
        to_json(Unknown(part=1j))


def test_a_long_wrong_value_is_cut() -> None:
    """A message must stay readable, whatever the value."""
    with pytest.raises(UsageTypeError) as caught:
        from_json(Finding, {"subject": ["x" * 1000], "text": ""})
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": [1.0]}, "norm has 1 values where there must be 2"),
        ({"zeros": [1]}, "zeros has 1 values where there must be 2"),
        ({"top_of": [9, 0, 0, 1]}, "expected the number of one of 2 parameters, found 9 (int)"),
        ({"sketch": {"sizes": [4, 2], "numbers": "AAAA"}}, "expected base64 of little-endian"),
        ({"sketch": {"sizes": [4, 2], "numbers": ""}}, "numbers has 0 values where there must be"),
        ({"sketch": {"sizes": [0, -1], "numbers": ""}}, "expected the norm of a sketch"),
        ({"sketch": {"sizes": [-1], "numbers": ""}}, "sketch has 1 values where there must be 2"),
        ({"name": ["w", 1]}, "expected str, found 1 (int)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    """Columns of different lengths, and rows that are none, must be named."""
    data = to_json(measurement().native)
    data["parameters"] |= change
    with pytest.raises(UsageTypeError) as caught:
        from_json(GradientStats, data)
    assert str(caught.value).startswith("GradientStats.parameters")
    assert message in str(caught.value)


@pytest.mark.parametrize("first", [-1, 4])
def test_a_histogram_that_does_not_fit_its_bins_is_refused(first: int) -> None:
    """Counts must lie within the bins there are."""
    data = to_json(measurement(histograms={"w": (0, 0, 5, 0)}))
    assert data["histograms"] == {"name": ["w"], "bins": [4], "first": [2], "counts": [[5]]}
    data["histograms"]["first"] = [first]
    with pytest.raises(UsageTypeError, match="expected a place for 1 of 4 bins"):
        from_json(Measurement, data)


def test_a_point_has_a_sketch_of_every_parameter() -> None:
    """A row that is not there must not pass for a point's sketch."""
    data = to_json(measurement().point)
    data["sketches"] = {"sizes": [-1], "numbers": ""}
    with pytest.raises(UsageTypeError, match="expected a sketch of every parameter"):
        from_json(PointStats, data)


def test_what_is_no_number_cannot_be_packed() -> None:
    """A sketch or a point that holds text must be refused when it is written."""
    odd = Sketch(norm=1.0, values=("x",))  # type: ignore[arg-type]
    with pytest.raises(UsageTypeError, match="expected sketches of numbers"):
        to_json(PointStats(sketches=(odd,), dtypes=()))
    with pytest.raises(UsageTypeError, match="expected numbers"):
        to_json(PointStats(sketches=(), dtypes=(), values=("x",)))  # type: ignore[arg-type]


def test_finite_records_are_told_from_others() -> None:
    """Where every number is finite, the three ways to write must agree; else one must say so."""
    for one in (measurement(shadow=True), measurement(facts={"a": 1.5, "b": None, "c": True})):
        assert to_finite(one) == to_json(one) == to_plain(one)
    for odd in (
        measurement(facts={"number": math.nan}),
        measurement(walked=math.inf),
        measurement(allowances={"a": 1.0, "b": -math.inf}),
    ):
        with pytest.raises(NotFinite):
            to_finite(odd)


def test_nothing_is_left_for_the_garbage_collector() -> None:
    """What was written and read must be free at once: a large run holds a hundred megabytes."""
    whole = verdict(measurement(shadow=True))
    data = to_json(whole)
    gc.collect()
    gc.disable()
    try:
        from_json(Verdict, to_json(whole))
        with pytest.raises(UsageTypeError):
            from_json(Verdict, data | {"baseline": 3})
        assert gc.collect() < 50  # the last error's own frames
    finally:
        gc.enable()


def test_plain_data_keep_real_numbers() -> None:
    """The form for pickles must be that of JSON, but for NaN and Inf."""
    odd = measurement(facts={"number": math.nan}, walked=math.inf)
    plain = to_plain(odd)
    assert math.isnan(plain["facts"]["number"])
    assert plain["walked"] == math.inf
    assert plain | {"facts": {}, "walked": 0} == to_json(odd) | {"facts": {}, "walked": 0}
