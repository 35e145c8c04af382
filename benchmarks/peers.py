"""Print what other ways to look at gradients cost, and which faults they catch.

Run: ``python -m benchmarks.peers [--model NAME ...] [--rounds N]``

Cost is the median time of the work that comes on top of one evaluation, as a multiple of that
evaluation: a forward and backward pass, and the keeping of the user's objects. Caught are faults of
`benchmarks.power.faults`, applied to the gradient of each model, out of all that apply.

total norm
    ``torch.nn.utils.get_total_norm``, compared within 1 %.
histograms
    64 bins for each parameter, as ``wandb.watch`` logs them; an alarm where more than 1 % of the
    elements of a parameter change their bin.
finite and reached
    no NaN and no Inf, and no parameter without a gradient or with one that is exactly zero: the
    rules of ``assert_gradients_finite`` and ``assert_all_params_receive_grad`` of pytest-torch.
gradcheck, fast and slow
    ``torch.autograd.gradcheck`` at its defaults on the loss in float64 as a function of all
    parameters: numeric against analytic, so that it needs no earlier run and sees no fault that the
    loss has as well. Slow takes two losses for each element; it is left out where that is more than
    `SLOW` of them. Where it fails the right gradient, that is printed: ``alarm``.
full snapshot
    every element written by ``numpy.savez`` and compared with ``numpy.allclose`` at the tolerances
    of `torch.testing`, as ``ndarrays_regression`` of pytest-regressions does.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.power.faults import faults
from benchmarks.power.models import models
from benchmarks.power.observed import Answer, answer, norm, through
from pytest_gradcheck.api import judged
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.recording import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.power.subject import Model
    from pytest_gradcheck.records import Objective

BINS = 64
SLOW = 40  # elements
LIMITS = parse(("the call", {"perturb": False, "reaches": False}))


def main() -> int:
    """Measure cost and catch of every way on the models that were asked for."""
    known = {model.name: model for model in models("torch")}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    quick = [name for name, model in known.items() if model.quick]
    parser.add_argument("--model", action="append", choices=list(known), help="default: the quick")
    parser.add_argument("--rounds", type=int, default=5, help="per timing (default 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.model or quick:
        print(f"\n{name}\n{'way':<18} {'cost':>8}   {'caught':>8}")
        cost, caught = costs(known[name], args.rounds), catches(known[name])
        for way in dict.fromkeys([*cost, *caught]):
            price = f"{cost[way]:8.2f}" if way in cost else f"{'-':>8}"
            print(f"{way:<18} {price}   {caught.get(way, '-'):>8}")
    return 0


def costs(model: Model, rounds: int) -> dict[str, float]:
    """Return what every way costs, as a multiple of one forward and backward pass."""
    objective = model.objective()
    healthy = objective.value_and_grad()
    arrays = {n: g for n, g in answer(healthy).grads.items() if g is not None}
    tensors = [torch.from_numpy(g.astype(np.float32)) for g in arrays.values()]
    one = seconds(objective.value_and_grad, rounds)
    ways: dict[str, Callable[[], object]] = {
        "total norm": lambda: float(torch.nn.utils.get_total_norm(tensors)),
        "finite and reached": lambda: [np.isfinite(g).all() and g.any() for g in arrays.values()],
        "histograms": lambda: [histogram(g) for g in arrays.values()],
        "full snapshot": lambda: np.savez(io.BytesIO(), **named(arrays)),
    }
    for way, fast in modes(objective).items():
        ways[way] = partial(checks_out, objective, same, fast=fast)
    found = {way: seconds(work, rounds) / one for way, work in ways.items()}
    found["pytest-gradcheck"] = seconds(lambda: measure(objective, Plan()), rounds) / one - 1.0
    return found


def catches(model: Model) -> dict[str, str]:
    """Return how many faults every way catches, of how many."""
    objective = model.objective()
    healthy = answer(objective.value_and_grad(precision="float64"))
    now = answer(objective.value_and_grad())
    baseline = record(objective, LIMITS)
    rules: dict[str, Callable[[Answer, Answer], bool]] = {
        "total norm": norms_differ,
        "finite and reached": missing_or_broken,
        "histograms": histograms_differ,
        "full snapshot": elements_differ,
    }
    checked = modes(objective)
    found, count = dict.fromkeys([*rules, *checked, "pytest-gradcheck"], 0), 0
    for fault in faults(healthy):
        count += 1
        broken = fault.apply(now)
        for way, rule in rules.items():
            found[way] += rule(broken, now)
        for way, fast in checked.items():
            found[way] += not checks_out(objective, fault.apply, fast=fast)
        changed = through(objective, fault.apply, components=fault.components)
        found["pytest-gradcheck"] += not judged(changed, LIMITS, baseline=baseline).passed
    false = {w for w, fast in checked.items() if not checks_out(objective, same, fast=fast)}
    return {way: "alarm" if way in false else f"{n}/{count}" for way, n in found.items()}


def same(now: Answer) -> Answer:
    """Return a gradient as it is."""
    return now


def modes(objective: Objective) -> dict[str, bool]:
    """Return the ways of ``gradcheck`` that end in time, and whether they are the fast one."""
    small = sum(view.size for view in objective.point.values()) <= SLOW
    return {"gradcheck, fast": True} | ({"gradcheck, slow": False} if small else {})


def checks_out(objective: Objective, change: Callable[[Answer], Answer], *, fast: bool) -> bool:
    """Whether ``torch.autograd.gradcheck`` finds a changed gradient to be that of the loss."""
    names = list(objective.point)
    values = [torch.from_numpy(np.array(to_numpy(v))).double() for v in objective.point.values()]

    class Loss(torch.autograd.Function):
        """Return the loss, and the changed gradient as its own."""

        @staticmethod
        def forward(ctx: Any, *given: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own
            """Evaluate the loss."""
            ctx.point = {n: g.detach().numpy() for n, g in zip(names, given, strict=True)}
            with torch.enable_grad():
                value = objective.value(ctx.point, precision="float64")
            return torch.tensor(value, dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:  # noqa: ANN401 - as above
            """Return the changed gradient."""
            with torch.enable_grad():
                whole = objective.value_and_grad(ctx.point, precision="float64")
            found = change(answer(whole)).grads
            arrays = (g if (g := found[n]) is not None else 0.0 * ctx.point[n] for n in names)
            return tuple(grad * torch.from_numpy(np.array(a)) for a in arrays)

    inputs = tuple(value.requires_grad_() for value in values)
    passed: bool = torch.autograd.gradcheck(
        Loss.apply, inputs, fast_mode=fast, raise_exception=False
    )
    return passed


def norms_differ(now: Answer, before: Answer) -> bool:
    """Whether the total norm moved by more than one percent."""
    a, b = norm(now.grads), norm(before.grads)
    return not abs(a - b) <= 0.01 * b


def missing_or_broken(now: Answer, _: Answer) -> bool:
    """Whether a gradient is missing, zero or not finite."""
    return any(g is None or not g.any() or not np.isfinite(g).all() for g in now.grads.values())


def histograms_differ(now: Answer, before: Answer) -> bool:
    """Whether more than one percent of a parameter's elements are in another bin."""
    for name, old in before.grads.items():
        new = now.grads[name]
        if (new is None) != (old is None):
            return True
        if new is None or old is None:
            continue
        counts, edges = histogram(old)
        other, _ = np.histogram(np.nan_to_num(new), bins=edges)
        if np.abs(counts - other).sum() > 0.02 * old.size:
            return True
    return False


def elements_differ(now: Answer, before: Answer) -> bool:
    """Whether an element is not close to what it was."""
    for name, old in before.grads.items():
        new = now.grads[name]
        if (new is None) != (old is None):
            return True
        if new is not None and old is not None and not np.allclose(new, old, 1.3e-6, 1e-5):
            return True
    return False


def histogram(values: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    """Return counts and edges of 64 bins."""
    return np.histogram(values, bins=BINS)


def named(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return arrays under names that a file of arrays takes."""
    return {f"a{i}": g for i, g in enumerate(arrays.values())}


def seconds(action: Callable[[], object], rounds: int) -> float:
    """Return the median time of an action."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
