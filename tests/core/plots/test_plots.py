"""What figures say: exact cells, marked weights, shares, promises; and that they look as they did.

Images are compared with the folder baseline at 3.3 inches (``--mpl-generate-path=tests/core/plots/baseline`` draws
new ones).
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mpltern  # noqa: F401
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from backends.table import TableBackend
from palm_theory import Adaptive, Portfolio, UniformGrid, build_portfolio, design, metrics, plots
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.errors import InputError
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import sample_dirichlet
from palm_theory.plots.cells import cells, tint_numbers
from palm_theory.plots.fronts import staircase
from palm_theory.plots.growth import growth
from palm_theory.plots.labels import extent, room_in_polygon, spread
from palm_theory.plots.style import STYLES, TINTS, fitted
from palm_theory.plots.triangle import flat
from palm_theory.plots.users import shares
from tests.helpers.instances import declaring, optima, random_bandit, random_front, seeds

OBJECTIVES = ("quality", "safety", "brevity", "cost", "latency", "honesty")


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def axes(width: float = 3.3, height: float = 3.0, projection: str | None = None):
    return plt.figure(figsize=(width, height), layout="constrained").add_subplot(projection=projection)


@cache
def bandit(d: int):
    return random_bandit(1, d=d, beta=0.1, contexts=4, actions=12)


@cache
def built(d: int, epsilon: float = 0.01, **options) -> Portfolio:
    return build_portfolio(bandit(d), Adaptive(epsilon, **options), progress=False)


@cache
def table(d: int, n: int, name: str = "model-{}") -> TableBackend:
    """``n`` policies on a sphere: each is best for some weights."""
    rewards = np.abs(np.random.default_rng(d).normal(size=(n, d)))
    frame = pd.DataFrame(rewards / np.linalg.norm(rewards, axis=1, keepdims=True), columns=list(OBJECTIVES[:d]))
    frame["model"] = [name.format(k) for k in range(n)]
    return TableBackend(frame, name="model")


@cache
def of_table(d: int, n: int, name: str = "model-{}", epsilon: float = 0.0, **options) -> Portfolio:
    return build_portfolio(table(d, n, name), Adaptive(epsilon, **options), progress=False)


def marked(ax, gid: str) -> np.ndarray:
    """Data coordinates (n, 2) of the artist with this gid."""
    found = ax.findobj(lambda artist: artist.get_gid() == gid)
    assert len(found) == 1, f"{len(found)} artists are {gid!r}"
    artist = found[0]
    return np.asarray(artist.get_offsets() if hasattr(artist, "get_offsets") else artist.get_xydata())


def said(ax) -> str:
    """The note above the axes, in one line."""
    return " ".join(ax.get_title().split())


# --- images -----------------------------------------------------------------------------------------------------


def looks():
    """The figure is compared at 3.3 inches; the tolerance covers other builds of FreeType."""
    return pytest.mark.mpl_image_compare(
        baseline_dir="baseline", style="default", tolerance=12, savefig_kwargs={"dpi": 72}, deterministic=True
    )


@looks()
def test_image_regions_of_three():
    return plots.policy_regions(built(3), ax=axes(height=3.6, projection="ternary")).figure


@looks()
def test_image_regions_with_names():
    portfolio = of_table(3, 9, "meta-llama/Llama-3.1-8B-Instruct-step-{}00", max_policies=7)
    return plots.policy_regions(portfolio, ax=axes(height=4.4, projection="ternary")).figure


@looks()
def test_image_regions_of_two():
    return plots.policy_regions(of_table(2, 12), ax=axes(height=2.3)).figure


@looks()
def test_image_values():
    return plots.value_functions(built(2), bandit(2), ax=axes(height=3.4)).figure


@looks()
def test_image_values_without_backend():
    return plots.value_functions(built(2, 0.05), ax=axes(height=3.2)).figure


@looks()
def test_image_regret_of_two():
    return plots.regret_map(built(2), bandit(2), ax=axes(height=2.6)).figure


@looks()
def test_image_regret_of_three():
    return plots.regret_map(built(3), bandit(3), resolution=12, ax=axes(height=3.2, projection="ternary")).figure


@looks()
def test_image_regret_of_six():
    backend = table(6, 30)
    portfolio = build_portfolio(backend, Adaptive(0.0, max_policies=10), progress=False)
    return plots.regret_map(portfolio, backend, samples=300, ax=axes(height=2.6)).figure


@looks()
def test_image_projection():
    return plots.projected_users(of_table(5, 20, max_policies=12), samples=300, ax=axes(height=4.2)).figure


@looks()
def test_image_front_of_two():
    backend = table(2, 25)
    portfolio = build_portfolio(backend, Adaptive(0.01), progress=False)
    return plots.pareto_front(portfolio, backend, ax=axes()).figure


@looks()
def test_image_front_of_four():
    backend = table(4, 25)
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    return plots.pareto_front(portfolio, backend, ax=axes(height=3.4)).figure


@looks()
def test_image_users():
    return plots.users_served(of_table(3, 40), ax=axes(height=2.6)).figure


@looks()
def test_image_profiles():
    return plots.policy_profiles(built(3), ax=axes(height=2.6)).figure


@looks()
def test_image_growth():
    return plots.growth_curve(built(3), bandit(3), ax=axes(height=2.6)).figure


@looks()
def test_image_promises():
    return plots.promised_loss(built(2), bandit(2), beta=0.1, ax=axes(height=2.8)).figure


@looks()
def test_image_cover_sizes():
    return plots.cover_sizes((2, 3, 4), against="delta", beta=0.1, ax=axes(height=2.8)).figure


@looks()
def test_image_size_against_epsilon():
    curves = [
        plots.Curve("Theorem 1′", (12, 50, 200), (0.9, 0.5, 0.2)),
        plots.Curve("adaptive", (3, 9, 30), (0.2, 0.05, 0.01)),
    ]
    return plots.size_against_epsilon(curves, title="Two strategies.", ax=axes(height=2.6)).figure


# --- content ----------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seeds, st.integers(2, 3), st.integers(1, 12))
def test_cells_tile_the_simplex_and_belong_to_their_policies(seed, d, n):
    values = random_front(seed, d=d, n=n)
    found = cells(values)
    assert sum(cell.share for cell in found) == pytest.approx(1, abs=1e-9)
    for cell in found:
        inside = cell.corners.mean(axis=0, keepdims=True)
        best = lower_envelope(values, inside)
        assert values[cell.policy] @ inside[0] == pytest.approx(best.best[0], abs=1e-12)
        np.testing.assert_allclose(cell.corners.sum(axis=1), 1, atol=1e-9)


@settings(max_examples=8)
@given(seeds, st.integers(2, 3))
def test_shares_are_those_of_users(seed, d):
    backend = TableBackend(random_front(seed, d=d, n=8), normalization="none")
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    exact, source = shares(portfolio)
    assert "exact" in source
    users = sample_dirichlet(d, 4000, seed=1)
    given_users, _ = shares(portfolio, users)
    np.testing.assert_allclose(exact, given_users, atol=5 * np.sqrt(0.25 / 4000))


def test_shares_of_many_objectives_are_the_metric_s():
    portfolio = of_table(5, 12)
    np.testing.assert_array_equal(shares(portfolio, seed=3)[0], metrics.usage(portfolio, seed=3))
    ax = plots.users_served(portfolio, seed=3, ax=axes())
    lengths = sorted(bar.get_width() / 100 for bar in ax.patches)
    np.testing.assert_allclose(lengths, np.sort(metrics.usage(portfolio, seed=3)), atol=1e-12)


def test_small_bars_are_added_up():
    portfolio = of_table(3, 60)
    ax = plots.users_served(portfolio, ax=axes(height=2.0))
    lengths = [bar.get_width() for bar in ax.patches]
    assert len(lengths) < len(portfolio)
    assert sum(lengths) == pytest.approx(100)
    assert ax.get_yticklabels()[-1].get_text() == f"{len(portfolio) - len(lengths) + 1} others"


@pytest.mark.parametrize("d", [2, 3])
def test_the_star_is_the_certificate_s_worst_weight_and_dots_are_the_corner_weights(d):
    portfolio = built(d)
    ax = plots.policy_regions(portfolio, ax=axes(projection="ternary" if d == 3 else None))
    worst = portfolio.certificate.worst_weight
    place = flat(worst[None, :])[0] if d == 3 else [worst[1], 0]
    np.testing.assert_allclose(marked(ax, "worst")[0], place, atol=1e-12)
    corners = portfolio.corner_weights()
    expected = flat(corners) if d == 3 else np.column_stack([corners[:, 1], np.zeros(len(corners))])
    drawn = marked(ax, "corners")
    assert len(drawn) == len(expected)
    for point in expected:
        assert np.hypot(*(drawn - point).T).min() < 1e-8


def test_a_portfolio_without_gap_has_no_worst_weight_to_mark():
    ax = plots.policy_regions(of_table(3, 6), ax=axes(projection="ternary"))
    assert not ax.findobj(lambda artist: artist.get_gid() == "worst")
    assert "optimal at every weight" in said(ax)


def test_a_sampled_worst_weight_is_not_called_a_bound():
    portfolio = built(3)
    certificate = replace(portfolio.certificate, kind=Kind.SAMPLED, confidence=0.0)
    ax = plots.policy_regions(portfolio.with_certificate(certificate), ax=axes(projection="ternary"))
    labels = [text.get_text() for legend in ax.findobj(matplotlib.legend.Legend) for text in legend.get_texts()]
    assert any("no bound" in label for label in labels)


def test_a_certificate_against_a_reference_set_says_nothing_of_the_optimum():
    portfolio = built(2)
    certificate = replace(
        portfolio.certificate, epsilon=0.3, reference="the 4 policies solved, the base model", covers_all=False
    )
    portfolio = portfolio.with_certificate(certificate)
    assert not plots.value_functions(portfolio, ax=axes()).collections
    ax = plots.growth_curve(portfolio, ax=axes())
    assert "nothing is certified" in said(ax)
    own = growth(built(2).with_certificate(replace(certificate, epsilon=0.0)))[1]
    assert np.array_equal(growth(portfolio)[1], own)
    assert not [line for line in plots.promised_loss(portfolio, has_reference=True, ax=axes()).lines if star(line)]


def test_figures_that_need_the_backend_say_what_a_certificate_over_a_reference_set_is_over():
    for d in (2, 4):
        backend = random_bandit(0, d=d, beta=0.0, contexts=4, actions=12)
        portfolio = build_portfolio(backend, UniformGrid(1), progress=False).prune()
        assert portfolio.certificate.epsilon == 0
        ax = plots.regret_map(portfolio, backend, samples=100, ax=axes())
        assert portfolio.certificate.reference in said(ax)
        assert "optimal" not in said(ax)
        assert not [line for line in ax.lines if "certified" in str(line.get_label())]
    wider = replace(
        built(3).certificate, epsilon=0.3, reference="the 4 policies solved, the base model", covers_all=False
    )
    ax = plots.policy_regions(built(3).with_certificate(wider), ax=axes(projection="ternary"))
    assert "over the 4 policies solved, the base model only" in said(ax)
    labels = [text.get_text() for legend in ax.findobj(matplotlib.legend.Legend) for text in legend.get_texts()]
    assert any("within a reference set: ε = 0.3" in label for label in labels)


def star(line: matplotlib.lines.Line2D) -> bool:
    return line.get_marker() == "*"


def test_without_certificate_nothing_is_marked_or_claimed():
    unknown = Certificate(np.inf, 0.0, None, Kind.UNKNOWN, confidence=0.0)
    portfolio = built(2).with_certificate(unknown)
    ax = plots.policy_regions(portfolio, ax=axes())
    assert "Nothing is certified" in said(ax)
    ax = plots.value_functions(portfolio, ax=axes())
    assert not ax.collections
    ax = plots.growth_curve(portfolio, ax=axes())
    assert "nothing is certified" in said(ax)
    plots.promised_loss(portfolio, has_reference=True, ax=axes())


def test_sections_are_exact_and_say_what_they_leave_out():
    portfolio = of_table(4, 12)
    names = list(portfolio.objectives)
    ax = plots.policy_regions(portfolio, objectives=names[:3], fixed={names[3]: 0.25}, ax=axes(projection="ternary"))
    assert f"{names[3]} = 0.25" in said(ax)
    for cell in ax.patches:
        if str(cell.get_gid()).startswith("cell"):
            x, y = cell.get_xy()[:-1].mean(axis=0)
            inner = np.array([y, (1 - y - x * np.sqrt(3)) / 2, (1 - y + x * np.sqrt(3)) / 2])
            served = portfolio.select([*(0.75 * inner), 0.25])
            assert cell.get_gid() == f"cell {served.index}"


def test_values_are_in_order_and_l_is_exact():
    portfolio, backend = built(2), bandit(2)
    ax = plots.value_functions(portfolio, backend, ax=axes())
    second, optimum = marked(ax, "J*").T
    _, upper = marked(ax, "U").T
    rows = np.column_stack([1 - second, second])
    lower = portfolio.best_value(rows)
    np.testing.assert_allclose(optimum, optima(backend, rows))
    assert (optimum <= upper + 1e-12).all()
    assert (lower <= optimum + 1e-12).all()
    corners, drawn = marked(ax, "L").T
    np.testing.assert_allclose(drawn, portfolio.best_value(np.column_stack([1 - corners, corners])))


def test_the_certified_band_holds_the_optimum():
    portfolio, backend = built(2, 0.05), bandit(2)
    band = plots.value_functions(portfolio, ax=axes()).collections[0].get_paths()[0]
    grid = np.linspace(0.01, 0.99, 40)
    optimum = optima(backend, np.column_stack([1 - grid, grid]))
    assert band.contains_points(np.column_stack([grid, optimum])).all()


@pytest.mark.parametrize("d", [2, 3])
def test_the_largest_regret_drawn_is_the_certificate_s(d):
    portfolio, backend = built(d), bandit(d)
    if d == 2:
        ax = plots.regret_map(portfolio, backend, ax=axes())
        assert marked(ax, "regret")[:, 1].max() == pytest.approx(portfolio.certificate.epsilon, rel=1e-6)
    else:
        ax = plots.regret_map(portfolio, backend, resolution=6, ax=axes(projection="ternary"))
        bar = ax.figure.axes[1]
        assert bar.get_ylim()[1] == pytest.approx(portfolio.certificate.epsilon, rel=1e-6)


def test_growth_ends_at_the_certificate_and_never_rises():
    portfolio, backend = built(3), bandit(3)
    order, gaps = growth(portfolio, backend)
    assert sorted(order) == list(range(len(portfolio)))
    assert gaps[-1] == pytest.approx(portfolio.certificate.epsilon)
    assert (np.diff(gaps) <= 1e-12).all()
    _, certified = growth(portfolio)
    assert (certified >= gaps - 1e-12).all()


def test_promises_are_the_best_of_their_theorem_and_above_the_truth():
    portfolio, backend = built(2), bandit(2)
    ax = plots.promised_loss(portfolio, backend, beta=0.1, ax=axes())
    for gid in ("Theorem 1", "Theorem 1'", "Theorem 1''", "Theorem 2", "Theorem 2'"):
        sizes, losses = marked(ax, gid).T
        assert (np.diff(losses) <= 1e-6).all()
        assert (sizes >= 1).all()
    sizes, losses = marked(ax, "Theorem 1").T
    unit = backend.reward_max
    bound = design.best_theorem1(2, 4, reward_max=unit, regularizer_max=backend.regularizer_max)
    assert losses[0] == pytest.approx(bound.epsilon + bound.delta / unit)
    size, loss = marked(ax, "truth")[0]
    assert (size, loss) == (len(portfolio), pytest.approx(portfolio.certificate.additive_gap / unit))


@given(seeds, st.integers(1, 30))
def test_a_staircase_is_the_pareto_front(seed, n):
    points = random_front(seed, d=2, n=n)
    steps = staircase(points)
    for point in points:
        dominated = ((points >= point).all(axis=1) & (points > point).any(axis=1)).any()
        assert dominated != bool((steps == point).all(axis=1).any())


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.floats(0.5, 6))
def test_spread_labels_do_not_meet(positions, gap):
    places = spread(np.array(positions), gap, 0.0, 100.0)
    order = np.argsort(positions, kind="stable")
    least = min(gap, 100 / max(len(positions) - 1, 1))
    assert (np.diff(places[order]) >= least - 1e-9).all()
    assert places.min() >= -1e-9
    assert places.max() <= 100 + 1e-9


def test_labels_fit_their_polygon():
    square = np.array([[0, 0], [10, 0], [10, 4], [0, 4]], dtype=float)
    centre, room = room_in_polygon(square, 5, 2)
    assert room == pytest.approx(2)
    assert room_in_polygon(square[:2], 5, 2)[1] == 0
    assert centre[1] == pytest.approx(2)
    assert extent(fitted("x" * 80, 50, 7), 7)[0] <= 50
    assert "\\$" in fitted("a$b$", 200, 7)


def test_neighbouring_cells_differ_in_tint():
    found = cells(of_table(3, 40).vertex_values)
    tints = tint_numbers(found, len(TINTS))
    keys = [{tuple(np.round(corner, 9)) for corner in cell.corners} for cell in found]
    clashes = sum(len(keys[i] & keys[j]) >= 2 and tints[i] == tints[j] for i in range(len(found)) for j in range(i))
    assert clashes == 0


def test_styles_differ_without_colour():
    assert len({(marker, str(dashes)) for _, marker, dashes in STYLES}) == len(STYLES)
    assert len({str(dashes) for _, _, dashes in STYLES}) == len(STYLES)
    greys = sorted(float(np.dot(to_rgb(tint), (0.299, 0.587, 0.114))) for tint in TINTS)
    assert greys[0] > 0.6  # black text is legible on all


# --- no overlap -------------------------------------------------------------------------------------------------


def drawn_texts(figure) -> list[Text]:
    """The level texts that are drawn; ticks outside the view are in the tree and are not."""
    found = []
    draw = Text.draw

    def spy(self, renderer, *arguments, **options):
        if self.get_visible() and self.get_text().strip() and self.get_rotation() == 0:
            found.append(self)
        return draw(self, renderer, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", spy)
        figure.canvas.draw()
    return found


def overlapping(ax) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes meet on the page, and texts that leave it."""
    texts = [(text.get_text(), Text.get_window_extent(text).shrunk(0.96, 0.8)) for text in drawn_texts(ax.figure)]
    page = ax.figure.bbox
    outside = [(text, "the edge") for text, box in texts if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1]
    return outside + [
        (first, second)
        for i, (first, one) in enumerate(texts)
        for second, other in texts[:i]
        if one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1
    ]


LONG = "an extraordinarily-long/policy-name-with-a-checkpoint-{}-$x_1$"


@pytest.mark.parametrize(
    ("count", "width"),
    [
        (1, 3.3),
        pytest.param(4, 3.3, marks=pytest.mark.slow),
        (12, 3.3),
        (40, 3.3),
        pytest.param(40, 6.9, marks=pytest.mark.slow),
    ],
)
def test_no_text_overlaps_however_many_policies(count, width):
    backend = table(3, 60, LONG)
    portfolio = build_portfolio(backend, Adaptive(0.0, max_policies=count), progress=False)
    portfolio = portfolio.subset(range(min(count, len(portfolio)))).with_certificate(portfolio.certificate)
    for draw in (plots.users_served, plots.policy_profiles, plots.growth_curve, plots.pareto_front):
        assert overlapping(draw(portfolio, ax=axes(width, 3.2))) == [], draw.__name__
        plt.close("all")
    ax = plots.policy_regions(portfolio, ax=axes(width, 5.2, "ternary"))
    assert overlapping(ax) == []


# --- refusals ---------------------------------------------------------------------------------------------------


def test_one_objective_is_refused_or_drawn_sensibly():
    backend = TableBackend([[0.5], [1.0]])
    portfolio = build_portfolio(backend, Adaptive(0.0), progress=False)
    for draw in (plots.policy_regions, plots.value_functions, plots.projected_users, plots.pareto_front):
        with pytest.raises(InputError, match="objectives"):
            draw(portfolio)
    with pytest.raises(InputError, match="at least 2 objectives"):
        plots.regret_map(portfolio, backend)
    for draw in (plots.users_served, plots.policy_profiles, plots.growth_curve, plots.promised_loss):
        draw(portfolio, ax=axes())


def test_what_needs_the_optimum_says_so():
    with pytest.raises(InputError, match="pass backend="):
        plots.regret_map(built(2), None)
    for draw in (plots.regret_map, plots.value_functions, plots.growth_curve, plots.pareto_front, plots.promised_loss):
        with pytest.raises(InputError, match="not the problem"):
            draw(built(2), random_bandit(9, d=2, beta=0.1))


def test_wrong_choices_are_refused():
    portfolio = of_table(4, 8)
    with pytest.raises(InputError, match="choose them with objectives"):
        plots.policy_regions(portfolio)
    with pytest.raises(InputError, match="unknown objective 'x'"):
        plots.policy_regions(portfolio, objectives=["x", "safety"])
    with pytest.raises(InputError, match="named twice"):
        plots.policy_regions(portfolio, objectives=["safety", "safety"])
    for weight in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="fixed weights"):
            plots.policy_regions(portfolio, objectives=["safety", "cost"], fixed={"quality": weight})
    with pytest.raises(InputError, match="ternary"):
        plots.policy_regions(built(3), ax=axes())
    with pytest.raises(InputError, match="finite"):
        plots.users_served(portfolio, [[float("nan"), 1, 0, 0]])
    with pytest.raises(InputError, match="against"):
        plots.cover_sizes(against="gamma")
    with pytest.raises(InputError, match="f_max is unknown"):
        plots.promised_loss(declaring(portfolio, regularizer_max=None, has_reference=None))


def test_points_that_are_no_numbers_are_left_out():
    curve = plots.Curve("a", (1, 2, 3, 4), (float("nan"), float("inf"), 0.0, 0.1))
    ax = plots.size_against_epsilon([curve], ax=axes())
    assert ax.lines[0].get_xydata().tolist() == [[4, 0.1]]


def test_every_public_function_has_a_docstring_and_matplotlib_waits():
    for name in plots.__all__:
        assert isinstance(getattr(plots, name), int) or getattr(plots, name).__doc__, name
    code = "import sys, palm_theory; sys.exit(any(m.startswith(('matplotlib', 'mpltern')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
