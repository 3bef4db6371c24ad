"""μ, α and β as sliders: what the theorems promise, and what is true.

Open with ``marimo run notebooks/tradeoffs.py`` (or ``marimo edit``); runs as a plain script too.
"""

import marimo

app = marimo.App(width="medium", app_title="μ, α and β")


@app.cell
def _():
    import math

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    from drawing import BLACK, BLUE, GREEN, ORANGE

    from backends.bandit import BanditBackend
    from palm_theory import Adaptive, Palm, bounds, build_portfolio, covers, design

    rewards = np.random.default_rng(0).random((5, 20, 2))
    return (
        BLACK,
        BLUE,
        GREEN,
        ORANGE,
        Adaptive,
        BanditBackend,
        Palm,
        bounds,
        build_portfolio,
        covers,
        design,
        math,
        mo,
        np,
        plt,
        rewards,
    )


@app.cell
def _(mo):
    mo.md(
        r"""
        # μ, α and β

        The same problem three ways. Two objectives, so a user is one number $t$: the weight of the first. $\mu$ and $\alpha$ set the hybrid cover of Theorem 1, $\beta$ the price of the KL divergence from the
        reference. Move them, and compare the **promise** (before anything is solved) with the **certified truth** (Theorem 3, after solving).
        """
    )
    return


@app.cell
def _(mo):
    mu = mo.ui.slider(0.05, 1.0, 0.05, value=0.5, label="μ", show_value=True)
    alpha = mo.ui.slider(0.01, 0.4, 0.01, value=0.05, label="α", show_value=True)
    beta = mo.ui.slider(steps=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0], value=0.05, label="β", show_value=True)
    mo.hstack([mu, alpha, beta], justify="start", gap=2)
    return alpha, beta, mu


@app.cell
def _(Adaptive, BanditBackend, Palm, alpha, beta, bounds, build_portfolio, covers, design, math, mu, rewards):
    bandit = BanditBackend(rewards, beta=beta.value)
    grid = build_portfolio(bandit, Palm(mu.value, alpha.value, lazy=False, prune=False), progress=False)
    adaptive = build_portfolio(bandit, Adaptive(0.0, max_policies=6), progress=False)
    _size = {"reward_max": bandit.reward_max, "regularizer_max": bandit.regularizer_max}
    paper = bounds.theorem1(2, mu.value, alpha.value, **_size)
    sharper = bounds.theorem1_prime(2, mu.value, alpha.value, has_reference=True, **_size)
    # The next smaller α that is a power of 1 + μ: the top value of the grid is 1 then.
    _power = covers.aligned_alpha(mu.value, math.ceil(-math.log(alpha.value) / math.log1p(mu.value)))
    sharpest = bounds.theorem1_double_prime(2, mu.value, _power, has_reference=True, **_size)
    lattice = design.best_theorem2_prime(2, sharper.size, beta=beta.value, reward_max=bandit.reward_max)
    return adaptive, bandit, grid, lattice, paper, sharper, sharpest


@app.cell
def _(adaptive, grid, lattice, mo, paper, sharper, sharpest):
    def _row(name, size, epsilon, delta, kind):
        return f"| {name} | {size} | {epsilon:.4f} | {delta:.4f} | {kind} |"

    _truth = grid.certificate
    mo.md(
        "\n".join(
            [
                "| | policies | ε | δ | |",
                "|---|---|---|---|---|",
                _row("Theorem 1", paper.size, paper.epsilon, paper.delta, "promise: both together"),
                _row("Theorem 1′", sharper.size, sharper.epsilon, sharper.delta, "promise: both together"),
                _row(
                    f"Theorem 1″, α = {sharpest.alpha:.4f}",
                    sharpest.size,
                    sharpest.epsilon,
                    sharpest.delta,
                    "promise: both together",
                ),
                _row("Theorem 2′, as many policies as 1′", lattice.size, 0, lattice.delta, "promise"),
                _row("the cover, audited", len(grid), _truth.epsilon, 0, f"{_truth.kind.value}: ε at δ = 0"),
                _row("the cover, audited", len(grid), 0, _truth.additive_gap, f"{_truth.kind.value}: δ at ε = 0"),
                _row(
                    "six adaptive policies, audited",
                    len(adaptive),
                    0,
                    adaptive.certificate.additive_gap,
                    f"{adaptive.certificate.kind.value}: δ at ε = 0",
                ),
            ]
        )
    )
    return


@app.cell
def _(BLACK, BLUE, ORANGE, adaptive, bandit, grid, np, plt):
    _t = np.linspace(0, 1, 401)
    _weights = np.column_stack([_t, 1 - _t])
    optimum = np.array([bandit.optimal_value(row) for row in _weights])
    loss_grid = optimum - grid.best_value(_weights)
    loss_adaptive = optimum - adaptive.best_value(_weights)

    figure, (_left, _right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    _left.plot(_t, optimum, color=BLACK, label="$J^*$")
    for _member in adaptive:
        _left.plot(_t, _weights @ _member.value.vertex_values, color=ORANGE, linewidth=0.8, alpha=0.8)
    _left.plot([], [], color=ORANGE, linewidth=0.8, label="six adaptive policies")
    _left.set(xlabel="t, weight of objective 1", ylabel="value", title="Policies are lines, the optimum is convex")
    _left.set_ylim(min(optimum) - 0.15 * np.ptp(optimum) - 0.02, max(optimum) + 0.02)
    _left.legend(frameon=False)
    _right.plot(_t, loss_grid, color=BLUE, linestyle="--", label=f"cover, {len(grid)} policies")
    _right.plot(_t, loss_adaptive, color=ORANGE, label=f"adaptive, {len(adaptive)} policies")
    _right.axhline(grid.certificate.additive_gap, color=BLUE, linestyle=":", linewidth=1)
    _right.axhline(adaptive.certificate.additive_gap, color=ORANGE, linestyle=":", linewidth=1)
    _right.set(
        xlabel="t, weight of objective 1", ylabel="$J^*-L$", title="What each user loses; dotted: certified worst"
    )
    _right.set_ylim(bottom=0)
    _right.legend(frameon=False)
    figure
    return loss_adaptive, loss_grid, optimum


@app.cell
def _(BLACK, BLUE, GREEN, alpha, bandit, beta, bounds, design, mu, np, plt, sharper):
    _mus = np.geomspace(0.02, 1, 40)
    _size = {"reward_max": bandit.reward_max, "regularizer_max": bandit.regularizer_max, "has_reference": True}
    _swept = [bounds.theorem1_prime(2, float(m), alpha.value, **_size) for m in _mus]
    _deltas = np.geomspace(1e-4, 1, 40)
    _lattices = [
        design.cheapest_theorem2_prime(2, delta=float(x), beta=beta.value, reward_max=bandit.reward_max)
        for x in _deltas
    ]
    sweep, _ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
    _ax.plot(
        [b.size for b in _swept],
        [b.epsilon * bandit.reward_max + b.delta for b in _swept],
        color=BLUE,
        linestyle="--",
        label=f"Theorem 1′, α = {alpha.value:g}, μ from 1 to 0.02",
    )
    _ax.plot(
        [b.size for b in _lattices],
        [b.delta for b in _lattices],
        color=GREEN,
        linestyle="-.",
        label=f"Theorem 2′, β = {beta.value:g}",
    )
    _ax.plot(
        [sharper.size],
        [sharper.epsilon * bandit.reward_max + sharper.delta],
        "o",
        color=BLACK,
        label=f"here: μ = {mu.value:g}",
    )
    _ax.set(
        xscale="log",
        yscale="log",
        xlabel="policies",
        ylabel="promised worst loss, ε·R_max + δ",
        title="What one more policy buys, promised",
    )
    _ax.grid(visible=True, alpha=0.3)
    _ax.legend(frameon=False)
    sweep
    return (sweep,)


@app.cell
def _(mo):
    mo.md(
        r"""
        **Try.**

        - Make $\mu$ small with $\alpha$ fixed: the promise stops improving, because $\alpha$ is then what limits it. And the other way round.
        - Make $\beta$ large: lines and optimum become one, a single policy serves all. Make it small: $J^*$ gets kinks, Theorem 2′'s promise gets no better than the distance lemma's, the audit does not care.
        - The truth is far below Theorem 1′ in all settings. Why? (Exercise 6 of the chapter on Theorem 1; Theorem 1″ knows a part of the answer.)
        """
    )
    return


if __name__ == "__main__":
    app.run()
