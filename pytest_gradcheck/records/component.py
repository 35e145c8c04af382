"""One component of a gradient, and how hard it pushes each parameter."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ComponentStats", "Push"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Hold how hard one component pushes one parameter.

    Attributes:
        parameter: its name.
        norm: L2 norm of the component's gradient in it (finite elements).
        share: ``norm`` divided by the sum of all components' norms in the parameter.
    """

    parameter: str
    norm: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStats:
    """Hold one component: its value, the norm of its gradient, its share, its cosines.

    ``components["y"]["mu"]`` is how hard the component ``y`` pushes the parameter ``mu``.

    Attributes:
        name: as the loss mapping or the model names it.
        value: of the term.
        norm: L2 norm of its gradient over all parameters (finite elements).
        share: ``norm`` divided by the sum of all components' norms.
        finite: whether value and gradient are free of NaN and Inf.
        cosines: with each component, in order, itself included; 0 where one has no gradient.
        nonfinite: the parameters in whose gradient the component has NaN or Inf.
        pushes: by parameter, those that the component does not depend on left out; a baseline
            keeps none.
    """

    name: str
    value: float
    norm: float
    share: float
    finite: bool = True
    cosines: tuple[float, ...] = ()
    nonfinite: tuple[str, ...] = ()
    pushes: tuple[Push, ...] = ()

    def __getitem__(self, name: str) -> Push:
        """Return how hard the component pushes one parameter.

        Raises:
            KeyError: the component does not depend on it; the message lists those it depends on.
        """
        for push in self.pushes:
            if push.parameter == name:
                return push
        known = ", ".join(push.parameter for push in self.pushes) or "none"
        msg = (
            f"component {self.name!r} does not depend on a parameter {name!r}; it does on: {known}"
        )
        raise KeyError(msg)
