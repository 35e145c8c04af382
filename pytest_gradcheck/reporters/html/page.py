"""Put the page together: template, style, script, data, and the policy that seals it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from pytest_gradcheck.reporters.causes import SHOWN
from pytest_gradcheck.reporters.html.call import call_content, used_by
from pytest_gradcheck.reporters.html.overview import Row, choices, row, shared
from pytest_gradcheck.reporters.html.packing import packed
from pytest_gradcheck.reporters.html.parameters import Layouts

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["page"]

_SCRIPTS = ("text", "dom", "plots", "figures", "table", "parameters", "call", "overview", "main")
_TOGETHER = 16  # calls in one pack: names and headings that they share are there once
_OFF = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"


def page(report: Report, *, top: int) -> str:
    """Return a report as a page.

    Args:
        report: what the run found out.
        top: the most rows in a table of elements.
    """
    layouts = Layouts()
    rows, contents = [], []
    for number, entry in enumerate(report.entries):
        used = used_by(entry.gradients)
        contents.append(call_content(entry, used, layouts, machine=report.environment, top=top))
        rows.append(row(number, entry, used))
    causes = shared(rows)
    style, script = _asset("page.css"), _script()
    text: str = _template().render(
        rows=sorted(rows, key=_order),
        causes=causes,
        place={cause: number for number, cause in enumerate(causes, start=1)},
        shown=SHOWN,
        filters=_filters(rows),
        report=report,
        layouts=packed(layouts.content()),
        together=_TOGETHER,
        groups=[
            packed(contents[start : start + _TOGETHER])
            for start in range(0, len(contents), _TOGETHER)
        ],
        style=Markup(style),  # noqa: S704 - our own files, with nobody's names in them
        script=Markup(script),  # noqa: S704 - as above
        policy=f"{_OFF}; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
    )
    return text


def _order(one: Row) -> tuple[bool, int]:
    """Put what failed first, the rest in the order of the tests."""
    return ("failed" not in one.states[0], one.number)


def _filters(rows: list[Row]) -> list[tuple[str, str, Any]]:
    """Return what the calls can be filtered by: key, title, choices."""
    return [
        ("state", "Status", choices(state for one in rows for state in one.states)),
        ("backend", "Backend", choices(one.backend for one in rows)),
        ("module", "Module", choices(one.module for one in rows)),
    ]


@cache
def _asset(name: str) -> str:
    """Return the text of one of our files."""
    folder = files("pytest_gradcheck.reporters.html") / "assets"
    return (folder / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """Return the page's script: all its modules in one function, so that nothing is global."""
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


@cache
def _template() -> Any:  # noqa: ANN401 - a template
    """Return the template; every name in it is escaped, and an unknown one is an error."""
    environment = Environment(
        loader=DictLoader({"page": _asset("page.html")}),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = _number
    return environment.get_template("page")


def _number(value: float | None, digits: int = 4) -> str:
    """Return a number ready to read, a dash for none."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash as printers set it
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _digest(text: str) -> str:
    """Return what lets exactly this text through a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
