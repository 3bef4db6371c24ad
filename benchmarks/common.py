"""What the benchmark scripts share: counting solves, tables, files, the machine."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.geometry.simplex import Array

RESULTS = Path(__file__).resolve().parent / "results"


class CountingBackend(PolicyBackend):
    """A backend that counts its solves (``solves``) and, apart, the times that only J* was asked for (``asked``)."""

    def __init__(self, inner: PolicyBackend) -> None:
        self.inner = inner
        self.declared = Declarations.of(inner)
        self.solves = 0
        self.asked = 0

    @property
    def powers(self) -> frozenset[Power]:
        return self.inner.powers | {Power.OPTIMAL_VALUE}

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()

    def optimize(self, weights: Array) -> Solution:
        self.solves += 1
        return self.inner.optimize(weights)

    def optimal_value(self, weights: Array) -> float:
        return self.optimal_bracket(weights)[1]

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        self.asked += 1
        if Power.OPTIMAL_VALUE in self.inner.powers:
            return self.inner.optimal_bracket(weights)
        solution = self.inner.optimize(weights)
        assert solution.upper_bound is not None
        return solution.value.scalarize(weights), solution.upper_bound

    def evaluate(self, policy: Any) -> Value:
        return self.inner.evaluate(policy)


class Stopwatch:
    """Wall-clock seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One table on standard output."""
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, justify="right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=170).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def store(name: str, content: Mapping[str, Any]) -> None:
    """Write ``results/NAME.json`` with the machine."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n")
