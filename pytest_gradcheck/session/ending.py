"""Whether a test that stopped at drift had come to its end.

A call that drifts raises, so that nobody knows whether what the test does after it would have
passed. An entry is offered for recording only where nothing comes after it.

Requirements:
    When in doubt, something follows.
"""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

__all__ = ["call_line", "stopped_early"]

_OURS = __name__.partition(".")[0]


def stopped_early(traceback: TracebackType | None, code: object) -> bool:
    """Return whether statements of a test, or of what it called, were left to run.

    Args:
        traceback: of the exception that ended the test.
        code: of the test function.
    """
    frames = list(_frames(traceback))
    at = next((i for i, (frame, _) in enumerate(frames) if frame.f_code is code), None)
    if at is None:
        return True
    *calls, (inner, line) = frames[at:]
    # A training run is judged where its block ends, which is said to be where it begins.
    ends = _is_last(inner, line) or _is_last(inner, line, block="watch")
    return not (ends and all(_is_last(frame, where) for frame, where in calls))


def call_line(frame: FrameType | None, path: str) -> tuple[str, int]:
    """Return file and line of a call: in the test's own file, else where it was made.

    Args:
        frame: of the caller.
        path: of the test's file.
    """
    first = None
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] != _OURS:
            here = frame.f_code.co_filename, frame.f_lineno
            if here[0] == path:
                return here
            first = first or here
        frame = frame.f_back
    return first or ("", 0)


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Yield frames and lines of a traceback, outermost first, without those of this package."""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] != _OURS:
            yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _is_last(frame: FrameType, line: int, *, block: str = "") -> bool:
    """Return whether a line belongs to the last statement of a function, which is a simple one.

    Args:
        frame: of the function.
        line: of its file.
        block: method that makes a block; then it is whether the line begins such a block, after
            which nothing comes.
    """
    try:
        lines, start = inspect.getsourcelines(frame.f_code)
        tree = ast.parse("if True:\n" + "".join(f" {one}" for one in lines))
    except (OSError, SyntaxError, TypeError):
        return False
    body = _body(tree)
    while body:
        last = body[-1]
        if isinstance(last, ast.With | ast.AsyncWith):
            if last.lineno == line - start + 2 and _makes(last, block):
                return True
            body = last.body
            continue
        low, high = last.lineno, last.end_lineno or last.lineno
        if block:
            return False
        simple = isinstance(last, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return | ast.Raise)
        return simple and low <= line - start + 2 <= high
    return False


def _makes(block: ast.With | ast.AsyncWith, name: str) -> bool:
    """Return whether a block is made by calling a method of that name, and by nothing else."""
    made = [item.context_expr for item in block.items]
    return all(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == name
        for one in made
    )


def _body(tree: ast.Module) -> list[ast.stmt]:
    """Return the statements of the function in a module of our making."""
    outer = tree.body[0]
    inner = outer.body[0] if isinstance(outer, ast.If) else outer
    return inner.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) else []
