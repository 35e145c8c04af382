"""A hidden Markov model with its states summed out, without a loop over time.

Products of transition matrices are associative, so neighbours are multiplied in pairs, then pairs
of pairs: a graph of depth ``log2(steps)`` instead of one node per step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytensor.tensor as pt

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = ["log_marginal", "log_sum"]


def log_marginal(
    log_initial: TensorVariable,
    log_transition: TensorVariable,
    log_emission: TensorVariable,
    *,
    steps: int,
) -> TensorVariable:
    """Return the log-probability of the emissions over every path of states.

    Args:
        log_initial: ``[state]``.
        log_transition: ``[state, next state]``.
        log_emission: ``[step, state]``.
        steps: number of steps, known when the graph is built.

    Returns:
        A scalar.
    """
    first = log_initial[None, None, :] + log_emission[:1, None, :]
    later = log_transition[None, :, :] + log_emission[1:, None, :]
    # Every row of the first matrix is the same vector, so any row of the product is the answer.
    first = first + pt.zeros_like(log_transition)[None]
    factors = pt.concatenate([first, later], axis=0)
    while steps > 1:
        pairs = steps // 2
        joined = _product(factors[0 : 2 * pairs : 2], factors[1 : 2 * pairs : 2])
        factors = pt.concatenate([joined, factors[2 * pairs :]]) if steps % 2 else joined
        steps = pairs + steps % 2
    return log_sum(factors[0, 0], axis=-1)


def log_sum(terms: TensorVariable, *, axis: int) -> TensorVariable:
    """Return ``log(sum(exp(terms)))`` in a form whose gradient stays finite under any rewrite."""
    largest = pt.max(terms, axis=axis, keepdims=True)
    return pt.squeeze(largest, axis=axis) + pt.log(pt.sum(pt.exp(terms - largest), axis=axis))


def _product(left: TensorVariable, right: TensorVariable) -> TensorVariable:
    """Multiply matrices of log-probabilities, ``[..., i, k]`` by ``[..., k, j]``."""
    return log_sum(left[..., :, :, None] + right[..., None, :, :], axis=-2)
