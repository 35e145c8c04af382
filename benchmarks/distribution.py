"""Print how often comparing replicates as distributions is wrong, and what it sees.

Run: ``python -m benchmarks.distribution [--runs 2000] [--replicates 32]``

Gradients are simulated: three parameters of 20, 400 and 2,000 elements with a given signal-to-noise
ratio. The noise is ``uneven`` (variance ``1 / k`` in the k-th
direction, so that a few dozen count, as in networks), or ``heavy`` (uneven, times a scale common to
the whole gradient that follows Student's t of 3 degrees of freedom, as with importance weights).
Each run draws a baseline of R replicates and R replicates more, of the same code or of a faulty
one, and asks `pytest_gradcheck.drift` whether anything changed: what a test does where the random
streams differ. The three kinds of test are counted apart.

The exit status is 1 when there is more than one false alarm in 1,000 runs.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter

import numpy as np

from pytest_gradcheck.drift.distribution import FALSE_ALARMS, distribution_changes
from pytest_gradcheck.records import Estimate, ParameterReplicates, Replicate, Replicates
from pytest_gradcheck.stats.replicates import short
from pytest_gradcheck.stats.sketch import sketch

SIZES = {"bias": 20, "head": 400, "body": 2000}
CASES = (  # noise, signal-to-noise ratio
    ("uneven", 2.0),
    ("uneven", 0.5),
    ("heavy", 1.0),
)
WORST = 1e-3  # false alarms a run
FAULTS = {  # what happens to signal and noise
    "none": (1.0, 1.0),
    "variance +20 %": (1.0, math.sqrt(1.2)),
    "variance x2": (1.0, math.sqrt(2.0)),
    "mean +5 %": (1.05, 1.0),
    "mean +50 %": (1.5, 1.0),
    "sign flipped": (-1.0, 1.0),
    "all +5 %": (1.05, 1.05),
    "all x2": (2.0, 2.0),
}


class Simulation:
    """Draw gradients of one kind: a fixed signal, and noise."""

    def __init__(self, noise: str, snr: float, seed: int) -> None:
        """Fix the signal, of unit length in every parameter."""
        self.rng = np.random.default_rng(seed)
        self.heavy = noise == "heavy"
        self.snr = snr
        self.signal, self.widths = {}, {}
        for name, size in SIZES.items():
            direction = self.rng.standard_normal(size)
            self.signal[name] = direction / np.linalg.norm(direction)
            variance = 1.0 / np.arange(1, size + 1)
            self.widths[name] = np.sqrt(variance / variance.sum())

    def replicates(self, count: int, fault: str) -> Replicates:
        """Return replicates as a measurement has them, without what is not compared."""
        strength, loudness = FAULTS[fault]
        scale = np.ones((count, 1))
        if self.heavy:
            scale = np.abs(self.rng.standard_t(3, (count, 1))) / math.sqrt(3.0)  # mean square 1
        parameters = []
        for name, size in SIZES.items():
            noise = scale * self.widths[name] * self.rng.standard_normal((count, size))
            grads = strength * self.signal[name] + loudness * noise / self.snr
            mean = grads.mean(axis=0)
            parameters.append(
                ParameterReplicates(
                    name=name,
                    size=size,
                    mean_norm=float(np.linalg.norm(mean)),
                    variance=float(grads.var(axis=0, ddof=1).sum()),
                    norms=tuple(np.linalg.norm(grads, axis=1).tolist()),
                    sketches=tuple(short(sketch(row), size) for row in grads),
                )
            )
        nothing = Estimate(value=None)
        return Replicates(
            seed=0,
            count=count,
            each=tuple(
                Replicate(seed=r, value=0.0, norm=math.hypot(*(p.norms[r] for p in parameters)))
                for r in range(count)
            ),
            parameters=tuple(parameters),
            mean_norm=math.hypot(*(p.mean_norm for p in parameters)),
            norm=nothing,
            cv=nothing,
            variance=nothing,
            snr_squared=nothing,
        )


def counted(simulation: Simulation, count: int, fault: str, runs: int) -> Counter[str]:
    """Return how many runs found anything, and by which kind of test."""
    kinds: Counter[str] = Counter()
    for _ in range(runs):
        before = simulation.replicates(count, "none")
        found = distribution_changes(simulation.replicates(count, fault), before)
        kinds.update({"any"} if found else set())
        kinds.update({f.text.partition(" ")[0] for f in found})
    return kinds


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=32)
    options = parser.parse_args()
    sys.stdout.write(f"nominal false alarms: {FALSE_ALARMS:g} a run\n")
    head = ("noise", "SNR", "R", "fault", "runs", "found", "by norm", "by mean", "by variance")
    sys.stdout.write(f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n")
    wrong = whole = 0
    for number, (noise, snr) in enumerate(CASES):
        count = options.replicates
        simulation = Simulation(noise, snr, seed=number)
        for fault in FAULTS:
            runs = options.runs if fault == "none" else max(options.runs // 30, 20)
            kinds = counted(simulation, count, fault, runs)
            if fault == "none":
                wrong, whole = wrong + kinds["any"], whole + runs
            found = [kinds[k] for k in ("any", "typical", "mean", "variance")]
            shares = [str(n) if fault == "none" else f"{n / runs:.0%}" for n in found]
            row = (noise, f"{snr:g}", str(count), fault, str(runs), *shares)
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"false alarms: {wrong} in {whole} runs of the same code\n")
    return int(wrong > WORST * whole)


if __name__ == "__main__":
    sys.exit(main())
