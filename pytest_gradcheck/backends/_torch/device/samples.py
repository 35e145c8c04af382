"""Make the tensors on which a device shows that it computes what the CPU does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from pytest_gradcheck.backends._torch.device.rows import ROWS_AT_ONCE
from pytest_gradcheck.stats.signs import LANES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tensors"]

_LONG: Final = ROWS_AT_ONCE * LANES + 5 * LANES + 17  # more rows than are read at once
_INTEGERS: Final = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def tensors() -> Iterator[torch.Tensor]:
    """Yield tensors on the CPU, the same in every process."""
    random = torch.Generator("cpu").manual_seed(1)
    for dtype, integer in _INTEGERS.items():
        usual = torch.randn(_LONG, generator=random, device="cpu", dtype=torch.float32).to(dtype)
        yield usual
        yield usual[:100]  # comes over as it is
        yield usual[:-17].view(-1, LANES).T[:4000]  # not contiguous
        yield (2 * usual[: 3 * LANES]).round()  # many equal elements, and zeros
        # Any bits at all: what is largest, smallest, below the normal numbers, NaN and Inf.
        bounds = torch.iinfo(integer)
        size = (5 * LANES + 1,)
        bits = torch.randint(
            bounds.min, bounds.max, size, generator=random, device="cpu", dtype=integer
        )
        odd = bits.view(dtype)
        yield odd
        yield odd.nan_to_num(nan=0.0, posinf=1.0, neginf=-1.0)
        normal = torch.tensor(torch.finfo(dtype).smallest_normal, dtype=dtype, device="cpu")
        yield (bits & (int(normal.view(integer)) - 1)).view(dtype)  # below the normal numbers
    yield torch.view_as_complex(usual[: 4 * LANES].view(-1, 2))
