from __future__ import annotations

import html
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.records import (
    CheckResult,
    ComponentStats,
    DirectionalDerivative,
    Element,
    Finding,
    Measurement,
    Push,
    Sample,
    Verdict,
)
from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.reporters.markdown import markdown_text
from pytest_gradcheck.reporters.markup import code, count, fence, number, prose, table
from pytest_gradcheck.reporters.offer import Offer
from tests.measurements import measurement, parameter, tier, verdict

NODE = "tests/test_vae.py::test_vae"


def page(of: Verdict | None = None, *, top: int = 20, **changes: object) -> str:
    """Return the page of a run with one call."""
    entry = ReportEntry.of(of or verdict(), node_id=NODE, outcome="failed", baseline="compared")
    return markdown_text(Report(entries=(entry,), **changes), top=top)  # type: ignore[arg-type]


def section(text: str, title: str) -> list[str]:
    """Return the lines under a heading of a page, empty ones left out."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if re.fullmatch(f"#+ {re.escape(title)}", line))
    rest = lines[at + 1 :]
    end = next((i for i, line in enumerate(rest) if re.match("#+ ", line)), len(rest))
    return [line for line in rest[:end] if line]


def cells(line: str) -> list[str]:
    """Return the cells of a row of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def broken() -> Measurement:
    """Return a measurement with NaN and Inf in gradient, component and perturbed points."""
    weight = replace(
        parameter("dir_hmm_mu_raw", 3.0, -4.0, 0.0, 0.0, dtype="float64"),
        nans=1,
        infs=1,
        nonfinite=((2,), (3,)),
        sketch=None,
    )
    cut = replace(parameter("head", 1.0), disconnected=True, norm=0.0, top=(), sketch=None)
    native = tier(weight, parameter("tau_log__", 0.5), cut, value=-251431.7)
    recon = ComponentStats(name="recon", value=math.nan, norm=1.0, share=0.9, finite=False,
                           nonfinite=("dir_hmm_mu_raw",))  # fmt: skip
    near = Sample(
        label="near #0", seed=3, scale=1e-3, value=math.inf, norm=2.0, cosine=math.nan,
        nonfinite=("tau_log__",), nans=2, infs=1,
    )  # fmt: skip
    far = Sample(label="near #1", seed=4, scale=1e-3, value=1.5, norm=2.5, cosine=0.5)
    return measurement(
        native=replace(native, components=(recon, native.components[1])),
        samples=(near, far),
        notes=("no float64 twin: it is *too* large",),
        directional=(
            DirectionalDerivative(
                parameters=("tau_log__",), analytic=1.0, numeric=1.25, error=0.01, scale=2.0,
                allowed=0.05, precision="float64", seed=9,
            ),
        ),
    )  # fmt: skip


def test_the_page_begins_with_the_verdict_of_the_run() -> None:
    """Status and counts must come first."""
    lines = page().splitlines()
    assert lines[:3] == ["# Gradient report", "", "**FAILED**"]
    assert "| drifted | 1 |" in lines
    assert "| missing | 0 |" not in lines
    assert markdown_text(Report()).splitlines()[2] == "**PASSED**"


def test_the_run_is_described() -> None:
    """Settings, environment and what happened to the baselines must be on the page."""
    withheld = ReportEntry(
        node_id="a.py::b", name="kl", outcome="failed", baseline="withheld", reason="it failed"
    )
    text = markdown_text(
        Report(
            environment={"torch": "2.13.0"},
            settings={"mode": "update"},
            entries=(withheld,),
            unused=("old.json",),
            pruned=("older.json",),
            notes=("-k was given",),
        )
    )
    assert section(text, "Withheld") == ["- `a.py::b` `kl`: it failed"]
    assert section(text, "Unused") == ["- `old.json`"]
    assert section(text, "Pruned") == ["- `older.json`"]
    assert section(text, "Notes") == ["- &#45;k was given"]
    assert section(text, "Settings")[-1] == "| `mode` | `update` |"
    assert section(text, "Environment")[-1] == "| `torch` | `2.13.0` |"
    assert section(text, "`a.py::b` `kl`") == [
        "Test **failed**. Baseline: **withheld** (it failed)."
    ]
    assert "| `a.py::b` `kl` | failed | withheld | - | - | - |  | 0.00 |" in text


def test_every_call_has_a_row_in_the_overview() -> None:
    """The overview must show norm, counts and failed checks of each call."""
    norm = number(measurement().norm)
    row = f"| `{NODE}` | failed | compared, drifted | {norm} | 0 | 0 | drift | 0.25 |"
    assert row in page().splitlines()


def test_a_failed_check_tells_its_story() -> None:
    """Findings, cause and hint of a failed check must stand below the table of checks."""
    lines = section(page(), "Checks")
    assert lines[2:] == [
        "| finite | passed | 0 |  |",
        "| drift | failed | 1 | drift |",
        "```text",
        "drift failed (drift)",
        "  [encoder.weight]  norm 0.2 -> 0.22",
        "  cause: every gradient scaled by 1.1",
        "  hint: run again with --grad-baseline-update",
        "```",
    ]


def test_a_failed_check_without_a_reason_has_no_brackets() -> None:
    """Most checks fail for one reason only, which need not be said."""
    result = CheckResult(
        check="finite", outcome="failed", findings=(Finding(subject="w", text="1 NaN"),)
    )
    assert "finite failed" in page(verdict(results=(result,))).splitlines()


def test_the_configuration_holds_limits_seed_and_shapes_of_the_data() -> None:
    """A report must say what was asked, of what, with which data."""
    rows = section(page(), "Configuration")[2:]
    assert rows == [
        "| objective | `vae` |",
        "| backend | `torch` |",
        "| device | `cpu` |",
        "| seed | `7` |",
        "| limit max&#95;norm | `10.0` |",
        "| data x | `float32[8, 6]` |",
        "| frozen | `0` |",
        "| reduction | `mean` |",
        "| version of torch | `2.13.0` |",
    ]


def test_the_gradient_at_the_point_is_shown_with_counts() -> None:
    """Value, norms and counts out of all elements must be shown, finite or not."""
    rows = dict(cells(line) for line in section(page(verdict(broken(), baseline=None)), "Gradient at the point")[2:])  # fmt: skip  # noqa: E501
    assert rows == {
        "loss": "-251432",
        "finite": "NO",
        "parameters": "3",
        "elements": "6",
        "L2 norm": "5.02494",
        "L-infinity norm": "4",
        "rms": "2.05142",
        "mean": "0.25",
        "NaN": "1 / 6",
        "Inf": "1 / 6",
        "exactly zero": "2 / 6",
    }


def test_float64_and_baseline_stand_beside_the_gradient() -> None:
    """What the gradient is compared with must stand in the same table."""
    text = page(verdict(measurement(shadow=True)))
    head, _, first, *_ = section(text, "Gradient at the point")
    assert cells(head) == ["statistic", "here", "float64", "baseline"]
    assert cells(first) == ["loss", "1.23457", "1.23457", "1.23457"]


def test_components_are_shown_with_shares_and_cosines() -> None:
    """Each term must show its value, norm, share, and with which others it pulls."""
    head, _, recon, kl = section(page(), "Components")
    assert cells(head)[-2:] == ["cosine with `recon`", "cosine with `kl`"]
    assert cells(recon) == ["`recon`", "1", "0.3", "75.0 %", "yes", "1", "-0.1"]
    assert cells(kl)[0] == "`kl`"


def test_many_components_show_the_strongest_cosine_of_each() -> None:
    """Beyond six components, one cell must name the one that pulls most with or against each."""
    cosines = [[0.1] * 7 for _ in range(7)]
    for i in range(7):
        cosines[i][i] = 1.0
    cosines[0][3], cosines[6] = -0.9, [0.0] * 6 + [1.0]
    components = tuple(
        ComponentStats(name=f"c{i}", value=1.0, norm=1.0, share=1 / 7, cosines=tuple(row))
        for i, row in enumerate(cosines)
    )
    of = verdict()
    native = replace(of.measurement.native, components=components)
    of = replace(of, measurement=replace(of.measurement, native=native, shadow=None))
    head, _, first, *_, last = section(page(of), "Components")
    assert cells(head)[5:] == ["strongest cosine"]
    assert cells(first)[5:] == ["-0.9 with `c3`"]
    assert cells(last)[5:] == ["-"]


def pushed(count: int, *, nonfinite: tuple[str, ...] = ()) -> Verdict:
    """Return a verdict with components that push two parameters, each harder than the last."""
    components = tuple(
        ComponentStats(
            name=f"c{i}",
            value=1.0,
            norm=float(i + 1),
            share=0.5,
            finite=not nonfinite,
            nonfinite=nonfinite if i == 0 else (),
            pushes=(Push(parameter="encoder.weight", norm=float(i + 1), share=0.25),)
            if i
            else (
                Push(parameter="encoder.weight", norm=1.0, share=0.25),
                Push(parameter="encoder.bias", norm=2.0, share=1.0),
            ),
        )
        for i in range(count)
    )
    of = verdict()
    native = replace(of.measurement.native, components=components)
    return replace(of, measurement=replace(of.measurement, native=native, shadow=None))


def test_components_show_what_they_push() -> None:
    """Few components must stand as a matrix: which pushes which parameter, and how hard."""
    rows = section(page(pushed(2)), "Components by parameter: norm and share")
    assert [cells(row) for row in rows[:1] + rows[2:]] == [
        ["variable", "`c0`", "`c1`"],
        ["`encoder.weight`", "1 (25.0 %)", "2 (25.0 %)"],
        ["`encoder.bias`", "2 (100.0 %)", "-"],
    ]


def test_many_components_show_the_hardest_pushes() -> None:
    """Beyond six components each parameter must name those that push it most, the broken first."""
    rows = section(
        page(pushed(7, nonfinite=("encoder.weight",))), "Components by parameter: norm and share"
    )
    assert [cells(row) for row in rows[:1] + rows[2:]] == [
        ["variable", "pushed hardest by", "then by", "then by"],
        [
            "`encoder.weight`",
            "`c0` **NOT FINITE** 1 (25.0 %)",
            "`c6` 7 (25.0 %)",
            "`c5` 6 (25.0 %)",
        ],
        ["`encoder.bias`", "`c0` 2 (100.0 %)", "-", "-"],
    ]


def test_the_least_pushed_parameters_are_left_out() -> None:
    """Of more parameters than rows the hardest pushed must be shown, and how many there are."""
    title = "Components by parameter (1 of 2): norm and share"
    rows = section(page(pushed(2), top=1), title)
    assert [cells(row)[0] for row in rows[2:]] == ["`encoder.weight`"]


def test_a_component_that_is_not_finite_names_the_parameters() -> None:
    """A term with NaN must say in whose gradient, and show no cosines it does not have."""
    row = section(page(verdict(broken())), "Components")[2]
    assert cells(row) == ["`recon`", "nan", "1", "90.0 %", "NO `dir_hmm_mu_raw`", "-", "-"]


def test_the_largest_elements_are_ranked_over_all_parameters() -> None:
    """The top table must hold rank, variable, index and value, largest first."""
    rows = section(page(top=3), "Largest elements (3 of 4)")
    assert [cells(row) for row in rows[:1] + rows[2:]] == [
        ["rank", "variable", "index", "gradient", "value", "coordinates"],
        ["1", "`encoder.bias`", "`[0]`", "0.333333", "-", ""],
        ["2", "`encoder.weight`", "`[1]`", "-0.2", "-", ""],
        ["3", "`encoder.weight`", "`[0]`", "0.1", "-", ""],
    ]


def test_an_element_of_a_matrix_has_a_whole_index() -> None:
    """The index must address the element in the parameter's own shape."""
    matrix = replace(
        parameter("mu", 1.0, 2.0), shape=(1, 2), top=(Element(index=(0, 1), value=2.0),)
    )
    scalar = replace(parameter("tau", 1.0), shape=(), top=(Element(index=(), value=1.0),))
    one = measurement(native=tier(matrix, scalar))
    rows = section(page(verdict(one)), "Largest elements (2 of 3)")[2:]
    assert [cells(row)[2] for row in rows] == ["`[0, 1]`", "`[]`"]


def test_parameters_are_shown_in_their_own_order() -> None:
    """Each parameter must show shape, statistics, counts and its norm in the baseline."""
    rows = [cells(row) for row in section(page(verdict(broken())), "Parameters")[2:]]
    assert rows[0] == [
        *("`dir_hmm_mu_raw`", "`[4]`", "`float64`", "5", "4", "-0.25", "2.5"),
        *("2 / 4", "1 / 4", "1 / 4", "`[2]` `[3]`", "-"),
    ]
    assert [row[0] for row in rows] == ["`dir_hmm_mu_raw`", "`tau_log__`", "`head`"]
    assert rows[2][3] == "disconnected"
    assert section(page(), "Parameters")[2].endswith(f"| {number(math.hypot(0.1, 0.2))} |")


def test_of_many_parameters_the_odd_and_the_largest_are_shown() -> None:
    """A short table must keep what is wrong, then what is large."""
    rows = section(page(verdict(broken()), top=2), "Parameters (2 of 3)")[2:]
    assert [cells(row)[0] for row in rows] == ["`dir_hmm_mu_raw`", "`head`"]


def test_perturbed_points_show_value_and_gradient_with_their_finiteness() -> None:
    """Each perturbed point must say whether value and gradient are finite there."""
    head, _, near, far = section(page(verdict(broken())), "Perturbed points")
    assert cells(head) == [
        *("point", "seed", "scale", "loss", "finite"),
        *("gradient norm", "finite", "NaN", "Inf", "cosine with the point"),
    ]
    assert cells(near) == [
        *("`near #0`", "3", "0.001", "inf", "NO", "2", "NO `tau_log__`", "2", "1", "nan")
    ]
    assert cells(far) == ["`near #1`", "4", "0.001", "1.5", "yes", "2.5", "yes", "0", "0", "0.5"]


def test_directional_derivatives_show_both_sides() -> None:
    """The analytic and the numeric side must stand beside what was allowed."""
    row = section(page(verdict(broken())), "Directional derivatives")[2]
    assert cells(row) == ["9", "`tau_log__`", "1", "1.25", "0.05", "NO"]


def test_what_was_not_measured_has_no_heading() -> None:
    """Empty sections must not be on the page."""
    bare = measurement(native=replace(measurement().native, components=()), samples=())
    text = page(verdict(bare, results=()))
    for title in ("Components", "Perturbed points", "Directional derivatives", "Notes"):
        assert f"### {title}" not in text


def test_notes_are_shown_as_they_are() -> None:
    """What the measurement has to say must be readable, stars and all."""
    assert section(page(verdict(broken())), "Notes") == [
        "- no float64 twin: it is &#42;too&#42; large"
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_name_breaks_a_table(name: str, text: str, test: str) -> None:
    """Whatever things are called, every row must have as many cells as its table has columns."""
    one = measurement(
        native=tier(parameter(name, 1.0), parameter(text, 2.0)),
        facts={name: text},
        notes=(text,),
    )
    result = CheckResult(
        check="drift", outcome="failed", findings=(Finding(subject=name, text=text),), reason=text
    )
    entry = ReportEntry.of(
        verdict(one, name=name, results=(result,), limits={text: name}),
        node_id=test,
        outcome=text,
        baseline="withheld",
        reason=text,
    )
    report = Report(environment={name: text}, entries=(entry,), unused=(text,), notes=(name,))
    columns, fenced = 0, ""
    for line in markdown_text(report).split("\n"):
        if fenced:
            fenced = "" if line == fenced else fenced
        elif line.endswith("`text"):
            fenced = line.removesuffix("text")
        elif line.startswith("|"):
            columns = columns or line.count("|")
            assert line.count("|") == columns
            assert line.endswith("|")
        else:
            columns = 0
    assert not fenced


@given(st.text(min_size=1))
def test_a_name_can_be_read_back_from_the_page(name: str) -> None:
    """Escaping must hide nothing: what shows must be the name, or its escape if it cannot show."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    for text in (code(name), prose(name)):
        assert html.unescape(text.removeprefix("`").removesuffix("`")) == shown or "`" in name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("encoder.0.weight", "`encoder.0.weight`"),
        ("tau_log__", "`tau_log__`"),
        ("a|b", "a&#124;b"),
        ("a`b", "a&#96;b"),
        ("a\\b", "a&#92;b"),
        ("a\nb", "a&#92;nb"),
        (" a", " a"),
        ("", ""),
        (7, "`7`"),
    ],
)
def test_a_name_is_code_where_code_can_show_it(name: object, shown: str) -> None:
    """A name must be in code type, unless its letters would end the code or the cell."""
    assert code(name) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, (with) 1.5 - 2: fine!", "plain text, (with) 1.5 - 2: fine!"),
        ("*a* _b_ [c](d) <e>", "&#42;a&#42; &#95;b&#95; &#91;c&#93;(d) &#60;e&#62;"),
        ("- item", "&#45; item"),
        ("12. item", "&#49;&#50;. item"),
        ("12.5", "&#49;&#50;.5"),
        ("&amp;", "&#38;amp;"),
    ],
)
def test_prose_is_never_markup(text: str, shown: str) -> None:
    """Text must come out as it is, only what would be markup escaped."""
    assert prose(text) == shown


def test_a_fence_cannot_be_closed_from_inside() -> None:
    """A block must end where we end it, even if its lines hold fences."""
    assert list(fence(["a", "````", "b\nc", ""])) == [
        *("`````text", "a", "````", "b", "c", "", "`````", "")
    ]


def test_numbers_have_six_digits_and_counts_are_whole() -> None:
    """Numbers must be short, counts exact, and what is not there a dash."""
    assert [number(x) for x in (1.23456789, 1e-9, math.nan, 12345678, None)] == [
        *("1.23457", "1e-09", "nan", "12345678", "-")
    ]
    assert count(1802, 27025) == "1802 / 27025"


def test_a_table_without_rows_is_nothing() -> None:
    """A head without rows must not be written."""
    assert list(table(["a"], [])) == []
    assert list(table(["a", "b"], [["1", "2"]])) == ["| a | b |", "|---|---|", "| 1 | 2 |", ""]


def test_how_far_baselines_walk_is_told() -> None:
    """Many small accepted changes must show where the entry is, and where a new one would be."""
    stored = replace(measurement(), walked=0.0125)
    entry = replace(
        ReportEntry.of(
            verdict(baseline=stored), node_id=NODE, outcome="failed", baseline="compared"
        ),
        offer=Offer(action="rewrite", entry=replace(measurement(), walked=0.5)),
    )
    text = markdown_text(Report(entries=(entry,)))
    assert "The baseline is 0.0125 from the one that it replaced (relative)." in text
    assert "The new one is 0.5 from the one that it replaces (relative)." in text
    assert " from the one that it replace" not in page()


def test_a_cause_that_calls_share_is_said_once() -> None:
    """What drifted must be listed by its cause, a few of the calls named."""
    one = ReportEntry.of(verdict(), node_id="", outcome="failed", baseline="compared")
    every = [replace(one, node_id=f"a.py::test[{i}]") for i in range(9)]
    lines = section(markdown_text(Report(entries=tuple(every))), "Drifted")
    named = ", ".join(f"`a.py::test[{i}]`" for i in range(3))
    assert lines == [f"- every gradient scaled by 1.1: {named}, and 6 more"]
