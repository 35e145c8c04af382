"""What a backend hands over: a function to differentiate, and what evaluating it returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records.collective import Collective
from pytest_gradcheck.records.gradient import GradientStats
from pytest_gradcheck.records.origin import Origin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Starts = Callable[[int, int], Sequence["Start"]]

__all__ = [
    "ArrayView",
    "ComponentEvaluation",
    "Evaluation",
    "Jitter",
    "Objective",
    "Precision",
    "Scalar",
    "Start",
]

Precision = Literal["native", "float64"]
Scalar = str | int | float | bool | None


class ArrayView(Protocol):
    """Show one parameter's values or gradient to the statistics, wherever it lies.

    A complex array shows as reals with a last axis of two (real, imaginary), of complex `dtype`. A
    view may have, for speed, `flat`: the real elements in one row, ``None`` if they do not lie so;
    and `memory`: address, number and bytes of float32 or float64 elements that lie in one row in
    the memory of this process for as long as the view lives, ``None`` if they do not. It may have
    `afar`, for arrays that lie elsewhere: the `Place` that reduces them there, or ``None``.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the real elements, a complex array's last axis of two included."""
        ...

    @property
    def dtype(self) -> str:
        """Name of the element type as the framework has it: ``float32``, ``bfloat16``."""
        ...

    @property
    def size(self) -> int:
        """Number of real elements."""
        ...

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield ``(start, values)`` in rising order of the flat C-order index.

        Args:
            size: the most elements a chunk may have.

        Yields:
            The index of the first element and a one-dimensional float16, float32 or float64 array,
            only to be read. Elements that no chunk covers are exactly zero (sparse gradients).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentEvaluation:
    """Hold one named additive term of the loss at one point.

    Attributes:
        value: the term's value.
        grads: its gradient by parameter; ``None`` where the term does not depend on it. The
            mapping is empty when only values were asked for.
    """

    value: float
    grads: Mapping[str, ArrayView | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """Ask for an evaluation that is as wrong as rounding could make it, or only watched.

    Attributes:
        eps: relative size of the noise in captured float inputs; 0 watches and moves nothing.
        seed: of the noise.
    """

    eps: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Hold the value and the gradient of an objective at one point.

    Attributes:
        value: the loss, or the log-density.
        grads: gradient by parameter, in the order of ``Objective.point``; ``None`` means
            disconnected, zeros mean zero.
        components: the named terms, empty when the objective is a single scalar.
        eps: machine epsilon of the coarsest precision that any operation used, where the evaluation
            was watched for it (see `Jitter`); ``None`` where it was not.
        reduced: the statistics of the gradients, where these were reduced as they were made and are
            gone; their views have shape and type and nothing to show.
        policy: what was computed less exactly than usual, and how; plain scalars by name.
        collective: the ranks that hold the gradient together; ``None`` where it lies here whole.
            Values are then of this rank's own data, and the loss is their mean.
    """

    value: float
    grads: Mapping[str, ArrayView | None]
    components: Mapping[str, ComponentEvaluation] = field(default_factory=dict)
    eps: float | None = None
    reduced: GradientStats | None = None
    policy: Mapping[str, Scalar] = field(default_factory=dict)
    collective: Collective | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Hold one point that has a name: a draw from the prior, where a sampler was.

    Attributes:
        label: says which point it is: ``prior draw #3 (seed 3)``.
        seed: of the draw, 0 where there is none.
        values: float64 arrays of the parameters' shapes, by parameter.
    """

    label: str
    seed: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Hold a function to differentiate, as its backend sees it.

    Attributes:
        name: what messages call it.
        backend: the backend's name, ``torch``, ``pymc`` or ``arrays``.
        device: where it is evaluated: ``cpu``, ``cuda``.
        point: the current value of every parameter, in the model's own (forward) order.
        value_and_grad: ``f(point, components=True, precision="native", jitter=None, seed=None)``.
            ``point`` maps names to arrays of the parameters' (real) shapes, a missing name or
            ``None`` meaning its current value. A pure function: the same point gives the same bits,
            and the user's objects are unchanged afterwards. With ``precision="float64"`` all is
            computed in float64, or `PrecisionError` says why not. With a `Jitter`, the coarsest
            precision used is watched for, and float inputs that the backend can see beside the
            point are moved. With a `seed` the random streams start there, those of generators
            that the function holds included, and not at the objective's own seed.
        value: ``f(point, precision="native")``, the value alone; as pure.
        origins: ``f(point)``: where the numbers that are not finite there arose; as pure, and
            called only where there are such numbers. ``None`` where nobody can see inside.
        seed: of every random stream the model draws from.
        stream: names what those streams give on this device, in the precisions used: equal names,
            equal draws. Called where replicates are taken.
        coordinates: ``f(name, index)``: what the model calls an element of a parameter,
            ``school=C``; empty, or ``None`` for all, where it has no names.
        at: what to paste to come to this point from the model's own: ``at={"x[1]": 2.0}``; empty
            where it is the model's own, or too long to paste.
        sense: ``loss`` or ``logp``, what messages call the value.
        stores_point: whether the baseline keeps the whole point where it is small enough.
        separate_terms: whether the components come from another function than the gradient itself,
            so that their sum may differ from it.
        named: ``f(at)``, for what the user passed as `at=` and is no mapping: a function of a count
            and a seed that returns so many points, or ``None`` for the point as it is; no such
            names where it is ``None`` itself.
        starts: such a function, for the points to evaluate in place of Gaussian perturbations.
        min_scale: the scale a parameter is perturbed at when its RMS is smaller, so that zeros
            move too; 1 in an unconstrained space of unit scale.
        facts: what else is worth keeping in reports and baselines (frozen parameters, compile
            mode, data shapes); plain scalars by name, in a fixed order.
        structure: what must be equal for two gradients to be comparable beyond names and shapes
            (transforms, distributions), plain scalars by name.
        packages: versions of what computed the gradient, by name.
        collective: the ranks that hold the point together; ``None`` where it lies here whole.
        passing: ``f(take, point, precision="native", jitter=None, seed=None)``: as
            ``value_and_grad`` without components, but each gradient goes to ``take(name, view)``
            when it is complete, and is gone then; none comes back. ``None`` where all of them are
            there at once.
        contribution: ``f(rank)``: the gradient that one rank's loss alone adds to that of all; as
            pure, and called on all ranks. ``None`` where ranks have no data of their own.
    """

    name: str
    backend: str
    device: str
    point: Mapping[str, ArrayView]
    value_and_grad: Callable[..., Evaluation]
    value: Callable[..., float]
    seed: int
    stream: Callable[[], str] = str
    origins: Callable[..., tuple[Origin, ...]] | None = None
    coordinates: Callable[[str, tuple[int, ...]], str] | None = None
    at: str = ""
    sense: str = "loss"
    stores_point: bool = False
    separate_terms: bool = False
    named: Callable[[object], Starts | None] | None = None
    starts: Starts | None = None
    min_scale: float = 1e-2
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    structure: Mapping[str, Scalar] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    collective: Collective | None = None
    passing: Callable[..., Evaluation] | None = None
    contribution: Callable[[int], Evaluation] | None = None

    def __post_init__(self) -> None:
        """Check that there is something to differentiate."""
        if not self.point:
            msg = f"'{self.name}' ({self.backend}) has no trainable parameters"
            raise UsageError(msg)
