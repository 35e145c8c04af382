"""Print what compiling and evaluating PyMC models costs, ours and PyMC's own ways.

Run: ``python -m benchmarks.pymc_cost [--model NAME ...] [--same-mode] [--repeat N]``

Every figure comes from a process of its own, with a compile directory of its own that is empty.
Time is CPU time of the process and of the compilers that it starts, so that what else the machine
does counts for less. It runs from the built model: *first* to the first gradient, *compile* the
same without the evaluations that are in it. What is compared in one mode is measured in turns,
``--repeat`` times (3), and the fastest counts. Then come milliseconds for one evaluation, the
fastest of many, and last what the terms add to one.

ours
    The fast mode, without and with the gradient of every term.
logp_dlogp_function, same mode
    PyMC's own function in our mode.
logp_dlogp_function, default mode
    PyMC's own function as its samplers compile it, cold. Left out by ``--same-mode``.
compile_logp + compile_dlogp
    Value and gradient as two functions in PyMC's default mode, cold. Left out by ``--same-mode``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.pymc_models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

FASTER, MOST_WITHOUT, MOST_WITH, MOST_EACH = 8.0, 1.1, 1.6, 4.0
SAME, DEFAULT = ("ours", "ours, whole", "same mode"), ("default mode", "apart")
ENOUGH = 2.0  # seconds of evaluations


def main() -> None:
    """Measure each model in processes of their own, and print rows and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--same-mode", action="store_true", help="leave out the default mode")
    parser.add_argument("--repeat", type=int, default=3, help="how often the same mode is measured")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        model, how = options.worker
        print(json.dumps(WORKERS[how](MODELS[model]())))
        return
    import pymc

    print(f"PyMC {pymc.__version__}, CPU seconds, then ms for each evaluation")
    for model in options.model:
        report(model, cold=not options.same_mode, repeat=options.repeat)


def report(model: str, *, cold: bool, repeat: int) -> None:
    """Print the figures of one model."""
    rounds = [{how: measured(model, how) for how in SAME} for _ in range(repeat)]
    ours, whole, same = (fastest_of([found[how] for found in rounds]) for how in SAME)
    print(f"\n{model:<52} {'compile':>10} {'first':>10} {'each':>12}")
    row("ours", ours)
    row("ours, with every term", whole)
    row("logp_dlogp_function, same mode", same)
    if cold:
        default, apart = (measured(model, how) for how in DEFAULT)
        row("logp_dlogp_function, default mode, cold", default)
        row("compile_logp + compile_dlogp, default mode, cold", apart)
        faster = default["first"] / ours["first"]
        judge("faster than the default mode", faster, "at least", FASTER, good=faster >= FASTER)
    without, with_terms = (way["compile"] / same["compile"] for way in (ours, whole))
    judge("against the same mode", without, "at most", MOST_WITHOUT, good=without <= MOST_WITHOUT)
    judge("with every term", with_terms, "at most", MOST_WITH, good=with_terms <= MOST_WITH)
    each = whole["ms"] / ours["ms"]
    judge("one evaluation, with every term", each, "at most", MOST_EACH, good=each <= MOST_EACH)


def fastest_of(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the least of each figure."""
    return {name: min(found[name] for found in rounds) for name in rounds[0]}


def row(name: str, found: dict[str, float]) -> None:
    """Print one row."""
    figures = f"{found['compile']:8.2f} s {found['first']:8.2f} s {found['ms']:9.2f} ms"
    print(f"  {name:<50} {figures}", flush=True)


def judge(name: str, ratio: float, word: str, limit: float, *, good: bool) -> None:
    """Print a ratio and what is asked of it."""
    verdict = "ok" if good else "MISSED"
    print(f"  {name:<50} {ratio:8.2f} x ({word} {limit:g}: {verdict})", flush=True)


def measured(model: str, how: str) -> dict[str, float]:
    """Return the figures of one model in one way, from a process that knows nothing yet."""
    with tempfile.TemporaryDirectory() as folder:
        flags = f"{os.environ.get('PYTENSOR_FLAGS', '')},base_compiledir={folder}".strip(",")
        environment = os.environ | {"PYTENSOR_FLAGS": flags, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.pymc_cost"]
        done = subprocess.run(
            [*command, "--worker", model, how],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[1],
            env=environment,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(model: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure the objective, the sampler's function alone."""
    return of_objective(model, components=False, evaluations=2)  # one of them when it is made


def ours_whole(model: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure the objective with the gradient of every term."""
    return of_objective(model, components=True, evaluations=1)


def of_objective(model: Any, *, components: bool, evaluations: int) -> dict[str, float]:  # noqa: ANN401
    """Measure an objective, in the first gradient of which are some evaluations of equal cost."""
    from pytest_gradcheck.backends import _pymc, objective

    del _pymc  # importing is no part of compiling
    start = cpu()
    target = objective(model)
    target.value_and_grad(components=components)
    first = cpu() - start
    ms = fastest(lambda: target.value_and_grad(components=components))
    return {"first": first, "compile": first - evaluations * ms / 1000, "ms": ms}


def same_mode(model: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure the sampler's function in our mode."""
    from pytest_gradcheck.backends._pymc.mode import choose, scope

    with scope("fast"):
        return sampler(model, mode=choose("fast", 0).mode)


def default_mode(model: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure the sampler's function as PyMC compiles it."""
    return sampler(model)


def sampler(model: Any, **options: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure the function that PyMC's samplers call."""
    import numpy as np

    start = cpu()
    point = model.initial_point(random_seed=0)
    function = model.logp_dlogp_function(ravel_inputs=True, initial_point=point, **options)
    function.set_extra_values(point)
    vector = np.concatenate([np.ravel(point[v.name]) for v in model.continuous_value_vars])
    function(vector)
    first, ms = cpu() - start, fastest(lambda: function(vector))
    return {"first": first, "compile": first - ms / 1000, "ms": ms}


def apart(model: Any) -> dict[str, float]:  # noqa: ANN401 - PyMC's
    """Measure value and gradient as two functions."""
    start = cpu()
    point = model.initial_point(random_seed=0)
    value, gradient = model.compile_logp(), model.compile_dlogp()
    value(point)
    gradient(point)
    first, ms = cpu() - start, fastest(lambda: (value(point), gradient(point)))
    return {"first": first, "compile": first - ms / 1000, "ms": ms}


def cpu() -> float:
    """Return the CPU seconds spent by this process and those that it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def fastest(call: Callable[[], object]) -> float:
    """Return the milliseconds of CPU time of the fastest of some calls."""
    times: list[float] = []
    end = time.perf_counter() + ENOUGH
    while not times or (time.perf_counter() < end and len(times) < 200):  # noqa: PLR2004
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * min(times)


WORKERS = {
    "ours": ours,
    "ours, whole": ours_whole,
    "same mode": same_mode,
    "default mode": default_mode,
    "apart": apart,
}

if __name__ == "__main__":
    main()
