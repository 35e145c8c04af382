"""``gradcheck schema``: the JSON Schema of what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.cli.output import print_json
from pytest_gradcheck.serialize.schema import baseline_schema, json_schema

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print a schema."""
    if arguments.what == "baseline":
        print_json(baseline_schema())
        return 0
    from pytest_gradcheck.reporters import SCHEMA_VERSION
    from pytest_gradcheck.reporters.document import ReportDocument

    schema = json_schema(ReportDocument, title=f"pytest-gradcheck report {SCHEMA_VERSION}")
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    print_json(schema)
    return 0
