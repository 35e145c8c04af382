"""Turn values into JSON text and back: records exactly, baselines readably.

`to_json` and `from_json` carry whole records between processes and into reports, exactly.
`baseline_text` and `parse_baseline` write what people review in a diff: rounded numbers to read,
and beside them, packed, the exact ones to compare with. Nothing here knows files or pytest.
"""

from __future__ import annotations

from pytest_gradcheck.serialize.fitness import unstorable
from pytest_gradcheck.serialize.leaves import NotFinite
from pytest_gradcheck.serialize.packing import packed, unpacked
from pytest_gradcheck.serialize.sheet import SCHEMA, Sheet
from pytest_gradcheck.serialize.text import baseline_text, parse_baseline
from pytest_gradcheck.serialize.values import from_json, to_finite, to_json, to_plain

__all__ = [
    "SCHEMA",
    "NotFinite",
    "Sheet",
    "baseline_text",
    "from_json",
    "packed",
    "parse_baseline",
    "to_finite",
    "to_json",
    "to_plain",
    "unpacked",
    "unstorable",
]
