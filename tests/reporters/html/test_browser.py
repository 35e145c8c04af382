"""The page in a real browser. Every test also fails on a console message or a request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reporters.html.pages import IMAGE, LARGE, SCRIPT

if TYPE_CHECKING:
    from tests.reporters.html.conftest import Opened

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
TESTS = "#calls tbody tr a"
PARAMETERS = ".parameters tbody tr:not(.more) button.name"


def test_what_failed_comes_first_with_its_cause(page: Opened) -> None:
    """The first thing a reader sees must be what failed, and why."""
    assert page.texts(".headline") == ["✕ 3 of 6 calls failed"]
    assert page.texts(TESTS) == [
        "test_odd[<b>]",
        "test_broken second",
        "test_trained",
        "test_large",
        "test_noisy",
        "test_plain",
    ]
    assert page.texts(".cause")[:2] == [f"{SCRIPT}: sign flipped", "finite: w: 1 / 2 NaN at [1]"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("state", "drifted", ["test_odd[<b>]"]),
        ("state", "missing", ["test_broken second"]),
        ("state", "passed", ["test_large", "test_noisy", "test_plain"]),
        ("backend", "pymc", ["test_large"]),
        ("module", "deep/test_large.py", ["test_large"]),
    ],
)
def test_a_filter_leaves_what_fits(page: Opened, key: str, value: str, expected: list[str]) -> None:
    """Status, backend and module must each leave the calls that fit, and say how many."""
    page.tab.select_option(f"select[data-filter={key}]", value)
    assert page.texts(TESTS) == expected
    assert page.texts("#shown") == [f"{len(expected)} of 6 calls"]
    page.tab.get_by_role("button", name="Clear").click()
    page.tab.locator("#shown", has_text="6 of 6 calls").wait_for()


def test_the_search_reads_names_and_causes(page: Opened) -> None:
    """Words in any order must find a call by its name or by its cause."""
    page.tab.get_by_label("Search").fill("FLIPPED sign")
    assert page.texts(TESTS) == ["test_odd[<b>]"]


def test_headings_sort_the_calls(page: Opened) -> None:
    """A heading must sort, say so to everybody, and turn around when it is pressed again."""
    heading = page.tab.get_by_role("columnheader", name="Tolerance used")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.texts(TESTS)[0] == "test_odd[<b>]"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.texts(TESTS)[2:] == [
        *("test_large", "test_odd[<b>]", "test_broken second", "test_trained")
    ]


def test_a_call_shows_cause_command_and_numbers(page: Opened) -> None:
    """A call must open with its cause, the command that accepts it, and every table it has."""
    page.open("test_odd")
    assert page.texts(".causes li") == [f"{SCRIPT}: sign flipped"]
    assert page.texts(".command code") == ["pytest test_vae.py::test_odd[<b>]"]
    assert page.texts("#call h3") == [
        "Probable cause",
        "Checks",
        "Parameters against the baseline",
        "Norms",
        "Components",
        "Environment",
        "Whole gradient",
        "Perturbed points",
        "Largest elements",
        "Configuration",
    ]
    (changed,) = page.texts("#call tr.odd:has-text('torch')")
    assert changed == "torch 2.12.0 2.13.0 changed"
    assert page.texts(".cosine") == ["1", "−0.4", "−0.4", "1"]  # noqa: RUF001 - a true minus


def test_names_are_text_wherever_they_stand(page: Opened) -> None:
    """A name that looks like markup must be shown as it is, and do nothing."""
    page.open("test_odd")
    assert SCRIPT in page.tab.locator(".parameters").inner_text()
    text = page.tab.locator("#call").inner_text()
    assert text.count(IMAGE) >= 3
    assert page.tab.locator("img").count() == 0
    assert page.tab.locator("script").count() == 1


def test_parameters_are_sorted_by_the_tolerance_they_used(page: Opened) -> None:
    """The parameter nearest to its allowance must come up with one press, in either direction."""
    page.open("test_large")
    assert page.texts(PARAMETERS)[0] == f"layers.{LARGE - 1}.attention.weight"
    button = page.tab.locator(".parameters thead").get_by_role("button", name="Tolerance used")
    button.click()
    assert page.texts(PARAMETERS)[0] == "layers.4.attention.weight"
    assert page.texts(".parameters tbody tr .usage")[0] == "90 %"
    button.click()
    assert page.texts(PARAMETERS)[0] == "layers.0.attention.weight"


def test_a_long_table_is_shown_in_parts(page: Opened) -> None:
    """Of many parameters a part must be shown, the rest on demand, and a search must reach all."""
    page.open("test_large")
    assert page.tab.locator(PARAMETERS).count() == 150
    page.tab.get_by_role("button", name="Show more").click()
    assert page.tab.locator(PARAMETERS).count() == LARGE
    page.tab.get_by_label("Find a parameter").fill("layers.7.")
    assert page.texts(PARAMETERS) == ["layers.7.attention.weight"]
    page.tab.get_by_label("Find a parameter").fill("")
    page.tab.get_by_label("only those that drifted").check()
    assert page.texts(PARAMETERS) == []


def test_a_parameter_opens_below_its_line(page: Opened) -> None:
    """A name must open more of its parameter, and tell a screen reader that it did."""
    page.open("test_odd")
    button = page.tab.get_by_role("button", name=SCRIPT)
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    more = page.tab.locator(f"#{button.get_attribute('aria-controls')}")
    assert "exactly zero" in more.inner_text()
    assert more.locator("figure svg[role=img]").get_attribute("aria-label").startswith("log10 |g|")
    button.click()
    assert not more.is_visible()


def test_what_is_not_finite_is_said(page: Opened) -> None:
    """NaN must be shown where it is, and a call without a baseline compared with nothing."""
    page.open("test_broken")
    assert page.texts(".causes li") == ["finite: w: 1 / 2 NaN at [1]"]
    assert "not finite" in page.tab.locator(".parameters").inner_text()
    assert page.texts(".parameters thead th")[1].startswith("L2 norm")
    page.tab.get_by_role("button", name="w", exact=True).click()
    assert "1 NaN, 0 Inf, first at [1]" in page.tab.locator("tr.more >> nth=0").inner_text()


def test_the_keyboard_alone_is_enough(page: Opened) -> None:
    """Without a mouse one must skip ahead, open a call, read on from its title, and come back."""
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.className") == "skip"
    page.tab.locator(TESTS).first.focus()
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector("#call .verdict")
    assert page.tab.evaluate("document.activeElement.id") == "call-title"
    name = page.tab.locator(PARAMETERS).first
    name.focus()
    page.tab.keyboard.press("Enter")
    assert name.get_attribute("aria-expanded") == "true"
    outline = name.evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("#overview:not([hidden])")
    assert page.tab.evaluate("document.activeElement.textContent").startswith("test_odd")


def test_calls_can_be_read_one_after_the_other(page: Opened) -> None:
    """Next and previous must follow the order of the overview; a link must open its call."""
    page.tab.goto(f"{page.url}#call-1")
    page.tab.wait_for_selector("#call .verdict")
    page.tab.get_by_role("link", name="Next").click()
    page.tab.locator("#call-title", has_text="test_broken").wait_for()
    page.tab.get_by_role("link", name="Previous").click()
    page.tab.locator("#call-title", has_text="test_odd").wait_for()
    page.tab.get_by_role("link", name="All calls").click()
    page.tab.wait_for_selector("#overview:not([hidden])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(page: Opened, scheme: str) -> None:
    """Every text must have the contrast of WCAG AA (4.5) against what is behind it."""
    page.tab.emulate_media(color_scheme=scheme)
    poor = page.tab.evaluate(CONTRAST)
    page.open("test_odd")
    assert poor + page.tab.evaluate(CONTRAST) == []


def test_the_theme_follows_the_system_and_the_button(page: Opened) -> None:
    """The page must take the system's theme, and keep another one that the reader chose."""
    colour = "getComputedStyle(document.body).backgroundColor"
    page.tab.emulate_media(color_scheme="light")
    light = page.tab.evaluate(colour)
    page.tab.emulate_media(color_scheme="dark")
    dark = page.tab.evaluate(colour)
    assert light != dark
    page.tab.get_by_role("button", name="Light theme").click()
    assert page.tab.evaluate(colour) == light
    page.tab.get_by_role("button", name="Dark theme").click()
    assert page.tab.evaluate(colour) == dark
    page.tab.evaluate("localStorage.clear()")


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_the_page_fits_its_window(page: Opened, width: int) -> None:
    """No width of window may make the page itself scroll sideways."""
    page.tab.set_viewport_size({"width": width, "height": 800})
    page.open("test_odd")
    wide = page.tab.evaluate("document.documentElement.scrollWidth")
    page.tab.set_viewport_size({"width": 1280, "height": 720})
    assert wide <= width


def test_every_table_and_figure_can_be_heard(page: Opened) -> None:
    """Tables must have a caption and headings with a scope, figures a text, landmarks be there."""
    page.open("test_odd")
    assert page.tab.evaluate("document.querySelectorAll('table:not(:has(caption))').length") == 0
    assert page.tab.evaluate("document.querySelectorAll('th:not([scope])').length") == 0
    silent = "document.querySelectorAll('svg:not([aria-label]):not([aria-hidden])').length"
    assert page.tab.evaluate(silent) == 0
    for landmark in ("banner", "main", "navigation"):
        assert page.tab.get_by_role(landmark).count() == 1


def test_replicates_are_drawn_with_their_spread(page: Opened) -> None:
    """Every seed must be a point, many of them a box, and each estimate have its interval."""
    page.open("test_noisy")
    norms = page.tab.locator("figure", has_text="Gradient norm under each seed").locator("svg")
    assert norms.locator("circle").count() == 9
    assert norms.locator(".box rect").count() == 1
    text = page.tab.locator("table", has_text="coefficient of variation").inner_text()
    assert "2 to 3" in text


def test_a_training_run_is_drawn_over_its_healthy_ranges(page: Opened) -> None:
    """Lines must break where a value is not finite and mark it, bands lie behind them."""
    page.open("test_trained")
    titles = page.texts("figure figcaption")
    assert titles[:2] == ["loss and component.kl", "norm and clip_threshold"]
    loss = page.tab.locator("figure", has_text="loss and component.kl")
    assert loss.locator("path.line").count() == 2
    assert loss.locator("text.bad").count() == 1
    assert loss.locator("path.l0").get_attribute("d").count("M") == 2
    norm = page.tab.locator("figure", has_text="norm and clip_threshold")
    assert norm.locator("path.line").count() == 3
    assert norm.locator("rect.band").count() == 1
    assert "norm, healthy mean: 0.1 to 10" in page.texts(".legend li")
    clipped = page.tab.locator("figure", has_text="clipped")
    assert clipped.locator("rect.band").count() == 1
    assert page.tab.locator("figure", has_text=SCRIPT).locator("path.line").count() == 2
    assert "clip_ratio" in page.tab.locator("table", has_text="Outcome").inner_text()


def test_perturbed_points_are_drawn_beside_the_point(page: Opened) -> None:
    """Every perturbed point must be on the plot, now and before, and the point itself a line."""
    page.open("test_odd")
    figure = page.tab.locator("figure", has_text="Gradient norm at perturbed points")
    assert figure.locator("circle").count() == 2
    assert figure.locator("line.mark").count() == 2
    assert any(text.startswith("at the point, baseline:") for text in page.texts(".legend li"))


def test_tables_and_warnings_of_a_call_are_shown(page: Opened) -> None:
    """What a sweep or a comparison says must be a table, names in it text."""
    page.open("test_noisy")
    rows = page.tab.locator("table", has_text="Sweep").locator("tbody tr")
    assert rows.count() == 2
    assert rows.first.inner_text().split() == ["1", "0.5", "a"]
    assert page.texts(".verdict .causes li") == [f"{SCRIPT} drowns the others"]
