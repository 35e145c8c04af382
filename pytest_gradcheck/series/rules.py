"""The rules that a training run is held against: healthy ranges of metrics, as data.

Requirements:
    A rule never fails on a healthy run of a sound model: the rules that hold unless told otherwise
    fail on what is bad beyond doubt, and only remark on what is between healthy and bad.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_gradcheck.checks.validate import count
from pytest_gradcheck.errors import UsageError, UsageTypeError

__all__ = ["RULES", "STEPS", "Observe", "Range", "Rule"]

Range = tuple[float, float]

Observe = Literal[
    "last", "min", "max", "mean", "tail", "trend", "spread", "share", "ratio", "nonfinite"
]

STEPS = {
    "input scale": "standardise the inputs: subtract the mean, divide by the standard deviation",
    "loss reduction": "average the loss over the batch where it is summed",
    "component weight": "lower the weight of the component that dominates, or raise the others'",
    "step scale": "bring the two metrics to one scale: the same factor belongs to both",
    "batch size": "use larger batches: batch normalisation is noisy with few cases",
    "clipping": "clip gradients at a norm that a healthy run rarely reaches",
    "learning rate": "lower the learning rate, or warm it up",
    "loss scale": "start the gradient scaler lower, or train in bfloat16",
    "anomaly": "find where it arises: torch.autograd.set_detect_anomaly(True)",
}
"""What to try, by name, in the order of likely impact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Say in which range a metric is healthy.

    Attributes:
        metric: its name, or a pattern (``fnmatch``) of names: ``norm``, ``component.*``. Where
            there is no such metric the rule fails, unless it is not `required`.
        observe: what of it: ``last``, ``min``, ``max`` and ``mean`` of all steps; ``tail``, the
            mean of the last `last`; ``trend``, the slope in units of its 95 % interval's half
            width, below -1 where it falls beyond doubt, above 1 where it rises (that of the
            logarithms, where values are orders of magnitude apart and only those tell); ``spread``,
            the standard deviation around that line over the mean; ``share``, of the metrics that
            match, the mean share of each; ``ratio``, mean absolute value over that of `against`;
            ``nonfinite``, how many values are NaN or Inf.
        healthy: lowest and highest healthy value, both included.
        bad: lowest and highest bad value; the rule fails there, and only remarks on what is
            between. ``None`` for everything that is not healthy.
        next_step: what to try: a name in `STEPS`, a sentence of your own, or several of either.
        name: of the rule in messages; the metric's by default.
        start: the first step that counts.
        last: how many of the last steps ``tail``, ``trend`` and ``spread`` look at; 0 for all.
        against: the other metric of a ``ratio``.
        required: whether the metric must be there.

    Example:
        >>> Rule(metric="td_loss", observe="ratio", against="policy_loss", healthy=(0.1, 10)).name
        'td_loss'
    """

    metric: str
    healthy: Range
    observe: Observe = "mean"
    bad: Range | None = None
    next_step: str | tuple[str, ...] = ()
    name: str = ""
    start: int = 0
    last: int = 10
    against: str = ""
    required: bool = True

    def __post_init__(self) -> None:
        """Check that the rule can be judged."""
        if not isinstance(self.metric, str) or not self.metric:
            msg = f"a rule needs the name of a metric, not {self.metric!r}"
            raise UsageTypeError(msg)
        if self.observe not in get_args(Observe):
            known = ", ".join(get_args(Observe))
            msg = f"the rule on {self.metric!r}: cannot observe {self.observe!r}; known: {known}"
            raise UsageError(msg)
        _check_range(self.metric, "healthy", self.healthy)
        if self.bad is not None:
            _check_range(self.metric, "bad", self.bad)
            (low, high), (worst, best) = self.healthy, self.bad
            if worst <= high and low <= best:
                msg = f"the rule on {self.metric!r}: healthy {self.healthy} and bad {self.bad} "
                raise UsageError(msg + "overlap")
        if (self.observe == "ratio") != bool(self.against):
            msg = f"the rule on {self.metric!r}: observe='ratio' and against= belong together"
            raise UsageError(msg)
        count("start of a rule", self.start, low=0)
        count("last of a rule", self.last, low=0)
        if not self.name:
            object.__setattr__(self, "name", self.metric)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to try, one or several."""
        return (self.next_step,) if isinstance(self.next_step, str) else tuple(self.next_step)

    def zone(self, observed: float) -> Literal["healthy", "between", "bad"]:
        """Return where a value lies; NaN is bad."""
        low, high = self.healthy
        if low <= observed <= high:
            return "healthy"
        if self.bad is None or math.isnan(observed) or self.bad[0] <= observed <= self.bad[1]:
            return "bad"
        return "between"


def _check_range(metric: str, what: str, value: object) -> None:
    """Check that a range is one."""
    if isinstance(value, tuple | list) and len(value) == 2:  # noqa: PLR2004 - low and high
        low, high = value
        if isinstance(low, int | float) and isinstance(high, int | float) and low <= high:
            return
    msg = f"the rule on {metric!r}: {what} is (lowest, highest), not {value!r}; use math.inf for "
    raise UsageError(msg + "no bound")


INF = math.inf

RULES: tuple[Rule, ...] = (
    Rule(
        required=False,
        name="finite",
        metric="*",
        observe="nonfinite",
        healthy=(0, 0),
        next_step=("input scale", "clipping", "learning rate", "anomaly"),
    ),
    Rule(
        required=False,
        name="inputs",
        metric="input*.max_abs",
        observe="max",
        healthy=(0, 20),
        bad=(100, INF),
        next_step="input scale",
    ),
    Rule(
        required=False,
        name="clip_ratio",
        metric="clipped",
        healthy=(0, 0.2),
        bad=(0.5, INF),
        next_step=("input scale", "loss reduction", "batch size", "clipping", "learning rate"),
    ),
    Rule(
        required=False,
        name="loss",
        metric="loss",
        observe="trend",
        healthy=(-INF, 0),
        bad=(1, INF),
        last=0,
        next_step=("input scale", "loss reduction", "component weight", "learning rate"),
    ),
    Rule(
        required=False,
        name="updates",
        metric="update_ratio",
        observe="tail",
        healthy=(0, 0.1),
        bad=(1, INF),
        next_step=("learning rate", "clipping"),
    ),
    Rule(
        required=False,
        name="skipped",
        metric="skipped",
        healthy=(0, 0.2),
        bad=(0.5, INF),
        next_step=("loss scale", "input scale"),
    ),
)
"""The rules that hold unless a call says otherwise; a rule of the same name takes one's place."""
