"""Look into the nested containers that torch functions take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["asks_wide", "has_tensor", "mapped"]


def mapped(value: object, change: Callable[[object], object]) -> object:
    """Return nested containers with every leaf changed; the same object where none was."""
    if isinstance(value, dict):
        entries = {key: mapped(item, change) for key, item in value.items()}
        return entries if any(entries[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple):
        items = [mapped(item, change) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        kind = cast("Callable[..., object]", type(value))
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return change(value)


def has_tensor(value: object) -> bool:
    """Return whether nested containers hold a tensor."""
    if isinstance(value, dict):
        return any(has_tensor(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_tensor(item) for item in value)
    return isinstance(value, torch.Tensor)


def asks_wide(value: object) -> bool:
    """Return whether nested containers hold a type of 64 bits."""
    if isinstance(value, dict):
        return any(asks_wide(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(asks_wide(item) for item in value)
    return value is torch.float64 or value is torch.complex128
