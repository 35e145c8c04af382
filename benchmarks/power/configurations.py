"""Configurations between which a gradient may change by its rounding, and by nothing else.

Each one is a process of its own, with its own environment. The baseline is recorded with one
thread, without vector instructions and, for PyMC, by the C linker. Every other configuration has
the vector instructions of the machine, so that it differs from the recording in that much at least.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.power.subject import Family, Model, Style, Variant

__all__ = ["CONFIGURATIONS", "RECORDING", "Configuration", "available"]

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin starve each other on a busy machine
}
_TWO_THREADS = {name: "2" for name in _ONE_THREAD if name.endswith("THREADS")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Hold one way to run the models.

    Attributes:
        name: in the tables.
        family: the framework that it runs.
        environment: variables, beside one thread.
        styles: spellings of the models.
        everyone: whether models without those spellings run, too.
        onednn: whether torch may use oneDNN.
        mode: PyTensor's; ``None`` for the one that the package chooses.
        needs: a flag of the processor, a module or ``"compiler"``, without which it cannot be had.
        faults: whether the faults are injected here, on top of what differs anyway.
        quick: whether it is part of a quick run.
        interpreter: the Python that runs it; ours by default.
    """

    name: str
    family: Family
    environment: Mapping[str, str] = field(default_factory=dict)
    styles: frozenset[Style] = frozenset()
    everyone: bool = False
    onednn: bool = True
    mode: str | None = None
    needs: str = ""
    faults: bool = False
    quick: bool = False
    interpreter: str = sys.executable

    @property
    def variant(self) -> Variant:
        """How the models are built."""
        return Variant(styles=self.styles, mode=self.mode)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it sets."""
        return _ONE_THREAD | dict(self.environment)

    def runs(self, model: Model) -> bool:
        """Return whether a model can be told from itself here."""
        if model.family != self.family:
            return False
        return self.everyone or not self.styles or bool(self.styles & model.styles)

    def prepare(self) -> None:
        """Set what no environment variable sets, in the process that runs it."""
        if self.family == "torch":
            import torch

            torch.set_num_threads(int(self.variables["OMP_NUM_THREADS"]))
            torch.backends.mkldnn.set_flags(_enabled=self.onednn)


def torch_configuration(name: str, **options: object) -> Configuration:
    """Return a configuration of torch."""
    return Configuration(name=name, family="torch", **options)  # type: ignore[arg-type] # options of several types


def pymc_configuration(name: str, **options: object) -> Configuration:
    """Return a configuration of PyMC."""
    return Configuration(name=name, family="pymc", **options)  # type: ignore[arg-type] # as above


RECORDING: Mapping[Family, Configuration] = {
    "torch": torch_configuration(
        "one thread, no vector instructions", environment={"ATEN_CPU_CAPABILITY": "default"}
    ),
    "pymc": pymc_configuration("one thread, C linker", mode="default"),
}

CONFIGURATIONS = (
    torch_configuration("compiled by inductor", styles=frozenset({"compiled"}), needs="compiler"),
    replace(RECORDING["torch"], name="the same again"),
    torch_configuration("as installed", quick=True),
    torch_configuration("two threads", environment=_TWO_THREADS),
    torch_configuration("AVX2", environment={"ATEN_CPU_CAPABILITY": "avx2"}, needs="avx2"),
    torch_configuration("AVX-512", environment={"ATEN_CPU_CAPABILITY": "avx512"}, needs="avx512f"),
    torch_configuration("MKL, compatible", environment={"MKL_CBWR": "COMPATIBLE"}),
    torch_configuration("MKL, AVX2", environment={"MKL_CBWR": "AVX2"}, needs="avx2"),
    torch_configuration("oneDNN, SSE4.1", environment={"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    torch_configuration("oneDNN, AVX2", environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}, needs="avx2"),
    torch_configuration("without oneDNN", onednn=False),
    torch_configuration("attention without a fused kernel", styles=frozenset({"unfused"})),
    torch_configuration("batch in another order", styles=frozenset({"permuted"})),
    torch_configuration("channels last", styles=frozenset({"channels_last"})),
    torch_configuration("in other words", styles=frozenset({"rewritten"}), quick=True),
    torch_configuration(
        "everything at once",
        environment={**_TWO_THREADS, "MKL_CBWR": "COMPATIBLE"},
        styles=frozenset({"permuted", "channels_last", "rewritten", "unfused"}),
        everyone=True,
        onednn=False,
        faults=True,
        quick=True,
    ),
    replace(RECORDING["pymc"], name="the same again (C linker)"),
    pymc_configuration("our fast mode", mode="fast", quick=True),
    pymc_configuration("FAST_COMPILE", mode="FAST_COMPILE"),
    pymc_configuration("numba", mode="NUMBA", needs="numba"),
    pymc_configuration("two threads (C linker)", environment=_TWO_THREADS, mode="default"),
    pymc_configuration(
        "OpenBLAS of an old processor", environment={"OPENBLAS_CORETYPE": "Nehalem"}, mode="default"
    ),
    pymc_configuration(
        "OpenBLAS with AVX2", environment={"OPENBLAS_CORETYPE": "Haswell"}, mode="default"
    ),
    pymc_configuration(
        "in other words (C linker)", styles=frozenset({"rewritten"}), mode="default"
    ),
    pymc_configuration(
        "everything at once (fast mode)",
        environment={**_TWO_THREADS, "OPENBLAS_CORETYPE": "Nehalem"},
        styles=frozenset({"rewritten"}),
        everyone=True,
        mode="fast",
        faults=True,
        quick=True,
    ),
)


def available(interpreters: Mapping[str, str]) -> Iterator[Configuration]:
    """Yield the configurations that can be had here.

    Args:
        interpreters: other Pythons with PyMC, by the name of what they have installed.
    """
    for name, interpreter in interpreters.items():  # first, because they compile for longest
        for mode in ("default", "fast"):
            yield pymc_configuration(f"{name}, {mode} mode", mode=mode, interpreter=interpreter)
    for configuration in CONFIGURATIONS:
        if _has(configuration.needs):
            yield configuration


def _has(need: str) -> bool:
    """Return whether the machine has a processor flag, a module, or a compiler."""
    if not need:
        return True
    if need == "compiler":
        return shutil.which("g++") is not None or shutil.which("clang++") is not None
    if need.startswith("avx"):
        return need in _processor_flags()
    return importlib.util.find_spec(need) is not None


def _processor_flags() -> set[str]:
    """Return what the processor can do, nothing where the system does not say."""
    info = Path("/proc/cpuinfo")
    if platform.machine() not in {"x86_64", "AMD64"} or not info.exists():
        return set()
    lines = info.read_text(encoding="utf-8").splitlines()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
