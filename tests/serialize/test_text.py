from __future__ import annotations

import difflib
import json
import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Measurement, Push, Sketch
from pytest_gradcheck.serialize import SCHEMA, baseline_text, packed, parse_baseline
from tests.measurements import measurement, parameter, scalars, storable, tier
from tests.replicated import taken

REMEDY = (
    "restore it from version control, or run again with --grad-baseline-update to record it anew"
)
KEY = "TestVae::test_vae[small]"


def text_of(one: Measurement) -> str:
    """Return the text of a baseline file with one entry."""
    return baseline_text({"torch": "2.13.0"}, {KEY: one})


def edited(change: Any, *, shadow: bool = False) -> str:
    """Return the text of a baseline file after a change to the data of its entry."""
    data = json.loads(text_of(measurement(shadow=shadow)))
    change(data["entries"][KEY])
    return json.dumps(data)


def only(text: str) -> Measurement:
    """Return the one measurement that a file keeps."""
    found = parse_baseline(text)[1][KEY]
    assert isinstance(found, Measurement)
    return found


def refusal(text: str) -> str:
    """Return what parsing a text complains about."""
    with pytest.raises(BaselineError) as caught:
        parse_baseline(text, source="a.json")
    message = str(caught.value)
    assert message.startswith("a.json ")
    assert "\n" not in message
    return message


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(), scalars(), max_size=2),
    st.dictionaries(st.text(), storable(), max_size=2),
)
def test_reading_and_writing_a_file_changes_nothing(
    environment: dict[str, Any], entries: dict[str, Measurement]
) -> None:
    """What was read must be written as the same text: an update touches only what changed."""
    text = baseline_text(environment, entries)
    again, back = parse_baseline(text)
    assert again == environment
    assert list(back) == sorted(entries)
    assert baseline_text(again, back) == text


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(storable())
def test_what_is_compared_comes_back_exactly(one: Measurement) -> None:
    """Loss, components, perturbed points, norms and exact sketches must not lose a bit."""
    back = only(text_of(one))
    assert back.native.value == one.native.value
    assert back.native.components == one.native.components
    assert repr(back.samples) == repr(one.samples)
    assert back.point.values == one.point.values
    assert [s.norm for s in back.point.sketches] == [s.norm for s in one.point.sketches]
    assert [p.norm for p in back.native.parameters] == [p.norm for p in one.native.parameters]
    assert [p.zeros for p in back.native.parameters] == [p.zeros for p in one.native.parameters]
    assert back.facts == one.facts
    assert back.structure == one.structure
    if one.shadow is None:
        assert back.shadow is None
        assert [p.sketch for p in back.native.parameters] == [
            p.sketch for p in one.native.parameters
        ]
    else:
        assert back.shadow is not None
        assert back.shadow.components == one.shadow.components
        assert [(p.sketch, p.zeros, p.dtype, p.disconnected) for p in back.shadow.parameters] == [
            (p.sketch, p.zeros, p.dtype, p.disconnected) for p in one.shadow.parameters
        ]


def test_what_says_nothing_about_the_gradient_is_left_out() -> None:
    """Elements, notes and seconds must not make an entry differ from run to run."""
    one = measurement(notes=("slow today",), seconds=9.0)
    assert text_of(one) == text_of(replace(one, notes=(), seconds=1.0))
    back = only(text_of(one))
    assert (back.notes, back.seconds, back.native.parameters[0].top) == ((), 0.0, ())


def test_what_pushes_each_parameter_is_left_out() -> None:
    """A matrix of components and parameters must not make an entry grow."""
    one = measurement()
    push = Push(parameter="encoder.bias", norm=0.3, share=1.0)
    components = tuple(replace(c, pushes=(push,)) for c in one.native.components)
    pushed = replace(one, native=replace(one.native, components=components))
    assert text_of(pushed) == text_of(one)


def test_the_packages_are_those_of_the_file() -> None:
    """A comparison must be able to say in which versions a baseline was recorded."""
    text = baseline_text({"torch": "2.12.0", "cores": 2}, {KEY: measurement()})
    assert only(text).packages == {"torch": "2.12.0"}


def test_a_file_reads_well() -> None:
    """A reviewer must see names, rounded numbers, and packed numbers on lines of their own."""
    lines = text_of(measurement()).splitlines()
    assert lines[:5] == [
        "{",
        f'"schema": "{SCHEMA}",',
        '"environment": {"torch": "2.13.0"},',
        '"entries": {',
        f' "{KEY}": {{',
    ]
    recon = {"value": 1.0, "norm": 0.3, "share": 0.75, "cosines": [1.0, -0.1]}
    assert f'   "recon": {json.dumps(recon)},' in lines
    at = lines.index('   "encoder.weight":')
    assert lines[at + 1] == (
        '    {"shape": [3], "norm": 0.223607, "max_abs": 0.2, '
        '"mean": -0.0333333, "zeros": 1, "allowance": [3e-05],'
    )
    assert lines[at + 2].startswith('    "sketch": "')
    assert lines[at + 3].startswith('    "point": "')


def test_drift_of_one_parameter_changes_its_two_lines() -> None:
    """A diff must show the drifted parameter, and of the rest only what really changed."""
    before = measurement()
    bias = before.native.parameters[1]
    weight = parameter("encoder.weight", 0.1, -0.21, 0.0)
    after = replace(before, native=replace(before.native, parameters=(weight, bias)))
    old, new = text_of(before).splitlines(), text_of(after).splitlines()
    changed = [line for line in difflib.ndiff(old, new) if line.startswith("+ ")]
    assert [line.split('"')[1] for line in changed] == ["total", "shape", "sketch"]


def test_names_stay_readable_in_any_alphabet() -> None:
    """Letters must be written as they are, and what does not show as an escape."""
    one = measurement(objective="größe μ", facts={"a\u2028b": "\ud800"})
    text = text_of(one)
    assert '"objective": "größe μ"' in text
    assert r'{"a\u2028b": "\ud800"}' in text
    assert only(text.encode().decode()).facts == one.facts


def test_a_point_of_another_dtype_is_kept() -> None:
    """A parameter may have another dtype than its gradient."""
    one = measurement()
    one = replace(one, point=replace(one.point, dtypes=("bfloat16", "float32")))
    assert '"point_dtype": "bfloat16"' in text_of(one)
    assert only(text_of(one)).point.dtypes == ("bfloat16", "float32")


def test_a_parameter_without_gradient_is_kept_as_such() -> None:
    """A disconnected parameter must come back disconnected, in either tier."""
    one = measurement(shadow=True)
    assert one.shadow is not None
    cut = replace(one.native.parameters[0], disconnected=True, norm=0.0, sketch=None)
    one = replace(one, native=replace(one.native, parameters=(cut, one.native.parameters[1])))
    back = only(text_of(one))
    assert back.shadow is not None
    assert [p.disconnected for p in back.native.parameters] == [True, False]
    assert [p.disconnected for p in back.shadow.parameters] == [False, False]
    assert back.shadow.parameters[0].sketch == one.shadow.parameters[0].sketch  # type: ignore[union-attr]


@pytest.mark.parametrize("gap", [2.0**-24, 2.0**-12, 2.0**-8], ids=["fp32", "tf32", "bf16"])
def test_an_entry_of_a_large_model_stays_small(gap: float) -> None:
    """150 parameters in two tiers must fit into 128 KB, whatever lies between the tiers."""
    native, shadow, points = [], [], []
    for i in range(150):
        name = f"encoder.layers.{i // 12}.self_attn.part{i % 12}.weight"
        values = [math.sin(i + 7 * j) * 0.0123456 for j in range(32)]
        near = [v + gap * 0.03 * math.cos(i + 5 * j) for j, v in enumerate(values)]
        native.append(parameter(name, *near))
        shadow.append(parameter(name, *values, dtype="float64"))
        points.append(Sketch(norm=1.0, values=tuple(near)))
    point = replace(measurement().point, sketches=tuple(points), dtypes=("float32",) * 150)
    allowed = {p.name: 3.45e-05 for p in native}
    one = measurement(native=tier(*native), point=point, allowances=allowed)
    one = replace(one, shadow=tier(*shadow), shadow_allowances=allowed)
    assert len(text_of(one).encode()) < 128_000


def nan_gradient(one: Measurement) -> Measurement:
    """Return a measurement with NaN in the gradient of a parameter."""
    bad = replace(one.native.parameters[0], nans=2, infs=1)
    return replace(one, native=replace(one.native, parameters=(bad, one.native.parameters[1])))


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (nan_gradient(measurement()), "the gradient of 'encoder.weight' has 3 elements of NaN"),
        (
            measurement(native=replace(measurement().native, value=math.inf)),
            "the loss or a component is NaN or Inf",
        ),
        (
            measurement(samples=(replace(measurement().samples[0], value=math.nan),)),
            "NaN or Inf at the point 'near #0'",
        ),
        (
            measurement(samples=(replace(measurement().samples[0], scale=math.nan),)),
            "NaN or Inf at the point 'near #0'",
        ),
        (
            measurement(samples=(replace(measurement().samples[0], norm=math.inf),)),
            "inf cannot be stored",
        ),
        (measurement(facts={"rate": math.nan}), "'rate' is nan"),
        (measurement(allowances={"encoder.weight": math.inf}), "'encoder.weight' is inf"),
        (
            measurement(native=tier(parameter("w", 1.0), parameter("w", 1.0))),
            "two parameters have the same name: w, w",
        ),
        (
            measurement(point=replace(measurement().point, sketches=())),
            "a parameter's own values are not finite",
        ),
        (
            measurement(
                native=tier(
                    replace(parameter("w", 1.0), sketch=None), parameter("encoder.bias", 1.0)
                )
            ),
            "the gradient of 'w' has no sketch",
        ),
        (
            measurement(shadow=True, native=tier(parameter("w", 1.0), parameter("v", 1.0))),
            "the float64 gradient has other parameters or components than the native one",
        ),
        (measurement(facts={"shape": (1, 2)}), "Entry.facts.shape: expected str or int"),
    ],
)
def test_what_must_not_be_stored_is_refused(one: Measurement, message: str) -> None:
    """NaN, Inf and parts that do not belong together must never reach a file."""
    with pytest.raises(BaselineError) as caught:
        text_of(one)
    assert str(caught.value).startswith(f"the baseline of {KEY!r} cannot be stored: {message}")


def test_an_environment_that_is_not_flat_is_refused() -> None:
    """The header must stay one line of names and plain values."""
    with pytest.raises(UsageError, match=r"Baseline.environment.torch: expected str"):
        baseline_text({"torch": ["2.13"]}, {})  # type: ignore[dict-item]


def test_merge_conflict_markers_are_named_with_their_line() -> None:
    """A file in conflict must be called so, not 'not JSON'."""
    lines = text_of(measurement()).splitlines()
    text = "\n".join([*lines[:6], "<<<<<<< HEAD", lines[6], "=======", *lines[6:]])
    assert refusal(text) == f"a.json has merge-conflict markers (line 7); {REMEDY}"


@pytest.mark.parametrize("length", [0, 1, 40, 200, 500, -3])
def test_a_truncated_file_is_called_so(length: int) -> None:
    """A file that ends too early must say where, and what to do."""
    message = refusal(text_of(measurement())[:length])
    assert message.startswith("a.json is truncated or not JSON (line ")
    assert message.endswith(REMEDY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", f"a.json is not a baseline (its schema is not '{SCHEMA}')"),
        ("{}", f"a.json is not a baseline (its schema is not '{SCHEMA}')"),
        ('{"schema": 1}', f"a.json is not a baseline (its schema is not '{SCHEMA}')"),
        ('{"a": NaN}', "a.json is not a baseline (it holds NaN)"),
        ('{"a": 1, "a": 2}', "a.json is not a baseline ('a' stands there twice)"),
        ("[" * 100_000, "a.json is not a baseline (maximum recursion depth"),
        (
            f'{{"schema": "{SCHEMA}"}}',
            "a.json is damaged (Baseline: missing field 'environment'",
        ),
        (
            f'{{"schema": "{SCHEMA}", "environment": {{}}, "entries": []}}',
            "a.json is damaged (Baseline.entries: expected a mapping from text, found [] (list))",
        ),
    ],
)
def test_what_is_no_baseline_is_called_so(text: str, message: str) -> None:
    """Any other content must be refused with what is wrong and what to do."""
    found = refusal(text)
    assert found.startswith(message)
    assert found.endswith(REMEDY)


def test_a_newer_format_asks_for_a_newer_version() -> None:
    """A file from the future must not be recorded anew by mistake."""
    text = text_of(measurement()).replace(SCHEMA, "gradcheck-baseline/2")
    assert refusal(text) == (
        "a.json has the format 'gradcheck-baseline/2' of another version; this one knows "
        f"'{SCHEMA}'; install the version of pytest-gradcheck it is from, or {REMEDY}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.pop("seed"), f"is damaged (Baseline.entries.{KEY}: missing field 'seed'"),
        (
            lambda e: e.update(seed="1"),
            f"is damaged (Baseline.entries.{KEY}.seed: expected int, found '1' (str))",
        ),
        (lambda e: e.update(extra=1), f"is damaged (Baseline.entries.{KEY}: unknown field 'extra'"),
        (
            lambda e: e["parameters"]["encoder.bias"].update(norm=0.4),
            f"is damaged at {KEY!r} (parameters.encoder.bias.norm does not go with the packed",
        ),
        (
            lambda e: e["samples"][0].update(norm=0.4),
            f"is damaged at {KEY!r} (samples does not go with the packed numbers",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].update(zeros=0),
            f"is damaged at {KEY!r} (parameters.encoder.bias.zeros does not go with the packed",
        ),
        (
            lambda e: e["total"].update(value=2.0),
            (
                f"is damaged at {KEY!r} (total.value does not go with the packed numbers, "
                "as after a change by hand or a merge of two versions)"
            ),
        ),
        (
            lambda e: e.update(facts={"rate": {"float": "nan"}}),
            f"is damaged at {KEY!r} (facts is {{'rate': {{'float': 'nan'}}}})",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].update(allowance=[True]),
            f"is damaged (Baseline.entries.{KEY}.parameters.encoder.bias.allowance.0: expected",
        ),
        (lambda e: e.update(exact="A"), f"is damaged at {KEY!r} (not base64 of finite float64"),
        (lambda e: e.update(exact=""), f"is damaged at {KEY!r} (packed numbers are missing)"),
        (
            lambda e: e.update(exact=packed([1.0] * 30)),
            f"is damaged at {KEY!r} (there are more packed numbers than lines to hold them)",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].update(sketch=""),
            f"is damaged at {KEY!r} (packed numbers are missing)",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].pop("sketch"),
            f"is damaged at {KEY!r} (the gradient of 'encoder.bias' has no sketch)",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].update(shape=[-1]),
            f"is damaged at {KEY!r} (",
        ),
        (
            lambda e: e["parameters"]["encoder.bias"].update(shape=[10**400]),
            f"is damaged at {KEY!r} (",
        ),
    ],
)
def test_a_changed_entry_is_refused(change: Any, message: str) -> None:
    """Rounded and packed numbers must agree, and every field be what it was."""
    found = refusal(edited(change))
    assert found.startswith(f"a.json {message}")
    assert found.endswith(REMEDY)


PLAIN: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([])
)


@settings(deadline=None, max_examples=200)
@given(st.data(), PLAIN | st.dictionaries(st.text(), PLAIN, max_size=1))
def test_whatever_a_field_is_changed_to_the_error_is_ours(data: st.DataObject, value: Any) -> None:
    """Damage of any kind must end in one clear message, or in nothing that was compared with."""
    whole = json.loads(text_of(measurement(shadow=True)))
    inside = whole
    while isinstance(inside[name := data.draw(st.sampled_from(sorted(inside)))], dict):
        if data.draw(st.integers(0, 4)) == 0:
            break
        inside = inside[name]
    inside[name] = value
    text = json.dumps(whole, allow_nan=True)
    with suppress(BaselineError):
        assert json.loads(baseline_text(*parse_baseline(text))) == whole


@settings(deadline=None)
@given(st.integers(0, 1500), st.integers(1, 300))
def test_whatever_is_cut_out_the_error_is_ours(start: int, length: int) -> None:
    """A hole anywhere in a file must never end in an error of anybody else's."""
    text = text_of(measurement(shadow=True))
    with suppress(BaselineError):
        parse_baseline(text[:start] + text[start + length :])


def test_one_bad_shadow_is_enough() -> None:
    """The float64 tier must be checked like the native one."""
    change = lambda e: e["parameters"]["encoder.bias"].update(shadow=packed([1.0, 1.0]))  # noqa: E731
    assert "packed numbers are missing" in refusal(edited(change, shadow=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(ess=9.0), f"is damaged at {KEY!r} (replicates.ess does not go with"),
        (lambda r: r.update(exact="A"), f"is damaged at {KEY!r} (not base64 of finite float64"),
        (lambda r: r.pop("seed"), f"is damaged (Baseline.entries.{KEY}.replicates: missing field"),
    ],
)
def test_replicates_are_checked_like_the_rest(change: Any, message: str) -> None:
    """What is said of several seeds must agree with their packed numbers."""
    native = replace(measurement().native, components=())
    one = measurement(native=native, replicates=taken(8), samples=())
    data = json.loads(text_of(one))
    change(data["entries"][KEY]["replicates"])
    assert refusal(json.dumps(data)).startswith(f"a.json {message}")


def test_any_layout_of_the_same_data_is_read() -> None:
    """A formatter may have changed white space; that is no reason to refuse."""
    text = text_of(measurement(shadow=True))
    pretty = json.dumps(json.loads(text), indent=4, sort_keys=False).replace("\n", "\r\n")
    assert text_of(only(pretty)) == text
