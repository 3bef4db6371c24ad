"""Break the guarantee: an oracle that is worse than it says, a wrong reward scale, a sampled gap.

Open with ``marimo run notebooks/broken.py`` (or ``marimo edit``); runs as a plain script too.
"""

import marimo

app = marimo.App(width="medium", app_title="Break the guarantee")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    from drawing import BLACK, BLUE, ORANGE

    from backends.bandit import BanditBackend
    from palm_theory import OracleError, Solution, UniformGrid, audit, bounds, build_portfolio

    rewards = np.random.default_rng(0).random((5, 20, 2))
    exact = BanditBackend(rewards, beta=0.02)
    return (
        BLACK, BLUE, BanditBackend, ORANGE, OracleError, Solution, UniformGrid, audit, bounds, build_portfolio, exact, mo, np,
        plt, rewards,
    )  # fmt: skip


@app.cell
def _(mo):
    mo.md(
        r"""
        # Break the guarantee

        A certificate is a theorem with hypotheses. Here each hypothesis is violated in turn. What does the certificate say then, and what is true?

        ## 1. The oracle is worse than it says

        Training stops early: instead of the optimum $\pi^*_w$ we get the mixture $(1-s)\,\pi^*_w+s\,\pi_{\mathrm{ref}}$. As $J_w$ is concave in the policy and $J_w(\pi_{\mathrm{ref}})\ge0$, its value is at least
        $(1-s)J^*_w$: an oracle with error $(\varepsilon_0,\delta_0)=(s,0)$. The **liar** declares $(0,0)$. The **honest** one declares $(s,0)$.
        """
    )
    return


@app.cell
def _(mo):
    stop = mo.ui.slider(0.0, 0.5, 0.02, value=0.2, label="s, how early training stops", show_value=True)
    stop
    return (stop,)


@app.cell
def _(BanditBackend, OracleError, Solution, UniformGrid, audit, build_portfolio, exact, np, rewards, stop):
    class Early(BanditBackend):
        """A bandit whose solver stops early, and which declares ``claimed`` as its error. It knows no J* otherwise."""

        claimed = 0.0
        powers = frozenset()

        @property
        def oracle_error(self):
            return OracleError(self.claimed, 0.0)

        def optimize(self, weights):
            best = super().optimize(weights).policy
            policy = (1 - stop.value) * best + stop.value * np.full_like(best, 1 / best.shape[1])
            return Solution(policy, self.evaluate(policy))

    def _built(claimed):
        backend = Early(rewards, beta=0.02)
        backend.claimed = claimed
        return build_portfolio(backend, UniformGrid(4), progress=False)

    liar, honest = _built(0.0), _built(stop.value)
    truth = audit([member.value for member in liar], exact)
    return honest, liar, truth


@app.cell
def _(BLACK, BLUE, ORANGE, exact, honest, liar, mo, np, plt, truth):
    _t = np.linspace(0, 1, 201)
    _weights = np.column_stack([_t, 1 - _t])
    _optimum = np.array([exact.optimal_value(row) for row in _weights])
    _figure, _ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    _ax.plot(_t, 100 * (1 - liar.best_value(_weights) / _optimum), color=BLACK, label="what each user really loses")
    _ax.axhline(100 * liar.certificate.epsilon, color=ORANGE, linestyle="--", label="claimed, oracle says it is exact")
    _ax.axhline(100 * honest.certificate.epsilon, color=BLUE, linestyle="-.", label="claimed, oracle says (s, 0)")
    _ax.set(xlabel="t, weight of objective 1", ylabel="share lost, %", ylim=(0, None))
    _ax.legend(frameon=False)
    mo.vstack(
        [
            _figure,
            mo.md(
                f"""
                | | kind | ε |
                |---|---|---|
                | liar's certificate | {liar.certificate.kind.value} | {liar.certificate.epsilon:.4f} |
                | honest certificate | {honest.certificate.kind.value} | {honest.certificate.epsilon:.4f} |
                | truth | {truth.kind.value} | {truth.epsilon:.4f} |

                The policies are the same. The liar's claim is **false** as soon as the black curve passes above the orange line; the honest one is true, and wide, because it must allow for the worst that
                $(s,0)$ permits. An oracle with no known error, such as deep reinforcement learning, gets no certificate against all policies at all: only against a reference set.
                """
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(
        r"""
        ## 2. The wrong reward scale

        Theorem 2 promises $\delta=R_{\max}^2\rho^2/(8\beta)$. It needs $R_{\max}$ of the *outcomes*. Suppose somebody assumes $R_{\max}=1$, but a reward model's scores go up to $c$.
        """
    )
    return


@app.cell
def _(mo):
    scale = mo.ui.slider(1.0, 10.0, 0.5, value=4.0, label="c, the true largest reward", show_value=True)
    scale
    return (scale,)


@app.cell
def _(BanditBackend, UniformGrid, audit, bounds, build_portfolio, mo, rewards, scale):
    _scaled = BanditBackend(rewards * scale.value, beta=0.5, reward_max=scale.value)
    _portfolio = build_portfolio(_scaled, UniformGrid(3), progress=False)
    wrong = bounds.theorem2(2, 3, beta=0.5, reward_max=1.0).delta
    right = bounds.theorem2(2, 3, beta=0.5, reward_max=scale.value).delta
    measured = audit(_portfolio, _scaled, epsilon=0.0).delta
    mo.md(
        f"""
        Four weights, β = 0.5:

        | | δ |
        |---|---|
        | promised, with R_max = 1 assumed | {wrong:.4f} |
        | promised, with the true R_max = {scale.value:g} | {right:.4f} |
        | measured exactly | {measured:.4f} |

        {"The assumed promise is **broken**." if measured > wrong else "The assumed promise still holds, by luck: this problem is far from the worst case. Turn c up."} The audit does not care: it never uses R_max where J* is exact.
        A backend checks what it can: rewards above the declared `reward_max` are refused.
        """
    )
    return measured, right, wrong


@app.cell
def _(mo):
    unit = mo.ui.slider(
        steps=[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0], value=1.0, label="unit of objective 2", show_value=True
    )
    mo.vstack(
        [
            mo.md(
                """
                ## 3. The unit of one objective

                Nothing is false here, and yet the answer changes: measure objective 2 in another unit (metres instead of kilometres) and "equal weights" are other users.
                """
            ),
            unit,
        ]
    )
    return (unit,)


@app.cell
def _(BanditBackend, UniformGrid, build_portfolio, mo, np, rewards, unit):
    _changed = BanditBackend(rewards * np.array([1.0, unit.value]), beta=0.0)
    _portfolio = build_portfolio(_changed, UniformGrid(8), progress=False)
    equal = _portfolio.select([0.5, 0.5])
    _raw = equal.value.rewards / np.array([1.0, unit.value])
    mo.md(
        f"The user with equal weights gets the policy that earns {_raw[0]:.3f} of objective 1 and {_raw[1]:.3f} of objective 2, in the first unit. "
        "Fix the units before you ask for weights, and store them with the result."
    )
    return (equal,)


@app.cell
def _(mo):
    mo.md(
        """
        ## 4. A sampled gap

        Look at the portfolio at random users instead of corners, as many papers do. The worst loss *seen* is below the true one, and nothing in the sample says by how much.
        """
    )
    return


@app.cell
def _(mo):
    users = mo.ui.slider(
        steps=[10, 30, 100, 300, 1000, 3000], value=30, label="random users looked at", show_value=True
    )
    users
    return (users,)


@app.cell
def _(BanditBackend, UniformGrid, audit, build_portfolio, mo, np, users):
    _lines = ["| objectives | seen at random users | exact |", "|---|---|---|"]
    seen, known = [], []
    for _d in (2, 3, 4, 5):
        _bandit = BanditBackend(np.random.default_rng(_d).random((5, 20, _d)), beta=0.0)
        _portfolio = build_portfolio(_bandit, UniformGrid(1), progress=False)
        seen.append(audit(_portfolio, _bandit, kind="sampled", samples=users.value).epsilon)
        known.append(_portfolio.certificate.epsilon)
        _lines.append(f"| {_d} | {seen[-1]:.4f} | {known[-1]:.4f} |")
    mo.md("\n".join(_lines) + "\n\nA certificate of kind `sampled` says so, and proves nothing.")
    return known, seen


if __name__ == "__main__":
    app.run()
