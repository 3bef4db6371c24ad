"""What planning forecast against what training reached, for a finished main job.

    python -m benchmarks.llm.forecast_and_training [--out runs/llm]

Prints, for each trained policy at its own weights: the forecast J*, the median effective sample size behind it, and the
measured J of the policy and of the base model. Reads the kept samples; trains nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from backends.llm import LLMBackend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/llm"))
    options = parser.parse_args()
    surrogate = LLMBackend(folder=options.out).surrogate()
    figures = json.loads((options.out / "figures.json").read_text())
    base = np.array(figures["base_model"]["rewards"])
    for policy in figures["policies"]:
        w = np.array(policy["weights"])
        reached = float(np.array(policy["rewards"]) @ w - policy["regularizer"])
        size = float(np.median(surrogate.effective_sample_size(w)))
        print(
            f"{policy['label']}: forecast J* {surrogate.optimal_value(w):.3f} (effective sample size {size:.1f}), "
            f"trained J {reached:.3f}, base model {float(base @ w):.3f}"
        )


if __name__ == "__main__":
    main()
