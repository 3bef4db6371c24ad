"""Capacity on paper: what a portfolio of K adapters costs to serve, against one model for all and an adapter a user.

``python -m benchmarks.serving.capacity`` prints the tables of docs/how-to/capacity.md; every number of the scenario is
an option. GPU memory and throughput follow from the formulas below. How often an adapter a user has to be fetched is
simulated: an LRU cache on the GPU, users drawn from a Zipf law. Regret is not assumed: it is the mean and the worst
over 20,000 users of a KL-regularised bandit solved exactly (five contexts, 20 actions, three objectives, R_max = 1),
for 1 to K policies.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import OrderedDict
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backends.bandit import BanditBackend
from palm_theory import Adaptive, build_portfolio
from palm_theory.geometry.simplex import sample_dirichlet

RESULT = Path(__file__).parent / "results" / "capacity.json"
GIB = 2**30


@dataclass(frozen=True)
class Scenario:
    """What is served, on what. Defaults: an 8B-parameter model in bfloat16 (32 layers, 8 key-value heads of 128), on a
    GPU of 80 GB. ``tokens_a_second`` is what one such GPU generates with full batches of one model, and
    ``adapter_overhead`` the share of it that mixed adapters cost: both are assumptions to be replaced by a measurement
    of one's own server (``vllm bench serve``)."""

    users: int = 100_000
    requests_a_day_a_user: float = 20.0
    peak_to_mean: float = 4.0
    prompt_tokens: int = 400
    completion_tokens: int = 250
    policies: int = 8
    parameters: float = 8.0e9
    bytes_a_parameter: float = 2.0
    layers: int = 32
    kv_heads: int = 8
    head_size: int = 128
    hidden: int = 4096
    intermediate: int = 14336
    lora_rank: int = 16
    gpu_gib: float = 80.0
    usable: float = 0.9
    tokens_a_second: float = 2500.0
    adapter_overhead: float = 0.1
    gpu_hour: float = 2.0
    train_gpu_hours: float = 4.0
    load_seconds: float = 0.05
    zipf: float = 1.0

    @property
    def adapter_bytes(self) -> float:
        """A rank-r LoRA adapter of all linear layers: r·(in + out) numbers a matrix, in bfloat16."""
        kv = self.kv_heads * self.head_size
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + kv)
        mlp = 3 * (self.hidden + self.intermediate)
        return 2.0 * self.lora_rank * self.layers * (attention + mlp)

    @property
    def kv_bytes(self) -> float:
        """Key-value cache of one request at its mean length: 2·layers·heads·size·2 bytes a token."""
        length = self.prompt_tokens + self.completion_tokens / 2
        return 2 * self.layers * self.kv_heads * self.head_size * 2 * length

    @property
    def peak_requests(self) -> float:
        """Requests a second at the peak."""
        return self.users * self.requests_a_day_a_user / 86400 * self.peak_to_mean

    @property
    def free_bytes(self) -> float:
        """Memory of a GPU beside the model's weights."""
        return self.gpu_gib * GIB * self.usable - self.parameters * self.bytes_a_parameter


def hit_rate(users: int, slots: int, exponent: float, requests: int = 200_000, seed: int = 0) -> float:
    """Share of requests whose user's adapter is on the GPU: an LRU cache of ``slots``, users from a Zipf law."""
    rng = np.random.default_rng(seed)
    popularity = np.arange(1, users + 1, dtype=float) ** -exponent
    chosen = rng.choice(users, size=requests, p=popularity / popularity.sum())
    cache: OrderedDict[int, None] = OrderedDict()
    hits = counted = 0
    for number, user in enumerate(chosen.tolist()):
        found = user in cache
        if found:
            cache.move_to_end(user)
        else:
            cache[user] = None
            if len(cache) > slots:
                cache.popitem(last=False)
        if number >= requests // 2:
            counted += 1
            hits += found
    return hits / counted


@dataclass(frozen=True)
class Plan:
    """One way to serve the scenario."""

    name: str
    adapters: int
    training_gpu_hours: float
    adapter_storage_gib: float
    batch_a_gpu: int
    fetches_a_request: float
    gpus: int
    month: float


def plan(scenario: Scenario, name: str, adapters: int, resident: int, overhead: float, hits: float) -> Plan:
    """GPUs and cost where ``resident`` adapters sit on every GPU and a share 1 − ``hits`` of requests fetches one.

    A fetch takes the GPU's link for ``load_seconds`` and stops no computation, and mixing hundreds of adapters in a
    batch is taken to cost no more than mixing K: the best case for adapters a user.
    """
    room = scenario.free_bytes - resident * scenario.adapter_bytes
    batch = int(room // scenario.kv_bytes)
    if batch < 1:
        raise SystemExit(f"{name}: no memory is left for requests; fewer resident adapters, or a larger GPU")
    speed = scenario.tokens_a_second * (1 - overhead)
    busy = max(scenario.completion_tokens / speed, (1 - hits) * scenario.load_seconds)
    gpus = math.ceil(scenario.peak_requests * busy)
    training = adapters * scenario.train_gpu_hours
    storage = adapters * scenario.adapter_bytes / GIB
    month = 730 * gpus * scenario.gpu_hour
    return Plan(name, adapters, training, storage, batch, 1 - hits, gpus, month)


def plans(scenario: Scenario) -> list[Plan]:
    """One model, the portfolio, an adapter a user."""
    # Half of the free memory for a cache of users' adapters, half for requests.
    slots = int(scenario.free_bytes / 2 // scenario.adapter_bytes)
    hits = hit_rate(scenario.users, slots, scenario.zipf)
    overhead = scenario.adapter_overhead
    return [
        plan(scenario, "one model", 1, 0, 0.0, 1.0),
        plan(scenario, f"portfolio of {scenario.policies}", scenario.policies, scenario.policies, overhead, 1.0),
        plan(scenario, "an adapter a user", scenario.users, slots, overhead, hits),
    ]


def regrets(largest: int, seed: int = 0) -> list[dict[str, float]]:
    """Mean over 20,000 users (weights uniform on the simplex) and worst regret J* − J of the best K policies found."""
    bandit = BanditBackend(np.random.default_rng(seed).random((5, 20, 3)), beta=0.05)
    users = sample_dirichlet(3, 20_000, seed=1)
    optimal = np.array([bandit.optimal_value(weights) for weights in users])
    rows = []
    for size in range(1, largest + 1):
        portfolio = build_portfolio(bandit, Adaptive(max_policies=size)) if size >= 3 else None
        values = portfolio.best_value(users) if portfolio is not None else _few(bandit, users, size)
        regret = optimal - values
        rows.append({"policies": size, "mean regret": float(regret.mean()), "worst regret": float(regret.max())})
    return rows


def _few(bandit: BanditBackend, users: np.ndarray, size: int) -> np.ndarray:
    """One policy for equal weights, or two for equal weights and the first objective: fewer than one a vertex."""
    weights = [np.full(3, 1 / 3), np.array([1.0, 0.0, 0.0])][:size]
    values = [bandit.optimize(w).value.vertex_values for w in weights]
    return (users @ np.stack(values).T).max(axis=1)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if value >= 10 else f"{value:.4f}"


def main() -> None:
    """Print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(Scenario):
        kind = int if isinstance(field.default, int) else float
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    parser.add_argument("--save", action="store_true", help="write results/capacity.json")
    given = vars(parser.parse_args())
    save = given.pop("save")
    scenario = Scenario(**given)
    console = Console(width=140)
    console.print(
        f"{scenario.users} users, {scenario.peak_requests:.1f} requests/s at the peak; adapter "
        f"{scenario.adapter_bytes / 2**20:.0f} MiB; cache {scenario.kv_bytes / 2**20:.0f} MiB a request; "
        f"{scenario.free_bytes / GIB:.1f} GiB free beside the weights"
    )
    rows = [asdict(row) for row in plans(scenario)]
    for title, table_rows in (("serving", rows), ("what users lose", regrets(scenario.policies))):
        table = Table(title=title, title_justify="left")
        for key in table_rows[0]:
            table.add_column(key.replace("_", " "), justify="left" if key == "name" else "right")
        for row in table_rows:
            table.add_row(*map(_cell, row.values()))
        console.print(table)
    if save:
        RESULT.write_text(json.dumps({"scenario": asdict(scenario), "plans": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
