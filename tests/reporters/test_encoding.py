"""JSON text of plain data, with orjson and without it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_gradcheck.reporters import encoding
from pytest_gradcheck.reporters.encoding import compact, without_nonfinite

DATA = {
    "text": 'a "b" \\ \u00e4 \U0001f40d \x00',
    "floats": [0.1, 1e-7, -0.0, 5e-324, 1.7976931348623157e308, 2.0**-30, 1 / 3],
    "others": [1, 2**63, True, None, [], {}],
}


@pytest.fixture(params=["orjson", "json"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what writes the text, and let nothing else write it."""
    name: str = request.param
    if name == "orjson":
        pytest.importorskip("orjson", reason="orjson is not installed: only Python was tested")
    else:
        monkeypatch.setattr(encoding, "_orjson", lambda: None)
    return name


def test_plain_data_come_back_bit_for_bit(writer: str) -> None:
    """Text and floats must be what they were, on one line without blanks."""
    text = compact(DATA)
    assert repr(json.loads(text)) == repr(DATA)
    assert b"\n" not in text
    assert compact([1, {"a": 2}]) == b'[1,{"a":2}]'


@pytest.mark.parametrize("odd", [2**70, "\ud800"])
def test_what_orjson_refuses_is_written_all_the_same(writer: str, odd: object) -> None:
    """Integers of any size and lone surrogates, as undecodable names have, are JSON."""
    assert json.loads(compact([odd])) == [odd]


def test_anything_else_is_asked_about(writer: str) -> None:
    """Objects must go through *default*, dataclasses too, and be refused without it."""

    @dataclass
    class Odd:
        text: str

    def told(one: Any) -> str:
        return f"<{one.text}>"

    assert compact([Odd("a"), 1, Odd("b")], told) == b'["<a>",1,"<b>"]'
    with pytest.raises(TypeError, match="not JSON serializable"):
        compact([Odd("a")])


def test_floats_that_json_does_not_have_become_text() -> None:
    """NaN and Inf must be text wherever they stand, and all else as it was."""
    data = {"a": [float("nan"), 1.5, [float("-inf")]], "b": {"c": float("inf"), "d": "nan"}}
    assert without_nonfinite(data) == {"a": ["nan", 1.5, ["-inf"]], "b": {"c": "inf", "d": "nan"}}
