"""Break one model on purpose, to see its suite turn red and say why.

``EXAMPLE_FAULT=td-detach pytest td`` replaces one function or constant of a model by a faulty one
before the tests are collected. Every fault has happened to somebody; the models know nothing of
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["FAULTS", "VARIABLE", "inject", "requested"]

VARIABLE = "EXAMPLE_FAULT"


def requested() -> str | None:
    """Return the name of the fault that the environment asks for, if any.

    Raises:
        ValueError: there is no such fault; the message lists those that exist.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    if name not in FAULTS:
        msg = f"{VARIABLE}={name}: no such fault; choose one of {', '.join(FAULTS)}"
        raise ValueError(msg)
    return name


def inject(name: str) -> None:
    """Break the model that the fault belongs to, until the process ends."""
    FAULTS[name]()


def tracking_sign() -> None:
    """Let bones point from the far joint to the near one, in the direction model only."""
    from models.tracking import model

    healthy = model.direction_logp
    model.direction_logp = lambda direction, mean, kappa: healthy(-direction, mean, kappa)


def tracking_twice() -> None:
    """Count the likelihood of the keypoints twice."""
    from models.tracking import model

    healthy = model.keypoint_logp
    model.keypoint_logp = lambda *args: 2 * healthy(*args)


def routing_weights() -> None:
    """Take the best of as many rollouts as there are, so that one carries all the weight."""
    from models import routing

    routing.BEST_OF = routing.ROLLOUTS


def causal_sum() -> None:
    """Sum the reconstruction over the batch instead of averaging it."""
    from models import causal

    causal.per_batch = lambda losses: losses.sum()


def causal_inputs() -> None:
    """Feed the observations in their own units, 0 to 2775, instead of standardised."""
    from models import causal

    causal.standardise = lambda raw: raw


def priority_variance() -> None:
    """Penalise the predicted variance ten times as much."""
    from models import priority

    priority.WEIGHTS["variance"] *= 10


def priority_batch() -> None:
    """Normalise over batches of 6 cases instead of 24."""
    from models import priority

    priority.BATCH = 6


def td_scale() -> None:
    """Forget the step scale in the temporal-difference loss, but not in the others."""
    from models import td

    td.SCALES["td_loss"] = 1.0


def td_detach() -> None:
    """Let the gradient flow through the bootstrapped target."""
    from models import td

    td.target = td.bootstrap


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        tracking_sign,
        tracking_twice,
        routing_weights,
        causal_sum,
        causal_inputs,
        priority_variance,
        priority_batch,
        td_scale,
        td_detach,
    )
}
