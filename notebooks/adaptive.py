"""The adaptive construction as an animation, one corner at a time (Theorem 3).

Open with ``marimo run notebooks/adaptive.py`` (or ``marimo edit``); runs as a plain script too.
"""

import marimo

app = marimo.App(width="medium", app_title="One corner at a time")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    from drawing import BLACK, BLUE, GREEN, ORANGE, plane, regions

    from backends.bandit import BanditBackend
    from palm_theory.geometry.corners import CornerScan, MultiplicativeGap, Target
    from palm_theory.geometry.sandwich import SolvedWeights

    return (
        BLACK, BLUE, BanditBackend, CornerScan, GREEN, MultiplicativeGap, ORANGE, SolvedWeights, Target, mo, np, plane, plt,
        regions,
    )  # fmt: skip


@app.cell
def _(mo):
    mo.md(
        r"""
        # One corner at a time

        Every policy is a linear function of the weights. The best of those we have is $L$; the best of all is $J^*$, which is convex. Between them there is a **sandwich**
        $L\le J^*\le U$: $U$ joins the optima that have been solved.

        On each cell of $L$ the gap is convex, so it is largest at a **corner**. The construction solves the worst corner, adds its policy and looks again. When the worst corner is good enough, so is every user.
        """
    )
    return


@app.cell
def _(CornerScan, MultiplicativeGap, SolvedWeights, Target, np):
    def construct(backend, epsilon):
        """The adaptive construction, written out: one frame a step, with what is known before the step."""
        d = len(backend.objectives)
        solved, policies, frames = SolvedWeights(d), [], []
        queue = list(np.eye(d))
        while True:
            for weights in queue:
                value = backend.optimize(weights).value
                solved.add(weights, value.scalarize(weights), value.scalarize(weights))
                policies.append(value.vertex_values)
            scan = CornerScan(np.array(policies), solved)
            worst = scan.worst(MultiplicativeGap())
            frames.append(
                {
                    "policies": np.array(policies),
                    "solved": np.array(solved.weights),
                    "optima": np.array(solved.reached),
                    "corners": scan.weights,
                    "worst": worst.weights,
                    "lower": worst.lower,
                    "upper": worst.upper,
                    "gap": worst.gap,
                }
            )
            if scan.holds(worst, Target(epsilon)):
                return frames
            queue = [worst.weights]

    return (construct,)


@app.cell
def _(BanditBackend, construct, np):
    two = BanditBackend(np.random.default_rng(0).random((5, 20, 2)), beta=0.02)
    three = BanditBackend(np.random.default_rng(0).random((5, 20, 3)), beta=0.05)
    frames_two = construct(two, 0.002)
    frames_three = construct(three, 0.02)
    return frames_three, frames_two, three, two


@app.cell
def _(mo):
    get_step, set_step = mo.state(0)
    clock = mo.ui.refresh(options=["1s", "2s", "4s"], label="play: one corner every")
    return clock, get_step, set_step


@app.cell
def _(clock, frames_three, set_step):
    # Every tick of the clock moves on by one corner, and starts again at the end.
    if clock.value:
        set_step(lambda step: (step + 1) % len(frames_three))
    return


@app.cell
def _(clock, frames_three, get_step, mo, set_step):
    slider = mo.ui.slider(
        0,
        len(frames_three) - 1,
        1,
        value=get_step(),
        on_change=set_step,
        label="corners solved",
        show_value=True,
        full_width=True,
    )
    mo.vstack([slider, clock])
    return


@app.cell
def _(BLACK, BLUE, GREEN, ORANGE, frames_two, get_step, mo, np, plt, two):
    def draw_two(step):
        """Two objectives at one step: L, J*, U, the corners and the one solved next."""
        frame = frames_two[min(step, len(frames_two) - 1)]
        t = np.linspace(0, 1, 401)
        weights = np.column_stack([t, 1 - t])
        figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
        optimum = np.array([two.optimal_value(row) for row in weights])
        lower = (weights @ frame["policies"].T).max(axis=1)
        order = frame["solved"][:, 0].argsort()
        ax.plot(
            frame["solved"][order, 0], frame["optima"][order], color=GREEN, linestyle=":", label="$U$, an upper bound"
        )
        ax.plot(t, optimum, color=BLACK, linestyle="--", linewidth=1, label="$J^*$, not known to the method")
        ax.plot(t, lower, color=BLUE, linewidth=2, label="$L$, the portfolio")
        corners = frame["corners"]
        ax.plot(
            corners[:, 0], (corners @ frame["policies"].T).max(axis=1), "o", color=BLUE, markersize=5, label="corners"
        )
        ax.plot(frame["solved"][:, 0], frame["optima"], "|", color=BLACK, markersize=12, label="solved")
        ax.vlines(frame["worst"][0], frame["lower"], frame["upper"], color=ORANGE, linewidth=3, label="worst corner")
        ax.set(xlabel="t, weight of objective 1", ylabel="value", ylim=(optimum.min() - 0.12, optimum.max() + 0.02))
        ax.legend(frameon=False, ncols=3, loc="lower center", fontsize=8)
        ax.set_title(
            f"{len(frame['policies'])} policies; no user can lose more than {100 * frame['gap']:.2f}%", fontsize=10
        )
        return figure

    mo.vstack([mo.md("## Two objectives"), draw_two(get_step())])
    return (draw_two,)


@app.cell
def _(BLACK, ORANGE, frames_three, get_step, mo, plane, plt, regions):
    def draw_three(step):
        """Three objectives at one step: who is served by which policy, the corners and the one solved next."""
        frame = frames_three[min(step, len(frames_three) - 1)]
        figure, ax = plt.subplots(figsize=(5.6, 5), layout="constrained")
        regions(ax, frame["policies"])
        ax.plot(*plane(frame["corners"]).T, "o", color=BLACK, markersize=4, label="corners")
        ax.plot(
            *plane(frame["worst"]).T,
            "*",
            color=ORANGE,
            markeredgecolor=BLACK,
            markersize=16,
            label="worst corner, next",
        )
        ax.legend(frameon=False, loc="upper right")
        ax.set_title(
            f"{len(frame['policies'])} policies; no user can lose more than {100 * frame['gap']:.1f}%", fontsize=10
        )
        return figure

    mo.vstack([mo.md("## Three objectives: the regions are who is served by which policy"), draw_three(get_step())])
    return (draw_three,)


@app.cell
def _(frames_three, frames_two, mo):
    mo.md(
        f"""
        Two objectives end after {len(frames_two) - 1} corners at 0.2%, three after {len(frames_three) - 1} at 2%. Watch the certified number: it can stay for some steps, while other corners are worse than the
        one just solved, but it never rises. `Adaptive` is this loop with a few more cares: policies that no longer help are dropped, ties and rounding are handled, solves can run in parallel and be resumed.
        """
    )
    return


if __name__ == "__main__":
    app.run()
