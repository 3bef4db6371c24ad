"""Answers needed to reach a regret under 1%, and whether the stopping rule can be trusted. On simulated users.

    python -m benchmarks.elicitation.answers_needed [--users 30] [--seed 1]

Portfolios of KL bandits (8 contexts, 6 actions), answers shown: the actions, by context. Users: weights uniform on the
simplex, choices by the Bradley–Terry model at the default temperature. The seed gives bandits and users; the active
choice was tuned on those of seed 0. Prints the tables, writes results/answers_needed.json and the figure of
docs/how-to/elicit.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.elicitation.simulate import Chooser, Run, User, about_weights, active, at_random, instance, simulate
from palm_theory.users.elicitation import Elicitation

RESULTS = Path(__file__).resolve().parent / "results"
FIGURE = Path(__file__).parents[2] / "docs" / "images" / "answers_needed.png"
EPSILON = 0.01
RESOLVED = 0.1
SAMPLES = 1024
RULES: dict[str, tuple[Chooser, int]] = {
    "active": (active, 30),
    "random": (at_random, 40),
    "resolve w": (about_weights, 60),
}
USERS: dict[str, tuple[float, float]] = {
    "as the model says": (1.0, 0.0),
    "three times as noisy": (3.0, 0.0),
    "a third of the noise": (1 / 3, 0.0),
    "one answer in ten a coin flip": (1.0, 0.1),
}


def people(d: int, numbers: range, temperature: float, lapse: float = 0.0) -> list[tuple[User, np.random.Generator]]:
    """Users with weights uniform on the simplex, and the generator of each one's choices; a user's number is the seed
    of both."""
    found = []
    for seed in numbers:
        rng = np.random.default_rng(seed)
        found.append((User(rng.dirichlet(np.ones(d)), temperature, lapse), rng))
    return found


def mean_curve(runs: list[Run]) -> list[float]:
    """Mean true regret after n answers; a run that ended (nothing left to ask) keeps its last."""
    length = max(len(run.true_regret) for run in runs)
    table = [run.true_regret + [run.true_regret[-1]] * (length - len(run.true_regret)) for run in runs]
    return np.mean(table, axis=0).tolist()


def stopped_at(run: Run) -> int:
    """Where the expected regret first is below ε, or all answers where it never is."""
    found = run.first(run.expected_regret, EPSILON)
    return len(run.true_regret) - 1 if found is None else found


def compare_rules(d: int, seed: int, numbers: range) -> dict[str, Any]:
    """All rules on one instance and the same users."""
    portfolio, answers = instance(d, seed)
    elicitation = Elicitation.of(portfolio, answers, epsilon=EPSILON, samples=SAMPLES)
    result: dict[str, Any] = {"d": d, "policies": len(portfolio), "temperature": elicitation.model.temperature}
    for name, (choose, limit) in RULES.items():
        runs = [
            simulate(
                elicitation,
                user,
                choose,
                rng,
                answers=limit,
                until=(lambda run: run.spread[-1] <= RESOLVED) if name == "resolve w" else (lambda run: False),
            )
            for user, rng in people(d, numbers, elicitation.model.temperature)
        ]
        curve = mean_curve(runs)
        stops = [stopped_at(run) for run in runs]
        regrets = np.array([run.true_regret[n] for run, n in zip(runs, stops, strict=True)])
        row: dict[str, Any] = {
            "mean_regret": curve,
            "answers_to_1_percent": next((n for n in range(len(curve)) if max(curve[n:]) <= EPSILON), None),
            "mean_stop": float(np.mean(stops)),
            "never_stopped": sum(run.first(run.expected_regret, EPSILON) is None for run in runs),
            "regret_at_stop": float(regrets.mean()),
            "stderr_at_stop": float(regrets.std(ddof=1) / np.sqrt(len(regrets))),
        }
        if name == "resolve w":
            ends = [len(run.true_regret) - 1 for run in runs]
            row["mean_resolved"] = float(np.mean(ends))
            row["never_resolved"] = sum(run.first(run.spread, RESOLVED) is None for run in runs)
        result[name] = row
    return result


def calibration(d: int, seed: int, numbers: range) -> list[dict[str, Any]]:
    """True regret where the active rule stops, also for users the model does not describe."""
    portfolio, answers = instance(d, seed)
    elicitation = Elicitation.of(portfolio, answers, epsilon=EPSILON, samples=SAMPLES)
    rows = []
    for name, (factor, lapse) in USERS.items():
        runs = [
            simulate(elicitation, user, active, rng, answers=40, until=lambda run: run.expected_regret[-1] <= EPSILON)
            for user, rng in people(d, numbers, factor * elicitation.model.temperature, lapse)
        ]
        regrets = np.array([run.true_regret[-1] for run in runs])
        rows.append(
            {
                "users": name,
                "answers": float(np.mean([len(run.true_regret) - 1 for run in runs])),
                "expected_regret": float(np.mean([run.expected_regret[-1] for run in runs])),
                "true_regret": float(regrets.mean()),
                "stderr": float(regrets.std(ddof=1) / np.sqrt(len(regrets))),
                "within_epsilon": float((regrets <= EPSILON).mean()),
                "p95": float(np.quantile(regrets, 0.95)),
            }
        )
    return rows


def plot(comparisons: list[dict[str, Any]], path: Path) -> None:
    """Mean true regret against answers, a panel a d."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(comparisons), figsize=(4 * len(comparisons), 3.2), sharey=True)
    for axis, comparison in zip(axes, comparisons, strict=True):
        for name in ("active", "random"):
            curve = comparison[name]["mean_regret"]
            axis.plot(range(len(curve)), 100 * np.array(curve), label=name)
        axis.axhline(100 * EPSILON, color="0.6", linewidth=0.8)
        axis.set(title=f"d = {comparison['d']}, {comparison['policies']} policies", xlabel="answers", yscale="log")
    axes[0].set_ylabel("mean true regret, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run it all; tables on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=30, help="users a row; three times as many for the stopping rule")
    parser.add_argument("--seed", type=int, default=1, help="of the bandits and the users")
    arguments = parser.parse_args()
    first = 1000 * arguments.seed
    numbers, many = range(first, first + arguments.users), range(first, first + 3 * arguments.users)
    comparisons = []
    for d in (2, 3, 5):
        found = compare_rules(d, arguments.seed, numbers)
        comparisons.append(found)
        print(f"d = {d}: {found['policies']} policies, temperature {found['temperature']:.3f}, {arguments.users} users")
        for name in RULES:
            row = found[name]
            extra = ""
            if "mean_resolved" in row:
                extra = (
                    f"; E|w - mean|_1 <= {RESOLVED} after {row['mean_resolved']:.1f} answers "
                    f"({row['never_resolved']} not after {RULES[name][1]})"
                )
            print(
                f"  {name:10} mean regret stays under 1% from {row['answers_to_1_percent']} answers on; expected "
                f"regret under 1% after {row['mean_stop']:.1f} on average ({row['never_stopped']} not after "
                f"{RULES[name][1]}), true regret there {100 * row['regret_at_stop']:.2f}% "
                f"± {100 * row['stderr_at_stop']:.2f}{extra}",
                flush=True,
            )
    rows = calibration(3, arguments.seed, many)
    print(f"stopping rule at d = 3, epsilon = 1%, {len(many)} users each")
    for row in rows:
        print(
            f"  {row['users']:30} {row['answers']:5.1f} answers; expected {100 * row['expected_regret']:.2f}%, true "
            f"{100 * row['true_regret']:.2f}% ± {100 * row['stderr']:.2f}; within 1%: "
            f"{100 * row['within_epsilon']:.0f}%; 95% quantile {100 * row['p95']:.1f}%"
        )
    RESULTS.mkdir(exist_ok=True)
    found = {"seed": arguments.seed, "users": arguments.users, "rules": comparisons, "calibration": rows}
    (RESULTS / "answers_needed.json").write_text(json.dumps(found, indent=1) + "\n")
    plot(comparisons, FIGURE)


if __name__ == "__main__":
    main()
