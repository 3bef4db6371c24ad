"""Covering the simplex, step by step: the hybrid cover of Theorem 1 and its rounding rule.

Open with ``marimo run notebooks/covering.py`` (or ``marimo edit``); runs as a plain script too.
"""

import marimo

app = marimo.App(width="medium", app_title="Covering the simplex, step by step")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    from drawing import BLACK, BLUE, GREEN, ORANGE, plane, triangle

    from backends.bandit import BanditBackend
    from palm_theory import bounds
    from palm_theory.covers import hybrid_cover
    from palm_theory.geometry.hybrid import HybridGrid

    return BLACK, BLUE, BanditBackend, GREEN, HybridGrid, ORANGE, bounds, hybrid_cover, mo, np, plane, plt, triangle


@app.cell
def _(mo):
    mo.md(
        r"""
        # Covering the simplex, step by step

        A user is a weight vector $w$ on the simplex. We cannot train a policy for each. So we pick finitely many weights, solve those, and serve every user with the policy of a
        weight nearby. Theorem 1 picks them on a **geometric** grid: the values of one coordinate are $0$ and $\alpha(1+\mu)^k$, up to 1.
        """
    )
    return


@app.cell
def _(mo):
    mu = mo.ui.slider(0.1, 1.0, 0.05, value=0.5, label="μ, ratio between neighbours less one", show_value=True)
    alpha = mo.ui.slider(0.02, 0.4, 0.01, value=0.1, label="α, smallest value above 0", show_value=True)
    mo.vstack([mo.md("## 1. One coordinate"), mu, alpha])
    return alpha, mu


@app.cell
def _(BLACK, BLUE, HybridGrid, alpha, mo, mu, plt):
    grid = HybridGrid(mu.value, alpha.value)
    values = grid.values()

    _figure, _ax = plt.subplots(figsize=(7, 1.3), layout="constrained")
    _ax.hlines(0, 0, 1, color=BLACK, linewidth=1)
    _ax.plot(values, 0 * values, "o", color=BLUE, markersize=7)
    _ax.plot([1], [0], "x", color=BLACK, markersize=9)
    _ax.set(xlim=(-0.02, 1.02), ylim=(-1, 1), xlabel="value of a coordinate, the largest being 1")
    _ax.yaxis.set_visible(False)
    for _side in ("left", "right", "top"):
        _ax.spines[_side].set_visible(False)
    mo.vstack(
        [
            _figure,
            mo.md(
                f"{grid.levels} values: 0, then {alpha.value:g}, each {1 + mu.value:g} times the one before, the last "
                f"{values[-1]:.3f}. Smaller μ: finer everywhere. Smaller α: reaches closer to 0."
            ),
        ]
    )
    return grid, values


@app.cell
def _(mo):
    faces = mo.ui.slider(0, 3, 1, value=3, label="faces done", show_value=True)
    mo.vstack(
        [
            mo.md(
                r"""
                ## 2. Face by face

                For each objective $i$: set $v_i=1$, let all other coordinates run over the grid, divide by the sum. Move the slider to add one face at a time.
                """
            ),
            faces,
        ]
    )
    return (faces,)


@app.cell
def _(BLUE, GREEN, ORANGE, alpha, bounds, faces, grid, hybrid_cover, mo, mu, np, plane, plt, triangle):
    cover = hybrid_cover(3, mu.value, alpha.value)
    _face = cover.argmax(axis=1)  # of equal coordinates the first: no weight is drawn twice

    _figure, _ax = plt.subplots(figsize=(5.2, 4.8), layout="constrained")
    triangle(_ax)
    for _i, (_color, _marker) in enumerate(zip((BLUE, ORANGE, GREEN), ("o", "s", "^"), strict=True)):
        if _i < faces.value:
            _points = plane(cover[_face == _i])
            _ax.plot(*_points.T, _marker, color=_color, markersize=4, label=f"$v_{_i + 1}=1$")
    if faces.value:
        _ax.legend(frameon=False, loc="upper right")
    shown = int(np.isin(_face, range(faces.value)).sum())
    _levels, _one = grid.levels, grid.top_is_one
    _formula = rf"{_levels}^3-{_levels - 1}^3" if _one else rf"3\cdot{_levels}^2"
    mo.vstack(
        [
            _figure,
            mo.md(
                rf"{shown} of {len(cover)} weights drawn. The count is exact: ${_formula}={grid.size(3)}$, below Theorem 1's closed form "
                f"{bounds.hybrid_size_bound(3, mu.value, alpha.value):.0f}. The points crowd near the edges, where a coordinate is small: what counts is "
                "its ratio to the largest, not its distance."
            ),
        ]
    )
    return (cover,)


@app.cell
def _(mo):
    importance = mo.ui.array(
        [
            mo.ui.slider(0.0, 1.0, 0.01, value=value, label=f"objective {i + 1}", show_value=True)
            for i, value in enumerate((0.6, 0.3, 0.04))
        ]
    )
    mo.vstack(
        [
            mo.md(
                r"""
                ## 3. Which weight serves a user?

                Say how much each objective matters. Scale so that the largest is 1, round every other coordinate **down** to the grid, normalise. A coordinate below $\alpha$ becomes 0.
                """
            ),
            *importance.elements,
        ]
    )
    return (importance,)


@app.cell
def _(BLACK, BLUE, ORANGE, cover, grid, importance, mo, np, plane, plt, triangle):
    _raw = np.array(importance.value)
    user = _raw / _raw.sum() if _raw.sum() > 0 else np.full(3, 1 / 3)
    rounded = grid.round_down(user)
    _scaled, _down = user / user.max(), rounded / rounded.max()

    _figure, _ax = plt.subplots(figsize=(5.2, 4.8), layout="constrained")
    triangle(_ax)
    _ax.plot(*plane(cover).T, ".", color=BLUE, markersize=3)
    _start, _end = plane(np.stack([user, rounded]))
    _ax.annotate("", _end, _start, arrowprops={"arrowstyle": "->", "color": BLACK, "linewidth": 1.5})
    _ax.plot(*_start, "o", color=BLACK, markersize=8, label="user $w$")
    _ax.plot(*_end, "s", color=ORANGE, markersize=8, label=r"cover's weight $\tilde w$")
    _ax.legend(frameon=False, loc="upper right")

    def _row(name, vector):
        return f"| {name} | " + " | ".join(f"{value:.3f}" for value in vector) + " |"

    _table = "\n".join(
        [
            "| | objective 1 | objective 2 | objective 3 |",
            "|---|---|---|---|",
            _row("$w$", user),
            _row(r"$v=w/\max w$", _scaled),
            _row(r"$\tilde v$, rounded down", _down),
            _row(r"$\tilde w=\tilde v/\sum\tilde v$", rounded),
        ]
    )
    mo.vstack([_figure, mo.md(_table)])
    return rounded, user


@app.cell
def _(BanditBackend, alpha, bounds, mo, mu, np, rounded, user):
    bandit = BanditBackend(np.random.default_rng(0).random((5, 20, 3)), beta=0.05)
    served = bandit.optimize(rounded).value.scalarize(user)
    optimum = bandit.optimal_value(user)
    promise = bounds.theorem1_prime(
        3,
        mu.value,
        alpha.value,
        reward_max=bandit.reward_max,
        regularizer_max=bandit.regularizer_max,
        has_reference=True,
    )
    promised = (1 - promise.epsilon) * optimum - promise.delta
    mo.md(
        rf"""
        ## 4. What does this user lose?

        On a small KL-regularised bandit (5 prompts, 20 answers, $\beta=0.05$):

        | | value for this user |
        |---|---|
        | the optimum $J^*_w$, a policy of their own | {optimum:.4f} |
        | the policy trained for $\tilde w$ | {served:.4f} |
        | promised by Theorem 1′ at least | {promised:.4f} |

        The loss is {100 * (1 - served / optimum):.2f}%. The promise must hold for *every* problem, so it is far below what this one shows. Measuring the truth for all users at once is Theorem 3: see *adaptive.py*.
        """
    )
    return optimum, promised, served


if __name__ == "__main__":
    app.run()
