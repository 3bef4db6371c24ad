"""The main job on a language model: plan, train, measure, certify, show; resumable.

    python -m benchmarks.llm.main_job [--preset tiny] [--workers 2] [--out runs/llm]

On the embedded model with the bundled prompts and the rewards brevity, relevance, positivity. Run again after a kill:
samples, checkpoints, adapters and evaluations are taken up where they are. Prints the forecast, the table of policies,
the certificate and one prompt answered by every policy; saves figures.json and a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from backends.llm import LLMBackend, Workers
from backends.llm.app.report import Run, duels, print_run, run
from palm_theory import Planned
from palm_theory.metrics import usage, usage_perplexity

FILE_WIDTH = 130


def figures(result: Run, seconds: float) -> dict[str, object]:
    """Everything the report shows, as JSON-able data."""
    return {
        "seconds": round(seconds, 1),
        "peak_memory_mb_of_largest_process": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "forecast": [
            {"K": k, "weights": w.tolist(), "epsilon": float(e), "delta": float(d)}
            for k, (w, e, d) in enumerate(
                zip(result.forecast.weights, result.forecast.epsilon, result.forecast.delta, strict=True), 1
            )
        ],
        "effective_sample_size": str(result.quality),
        "policies": [
            {
                "label": member.label,
                "weights": None if member.weights is None else member.weights.tolist(),
                **member.value.to_dict(),
                "kl_k3_nats": None if m.divergence_check is None else float(m.divergence_check.mean()),
            }
            for member, m in zip(result.portfolio, result.measured, strict=True)
        ],
        "base_model": result.base.value().to_dict(),
        "lead_on_own_weights": duels(result),
        "usage": usage(result.portfolio).tolist(),
        "usage_perplexity": usage_perplexity(result.portfolio),
        "certificate": result.portfolio.certificate.to_dict(),
    }


def save_figure(result: Run, path: Path) -> None:
    """Rewards of every policy with their standard errors, and the forecast gap against K."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = result.portfolio.objectives
    rows = [(f"{m.name}: {m.label}", v.value()) for m, v in zip(result.portfolio, result.measured, strict=True)]
    for k, (label, value) in enumerate([*rows, ("base model", result.base.value())]):
        at = [i + 0.15 * (k - len(rows) / 2) for i in range(len(names))]
        left.errorbar(at, value.rewards, yerr=value.rewards_stderr, fmt="o", capsize=3, label=label)
    left.set_xticks(range(len(names)), names)
    left.set_ylabel("reward, mean ± standard error")
    left.set_ylim(0, 1)
    left.legend(fontsize=7)
    sizes = range(1, len(result.forecast.epsilon) + 1)
    right.plot(sizes, result.forecast.epsilon, "o-", label="forecast (before training)")
    right.axvline(len(rows), color="grey", linestyle=":", label="trained")
    right.set_xlabel("policies K")
    right.set_ylabel("worst gap ε")
    right.set_ylim(0, None)
    right.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="default", choices=("tiny", "default"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/llm"))
    options = parser.parse_args()
    # A file takes the whole width of the tables; a terminal says its own.
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    started = time.monotonic()
    backend = LLMBackend(preset_name=options.preset, folder=options.out, workers=Workers(count=options.workers))
    strategy = Planned(max_policies=backend.affordable_policies)
    result = run(backend, strategy, options.out / "portfolio", console)
    print_run(result, backend, strategy, console)
    seconds = time.monotonic() - started
    (options.out / "figures.json").write_text(json.dumps(figures(result, seconds), indent=1) + "\n")
    save_figure(result, options.out / "portfolio.png")
    console.print(f"{seconds:.0f} s (this start only, where the run was resumed); saved in {options.out}")


if __name__ == "__main__":
    main()
