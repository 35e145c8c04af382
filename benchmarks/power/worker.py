"""One process of the benchmark: every model in one configuration.

Run by ``benchmarks.drift_power``, not by hand::

    python -m benchmarks.power.worker {record,check} FOLDER CONFIGURATION RESULT [--quick]

Recording writes each model's baseline, as the plugin would store it, and beside it what the other
rules need: the full gradient and the losses of a descent. Checking reads them, measures again, and
asks every rule, first with nothing broken, then with every fault.
"""

from __future__ import annotations

import argparse
import math
import pickle
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.power.faults import faults
from benchmarks.power.models import models
from benchmarks.power.observed import (
    Answer,
    answer,
    memoised,
    norm,
    relative_change,
    through,
)
from benchmarks.power.rows import Recorded, Row, write
from benchmarks.power.rules import OTHERS, OURS, STEPS, Seen
from pytest_gradcheck.checks.drift import compare
from pytest_gradcheck.drift.tier import tiers
from pytest_gradcheck.errors import PrecisionError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.recording import record, sensitivity
from pytest_gradcheck.records import Evaluation, Measurement, Objective
from pytest_gradcheck.serialize import baseline_text, parse_baseline
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.power.configurations import Configuration
    from benchmarks.power.subject import Model

LIMITS = parse()
REACH = 0.01  # how far the first step of the descent moves, relative to the point
SAME = 1e-12  # relative; a fault below it has changed nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Hold what was recorded of one model.

    Attributes:
        baseline: ours.
        seen: what the other rules compare with.
        rate: of the descent.
    """

    baseline: Measurement
    seen: Seen
    rate: float


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("action", choices=["record", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("configuration", type=Path, help="pickled `Configuration`")
    parser.add_argument("result", type=Path, help="file of JSON lines to write")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    configuration: Configuration = pickle.loads(args.configuration.read_bytes())  # noqa: S301 - our own parent wrote it
    configuration.prepare()
    chosen = [
        model
        for model in models(configuration.family)
        if configuration.runs(model) and (model.quick or not args.quick)
    ]
    act = recorded if args.action == "record" else checked
    write(args.result, [row for model in chosen for row in act(model, configuration, args.folder)])
    return 0


# -------------------------------------------------------------------------------------- recording


def recorded(model: Model, configuration: Configuration, folder: Path) -> Iterator[Recorded]:
    """Record one model and write down what checking needs."""
    count, objective = counted(model.objective(configuration.variant))
    baseline = record(objective, LIMITS)
    evaluations = count() - len(baseline.samples)  # those belong to another check
    text = baseline_text({}, {model.name: baseline})
    healthy = objective.value_and_grad(components=False)
    point = np.sqrt(sum(np.square(to_numpy(v)).sum() for v in objective.point.values()))
    rate = REACH * max(float(point), 1.0) / norm(answer(healthy).grads)
    stored = (text, answer(healthy), dtypes(healthy), list(descent(objective, rate)), rate)
    file(folder, model).write_bytes(pickle.dumps(stored))
    smallest, _ = sensitivity(baseline)
    yield Recorded(
        model=model.name,
        family=model.family,
        parameters=len(baseline.native.parameters),
        elements=sum(p.size for p in baseline.native.parameters),
        evaluations=evaluations,
        native=seconds(objective, "native"),
        shadow=0.0 if baseline.shadow is None else seconds(objective, "float64"),
        sensitivity=smallest,
        size=len(text),
    )


def counted(objective: Objective) -> tuple[Callable[[], int], Objective]:
    """Return a counter, and the objective whose evaluations it counts."""
    calls: list[None] = []

    def value_and_grad(*args: Any, **options: Any) -> Evaluation:  # noqa: ANN401 - passed on
        calls.append(None)
        return objective.value_and_grad(*args, **options)

    return calls.__len__, replace(objective, value_and_grad=value_and_grad)


def seconds(objective: Objective, precision: str, *, times: int = 12) -> float:
    """Return the shortest time that one evaluation took."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        objective.value_and_grad(components=False, precision=precision)
        found.append(time.perf_counter() - started)
    return min(found)


def file(folder: Path, model: Model) -> Path:
    """Return where a model's reference lies."""
    return folder / f"{model.family}-{model.name}.pickle"


def read_reference(folder: Path, model: Model) -> Reference:
    """Return what was recorded of a model."""
    text, before, kinds, losses, rate = pickle.loads(file(folder, model).read_bytes())  # noqa: S301 - written by `recorded`
    _, entries = parse_baseline(text)
    seen = Seen(answer=before, dtypes=kinds, losses=lambda: losses)
    baseline = entries[model.name]
    if not isinstance(baseline, Measurement):
        msg = f"{model.name} is no gradient"
        raise TypeError(msg)
    return Reference(baseline=baseline, seen=seen, rate=rate)


# --------------------------------------------------------------------------------------- checking


def checked(model: Model, configuration: Configuration, folder: Path) -> Iterator[Row]:
    """Ask every rule about one model, healthy and broken."""
    reference = read_reference(folder, model)
    healthy = memoised(model.objective(configuration.variant))
    here = {"model": model.name, "configuration": configuration.name}
    yield asked(healthy, reference, **here)
    if not configuration.faults:
        return
    truth = best(healthy)
    for fault in faults(truth):
        size = relative_change(fault.apply(truth), truth)
        if size > SAME:
            broken = through(healthy, fault.apply, components=fault.components)
            what = {"fault": fault.name, "size": size, "turns": fault.turns}
            yield asked(broken, reference, **here, **what)
    for mutant in model.mutants:
        broken = model.objective(replace(configuration.variant, mutant=mutant))
        size = relative_change(best(broken), truth)
        yield asked(broken, reference, **here, fault=f"code: {mutant}", size=size)


def best(objective: Objective) -> Answer:
    """Return the gradient in float64, or in what precision there is."""
    try:
        return answer(objective.value_and_grad(precision="float64"))
    except PrecisionError:
        return answer(objective.value_and_grad())


def asked(objective: Objective, reference: Reference, **what: Any) -> Row:  # noqa: ANN401 - of a row
    """Return the row with every rule's answer to one objective.

    Args:
        objective: to ask about.
        reference: what was recorded.
        **what: model, configuration and fault.
    """
    measurement = measure(objective, LIMITS.plan())
    result = compare(measurement, reference.baseline)
    native = objective.value_and_grad(components=False)
    now = Seen(
        answer=answer(native),
        dtypes=dtypes(native),
        losses=lambda: descent(objective, reference.rate),
    )
    failed = result.outcome == "failed"
    found = result.findings[0] if failed and result.findings else None
    return Row(
        **what,
        alarms={OURS: failed} | {rule.name: rule.alarm(now, reference.seen) for rule in OTHERS},
        margin=margin(measurement, reference.baseline),
        text="" if found is None else f"{result.reason}: [{found.subject}] {found.text}",
    )


def margin(measurement: Measurement, baseline: Measurement) -> float:
    """Return the largest distance of a parameter's gradient over its allowance, of all tiers."""
    found = [0.0]
    for tier in tiers(measurement, baseline, None):
        for now, was in zip(tier.now.parameters, tier.was.parameters, strict=True):
            if now.sketch is not None and was.sketch is not None:
                far, allowed = distance(now.sketch, was.sketch), tier.distance_allowed(now.name)
                found.append(far / allowed if allowed > 0 else float(far > 0))
    return max(found)


def dtypes(evaluation: Evaluation) -> dict[str, str]:
    """Return the types of the gradients."""
    return {name: view.dtype for name, view in evaluation.grads.items() if view is not None}


def descent(objective: Objective, rate: float) -> Iterable[float]:
    """Yield the losses of plain gradient descent, for a log-density of its ascent.

    What raises on the way (a matrix that is no longer positive) yields NaN from there on.
    """
    step = rate if objective.sense == "logp" else -rate
    point = {name: to_numpy(view) for name, view in objective.point.items()}
    for done in range(STEPS):
        try:
            found = answer(objective.value_and_grad(point, components=False))
        except Exception:  # noqa: BLE001 - a broken model raises what it likes
            yield from [math.nan] * (STEPS - done)
            return
        yield found.value
        point = {
            name: values if (g := found.grads[name]) is None else values + step * g
            for name, values in point.items()
        }


if __name__ == "__main__":
    sys.exit(main())
