"""The door to processes that form a process group: torch is imported once somebody passes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.errors import MissingExtraError

if TYPE_CHECKING:
    from pytest_gradcheck.backends._torch.pool import RankPool

__all__ = ["RankPool"]


def __getattr__(name: str) -> object:
    """Return the pool, or say what it takes."""
    if name != "RankPool":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        from pytest_gradcheck.backends._torch.pool import RankPool
    except ImportError as error:
        msg = f"torch does not import here ({error}); run: pip install 'pytest-gradcheck[torch]'"
        raise MissingExtraError(msg) from None
    return RankPool
