"""The explorer driven in headless Chromium: mouse, keys, sliders, phone; its answers are Python's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.table import TableBackend
from palm_theory import Adaptive, Portfolio, Value, audit, build_portfolio
from palm_theory.explorer import example, write_page
from palm_theory.geometry.envelope import corner_weights, lower_envelope
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.simplex import sample_dirichlet, simplex_lattice
from palm_theory.metrics import usage
from tests.core.explorer.browser import DESKTOP, PHONE, Page, chromium
from tests.core.explorer.test_explorer import HOSTILE, front

LONG = "an objective whose name goes on and on until nothing fits beside it anymore, and a little further"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(driver):
    opened = Page(driver)
    yield opened
    assert opened.complaints() == []
    asked = opened.requests()
    assert asked
    assert all(address.startswith("file://") for address in asked), asked


def portfolio_of(rows: np.ndarray, objectives: list[str] | None = None, names: list[str] | None = None) -> Portfolio:
    """All rows as a portfolio, exactly certified."""
    backend = TableBackend(rows, objectives=objectives)
    labels = names or [f"model {k}" for k in range(len(rows))]
    policies = [(k, value, None) for k, value in enumerate(backend.all_values())]
    portfolio = Portfolio.of(backend, policies, audit(backend.all_values(), backend))
    return replace(portfolio, members=tuple(replace(m, label=name) for m, name in zip(portfolio, labels, strict=True)))


def ties() -> Portfolio:
    return portfolio_of(np.round(np.vstack([front(6, 3), front(6, 3), np.full((2, 3), 0.55)]) * 4) / 4)


def large() -> Portfolio:
    """60 policies and 8 objectives with long names; few of the policies are distinct, so that audits are quick."""
    objectives = [f"{LONG} {i}" for i in range(8)]
    return portfolio_of(np.vstack([front(12, 8)] * 5), objectives, [f"{LONG.title()} {k}" for k in range(60)])


def hostile() -> Portfolio:
    return portfolio_of(front(4, 3), HOSTILE[:3], [*HOSTILE[:3], HOSTILE[4]])


def estimated() -> Portfolio:
    estimates = [Value(row, 0.05, np.full(3, 0.01), 0.002, 50) for row in front(3, 3)]
    members = [(k, value, w) for k, (value, w) in enumerate(zip(estimates, np.eye(3), strict=True))]
    return Portfolio.of(TableBackend(front(3, 3)), members, audit(estimates, reference=estimates))


ANSWERS = {
    "prompts": ["Why is the sky blue?", "<b>Who</b> are you?"],
    "replies": [["Because.", "I am zero."], ["Rayleigh.", "<i>One</i>"], ["Ask again.", "Two."]],
    "base": ["It is.", ""],
}

MAKERS: dict[str, Callable[[], tuple[Portfolio, Any, dict[str, Any]]]] = {
    **{f"bandit {d}": lambda d=d: (*example(d), {}) for d in (2, 3, 5)},
    "ties": lambda: (ties(), None, {}),
    "alone": lambda: (build_portfolio(TableBackend(front(14, 3)), Adaptive(0.05), progress=False), None, {}),
    "large": lambda: (large(), None, {}),
    "hostile": lambda: (hostile(), None, {"title": HOSTILE[0]}),
    "one": lambda: (portfolio_of(front(1, 3)), None, {}),
    "one objective": lambda: (portfolio_of(np.array([[0.4], [0.9], [0.7]])), None, {}),
    "estimates": lambda: (estimated(), None, {"answers": ANSWERS}),
}


class Pages:
    """Pages by name, made when first asked for: (file, portfolio, backend or None)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, tuple[Path, Portfolio, Any]] = {}

    def __getitem__(self, name: str) -> tuple[Path, Portfolio, Any]:
        if name not in self._made:
            portfolio, backend, options = MAKERS[name]()
            path = write_page(portfolio, self._folder / f"{name}.html", backend=backend, budget=0.2, **options)
            self._made[name] = (path, portfolio, backend)
        return self._made[name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return Pages(tmp_path_factory.mktemp("pages"))


def keys(page: Page, name: str, *pressed: str | tuple[str, str]) -> None:
    """Press keys of Selenium's names, or (modifier, key), with the focus on an element."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.run("document.getElementById(arguments[0]).focus()", name)
    actions = ActionChains(page.driver)
    for press in pressed:
        modifier, key = press if isinstance(press, tuple) else (None, press)
        key = getattr(Keys, key, key)
        if modifier is None:
            actions.send_keys(key)
        else:
            actions.key_down(getattr(Keys, modifier)).send_keys(key).key_up(getattr(Keys, modifier))
    actions.perform()
    page.settle()


@pytest.mark.parametrize("name", ["bandit 2", "bandit 3", "ties", "bandit 5", "large"])
def test_the_policy_that_serves_is_python_s(page, pages, name):
    path, portfolio, _ = pages[name]
    page.open(path)
    d = len(portfolio.objectives)
    weights = np.vstack([sample_dirichlet(d, 2000), simplex_lattice(d, {2: 200, 3: 40, 5: 8, 8: 4}[d]), np.eye(d)])
    script = "return arguments[0].map((w) => {const s = explorer.serving(w); return [s.index, s.value];})"
    served = np.array(page.run(script, weights.tolist()))
    values = portfolio.vertex_values
    expected = lower_envelope(values, weights)
    np.testing.assert_array_equal(served[:, 0], expected.policy)
    np.testing.assert_array_equal(served[:, 1], expected.best)
    # Ties do occur, or the test says nothing about them.
    if name == "ties":
        table = np.sort(weights @ values.T, axis=1)
        assert (table[:, -1] == table[:, -2]).sum() > 100


@pytest.mark.parametrize("name", ["bandit 2", "bandit 3", "bandit 5"])
def test_what_the_page_shows_at_typed_weights_is_python_s(page, pages, name):
    path, portfolio, bandit = pages[name]
    page.open(path)
    for number, w in enumerate(sample_dirichlet(len(portfolio.objectives), 12)):
        size = 1 + number % len(portfolio)
        page.run("location.hash = arguments[0]", f"#k={size}&w={','.join(map(repr, w.tolist()))}")
        page.settle()
        assert page.weights() == w.tolist()
        members = page.run("return explorer.members()")
        subset = portfolio.subset(members)
        assert page.text("served-by") == f"p{members[subset.select(w).index]:02d}"
        # The certified gap shown is the audit's of the policies shown.
        assert page.run("return explorer.references[0].certificates[arguments[0] - 1].epsilon", size) == pytest.approx(
            audit(subset, bandit).epsilon, abs=1e-12
        )
        # The regret at these weights lies where the page says.
        true = bandit.optimal_value(w) - subset.best_value(w)
        regret = page.run("return explorer.regret()")
        assert regret["low"] - 1e-11 <= true <= regret["high"] + 1e-11


def test_the_upper_bound_between_solved_weights_is_python_s(page, pages):
    path, _, bandit = pages["bandit 3"]
    page.open(path)
    knows = page.run("return explorer.data.references[0].knows")
    hull = UpperHull(np.array([bandit.optimal_value(v) for v in np.eye(3)]))
    for w, upper in zip(knows["weights"], knows["upper"], strict=True):
        hull.add(np.array(w), upper)
    weights = sample_dirichlet(3, 150)
    found = page.run("return arguments[0].map((w) => explorer.references[0].hull.at(w))", weights.tolist())
    np.testing.assert_allclose(found, [hull(w) for w in weights], atol=1e-9)
    assert all(u >= bandit.optimal_value(w) - 1e-10 for u, w in zip(found, weights, strict=True))


def test_cells_corners_and_shares_are_python_s(page, pages):
    path, portfolio, _ = pages["bandit 3"]
    page.open(path)
    corners = page.run("return document.querySelectorAll('.corner').length")
    assert corners == len(corner_weights(portfolio.vertex_values))
    shares = np.array(page.run("return explorer.shares().shares"))
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(shares, usage(portfolio, samples=40_000), atol=0.01)


def test_dragging_the_handle_in_the_triangle(page, pages):
    from selenium.webdriver import ActionChains

    path, portfolio, _ = pages["bandit 3"]
    page.open(path)
    before = page.weights()
    ActionChains(page.driver).click_and_hold(page.find("handle")).move_by_offset(60, 40).move_by_offset(
        30, 10
    ).release().perform()
    page.settle()
    moved = page.weights()
    assert moved[1] > before[1]
    assert moved[2] < before[2]
    assert sum(moved) == pytest.approx(1)
    assert page.text("served-by") == f"p{portfolio.select(moved).index:02d}"
    # The handle is under the pointer, and far outside the triangle it stays on its edge.
    box, root = page.find("handle").rect, page.find("picture").rect
    assert root["x"] < box["x"] < root["x"] + root["width"]
    ActionChains(page.driver).click_and_hold(page.find("handle")).move_by_offset(0, 150).release().perform()
    page.settle()
    assert page.weights()[2] == 0
    assert min(page.weights()) >= 0


def test_a_click_in_the_triangle_moves_there_and_its_corners_are_pure(page, pages):
    path, *_ = pages["bandit 3"]
    page.open(path)
    for expected, (x, y) in enumerate([(0, 1), (1, 1), (0.5, 0)]):
        click_at(page, "hit", x, y)
        assert page.weights()[expected] == pytest.approx(1, abs=0.02)


def click_at(page: Page, name: str, x: float, y: float) -> None:
    """Click at a place inside an element, given as shares of its width and height, just inside its edge."""
    from selenium.webdriver import ActionChains

    element = page.find(name)
    width, height = element.rect["width"], element.rect["height"]
    across = (x - 0.5) * (width - 12)
    down = (y - 0.5) * (height - 6)
    ActionChains(page.driver).move_to_element_with_offset(element, round(across), round(down)).click().perform()
    page.settle()


def test_keys_alone_move_the_weights_in_the_triangle(page, pages):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    path, portfolio, bandit = pages["bandit 3"]
    page.open(path)
    for _ in range(4):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        if page.run("return document.activeElement.id") == "handle":
            break
    assert page.run("return document.activeElement.id") == "handle"
    outline = page.run("return getComputedStyle(document.querySelector('.handle .ring-outer')).strokeWidth")
    assert float(outline.removesuffix("px")) >= 4
    w = page.weights()
    keys(page, "handle", "ARROW_RIGHT")
    assert page.weights() == pytest.approx([w[0] - 0.01, w[1] + 0.01, w[2]])
    keys(page, "handle", ("SHIFT", "ARROW_UP"))
    assert page.weights()[2] == pytest.approx(w[2] + 0.1)
    keys(page, "handle", "ARROW_DOWN", "ARROW_LEFT", ("ALT", "ARROW_LEFT"))
    assert sum(page.weights()) == pytest.approx(1)
    keys(page, "handle", "3")
    assert page.weights() == [0, 0, 1]
    for arrow in ("ARROW_UP", "ARROW_RIGHT", "ARROW_LEFT"):
        keys(page, "handle", arrow)
        assert min(page.weights()) >= 0
        assert sum(page.weights()) == pytest.approx(1)
    keys(page, "handle", "END")
    np.testing.assert_allclose(page.weights(), audit(portfolio, bandit).worst_weight, atol=1e-9)
    keys(page, "handle", "HOME")
    assert page.weights() == [1 / 3] * 3
    page.driver.execute_async_script("setTimeout(arguments[0], 400)")
    served = portfolio.select([1 / 3] * 3)
    assert f"{served.name} serves, regret" in page.find("live").get_attribute("textContent")
    assert f"{served.name} serves" in page.find("handle").get_attribute("aria-label")


def test_the_segment_by_mouse_and_keys(page, pages):
    from selenium.webdriver import ActionChains

    path, portfolio, _ = pages["bandit 2"]
    page.open(path)
    ActionChains(page.driver).click_and_hold(page.find("handle")).move_by_offset(120, 0).release().perform()
    page.settle()
    w = page.weights()
    assert 0.6 < w[1] < 0.9
    assert page.text("served-by") == portfolio.select(w).name
    keys(page, "handle", "ARROW_LEFT")
    assert page.weights()[1] == pytest.approx(w[1] - 0.01)
    handle = page.find("handle")
    assert handle.get_attribute("role") == "slider"
    assert "serves" in handle.get_attribute("aria-valuetext")
    cells = page.run("return [...document.querySelectorAll('#picture rect.cell')].map((c) => c.width.baseVal.value)")
    assert len(cells) == len(portfolio)


def test_sliders_keep_the_sum_and_the_locks(page, pages):
    path, portfolio, _ = pages["bandit 5"]
    page.open(path)
    page.find("lock-1").click()
    assert page.find("lock-1").get_attribute("aria-pressed") == "true"
    assert not page.find("weight-1").is_enabled()
    keys(page, "weight-0", *["ARROW_RIGHT"] * 30)
    w = page.weights()
    assert w[0] == pytest.approx(0.23)
    assert w[1] == pytest.approx(0.2)
    assert w[2] == w[3] == w[4] == pytest.approx(0.57 / 3)
    keys(page, "weight-0", "END")
    w = page.weights()
    assert (w[0], w[1]) == pytest.approx((0.8, 0.2))
    assert sum(w) == pytest.approx(1)
    exact = page.find("exact-2")
    exact.clear()
    exact.send_keys("0.4\n")
    page.settle()
    assert page.weights()[2] == pytest.approx(0.4)
    assert page.weights()[1] == pytest.approx(0.2)
    for i in (0, 2, 3):
        page.find(f"lock-{i}").click()
    # Only one is free: nothing can move.
    assert not page.find("weight-4").is_enabled()
    assert page.text("served-by") == portfolio.select(page.weights()).name


def test_slices_pass_through_the_current_weights(page, pages):
    from selenium.webdriver.support.ui import Select

    path, portfolio, _ = pages["bandit 5"]
    page.open(path, address="#w=0.1,0.2,0.3,0.25,0.15")
    Select(page.find("slice-0")).select_by_index(3)
    page.settle()
    assert page.run("return explorer.state.slice") == [3, 1, 2]
    click_at(page, "hit", 0.5, 0.45)
    w = page.weights()
    assert (w[0], w[4]) == (0.1, 0.15)
    assert sum(w) == pytest.approx(1)
    assert page.text("served-by") == portfolio.select(w).name
    # The cell under the handle is that of the policy that serves.
    under = page.run(
        "const box = document.getElementById('handle').getBoundingClientRect();"
        "return document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2)"
        ".map((e) => e.dataset.policy).find((k) => k !== undefined)"
    )
    assert int(under) == portfolio.select(w).index
    page.run("explorer.state.setWeights([1, 0, 0, 0, 0])")
    page.settle()
    assert "no weight to share" in page.text("picture")
    page.find("equal").click()
    page.settle()
    assert page.find("handle").is_displayed()


def test_fewer_policies_have_larger_certified_gaps(page, pages):
    path, portfolio, bandit = pages["bandit 3"]
    page.open(path)
    count = len(portfolio)
    assert page.text("size-value") == str(count)
    gaps = []
    for size in range(count, 0, -1):
        assert page.text("size-value") == str(size)
        members = page.run("return explorer.members()")
        assert len(members) <= size
        subset = [portfolio.policy_values[k] for k in members]
        gaps.append(audit(subset, bandit).epsilon)
        shown = page.driver.find_element("css selector", "#size-text .gap").text
        assert float(shown.removeprefix("ε = ").removesuffix("%")) / 100 == pytest.approx(gaps[-1], rel=0.01)
        keys(page, "size", "ARROW_LEFT")
    assert gaps == sorted(gaps)
    assert page.find("fewer").get_property("disabled")
    page.find("more").click()
    assert page.text("size-value") == "2"
    click_at(page, "size-chart", 0.6, 0.4)
    assert 5 < int(page.text("size-value")) < count
    page.find("gap-absolute").click()
    assert "δ = " in page.text("size-text")
    out = page.run("return document.querySelectorAll('tr.out').length")
    assert out == count - len(page.run("return explorer.members()"))


def test_the_worst_weight_and_the_regret_map(page, pages):
    path, *_ = pages["bandit 3"]
    page.open(path, address="#k=4")
    worst = page.run("return explorer.worst()")
    page.find("worst").click()
    page.settle()
    assert page.weights() == worst
    middle = "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return b.x + b.width / 2"
    mark, handle = page.run(middle, "worst-mark"), page.run(middle, "handle")
    assert mark == pytest.approx(handle, abs=1)
    page.find("map-regret").click()
    page.settle()
    assert page.run("return document.querySelectorAll('.heat-cell').length") > 500
    assert "sampled" in page.text("heat-scale")
    # No point drawn shows more than the certificate allows.
    seen = page.run(
        "return arguments[0].map((w) => explorer.regret(w).high).reduce((a, b) => Math.max(a, b))",
        sample_dirichlet(3, 300).tolist(),
    )
    assert 0 < seen <= page.run("return explorer.references[0].certificates[3].additive_gap") + 1e-12


def test_the_table_goes_to_the_users_of_a_policy(page, pages):
    path, portfolio, _ = pages["bandit 3"]
    page.open(path)
    rows = page.driver.find_elements("css selector", "#policies-body tr")
    assert len(rows) == len(portfolio)
    for k in (0, 5, 9):
        rows[k].find_element("css selector", "button").click()
        page.settle()
        assert page.text("served-by") == portfolio[k].name
        assert rows[k].get_attribute("aria-current") == "true"


def test_a_portfolio_alone_says_what_it_is_compared_with(page, pages):
    path, portfolio, _ = pages["alone"]
    page.open(path, address="#k=3")
    assert "no access to the backend" in page.text("caution")
    kinds = [element.text for element in page.driver.find_elements("css selector", "#regrets .badge")]
    assert kinds == ["bounded", "exact"]
    assert f"this portfolio's own {len(portfolio)} policies" in page.text("regrets")
    # With all its policies the gap to itself is nothing.
    page.open(path)
    assert "None: exactly 0" in page.text("regrets")
    backend = TableBackend(front(14, 3))
    for w in sample_dirichlet(3, 30):
        page.run("explorer.state.setWeights(arguments[0])", w.tolist())
        true = backend.optimal_value(w) - portfolio.best_value(w)
        regret = page.run("return explorer.regret()")
        assert regret["low"] - 1e-11 <= true <= regret["high"] + 1e-11


def test_estimates_are_shown_with_their_errors_and_bounds_with_their_confidence(page, pages):
    path, *_ = pages["estimates"]
    page.open(path)
    assert page.find("estimates").is_displayed()
    assert "± 0.0100" in page.text("serving")
    assert "with confidence 95.0%" in page.text("regrets")
    assert "bounded" in page.text("regrets")
    regret = page.run("return explorer.regret()")
    assert regret["estimate"] < regret["high"]


def test_recorded_answers_follow_the_weights(page, pages):
    from selenium.webdriver.support.ui import Select

    path, *_ = pages["estimates"]
    page.open(path)
    assert "Rayleigh." in page.text("answers")
    Select(page.find("prompt")).select_by_index(1)
    assert "<i>One</i>" in page.text("answers")
    assert "(empty)" in page.text("answers")
    page.run("explorer.state.setWeights([1, 0, 0])")
    serves = page.driver.find_element("css selector", ".answer.serves").text
    assert "serves you" in serves


def test_hostile_names_are_text(page, pages):
    path, *_ = pages["hostile"]
    page.open(path)
    assert page.driver.title == HOSTILE[0]
    assert page.text("title") == HOSTILE[0]
    assert page.run("return document.images.length") == 0
    assert page.run("return document.scripts.length") == 2
    page.run("explorer.state.setWeights([1, 0, 0])")
    assert HOSTILE[0] in page.text("policies")
    assert page.complaints() == []
    # What got in all the same would not run: the page's own program is all that may.
    page.run(
        "const intruder = document.createElement('script'); intruder.textContent = 'window.hacked = 1';"
        "document.body.append(intruder)"
    )
    assert page.run("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.driver.get_log("browser"))


@pytest.mark.parametrize("name", ["bandit 2", "bandit 3", "large", "hostile", "one objective"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_fits_its_screen(page, pages, name, size):
    path, *_ = pages[name]
    page.open(path, size=size)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    # Nothing sticks out of its panel, but for what scrolls in a frame of its own.
    sticking = page.run(
        "const edge = document.documentElement.clientWidth + 1;"
        "return [...document.querySelectorAll('main *')]"
        ".filter((e) => !e.closest('.scroll, defs') && e.getClientRects().length)"
        ".filter((e) => e.getBoundingClientRect().right > edge).map((e) => e.outerHTML.slice(0, 120))"
    )
    assert sticking == []
    if size == PHONE:
        small = page.run(
            "return [...document.querySelectorAll('button, select, input')].filter((e) => e.getClientRects().length"
            " && e.type !== 'radio' && e.getBoundingClientRect().height < 28).map((e) => e.id || e.className)"
        )
        assert small == []


def test_touch_moves_the_handle_on_a_phone(page, pages):
    path, portfolio, _ = pages["bandit 3"]
    page.open(path, size=PHONE)
    box = page.run(
        "const b = document.getElementById('hit').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    )
    x, y = box[0] + 0.6 * box[2], box[1] + 0.8 * box[3]
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(x + 40, y)]), ("touchEnd", [])):
            touches = [{"x": px, "y": py} for px, py in points]
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    finally:
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.settle()
    assert page.weights() != [1 / 3] * 3
    assert page.text("served-by") == portfolio.select(page.weights()).name


def test_dark_light_and_reduced_motion(page, pages):
    path, *_ = pages["bandit 3"]
    colours = {}
    for scheme in ("light", "dark"):
        page.open(path, preferences={"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"})
        colours[scheme] = page.run(
            "const s = (e) => getComputedStyle(e); return [s(document.body).backgroundColor, s(document.body).color]"
        )
        back, text = (luminance(colour) for colour in colours[scheme])
        assert (max(back, text) + 0.05) / (min(back, text) + 0.05) > 7
        moving = page.run(
            "return [...document.querySelectorAll('*')].map((e) => getComputedStyle(e))"
            ".filter((s) => parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none').length"
        )
        assert moving == 0
    assert colours["light"] != colours["dark"]


def luminance(colour: str) -> float:
    """Relative luminance of an rgb(...) colour (WCAG 2)."""
    parts = np.array([float(x) for x in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_everything_has_a_name_for_a_screen_reader(page, pages):
    for name in ("bandit 2", "bandit 3", "bandit 5", "estimates"):
        page.open(pages[name][0])
        tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = {"button", "slider", "spinbutton", "combobox", "textbox", "radio", "application"}
        controls = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in roles]
        assert len(controls) > 8
        assert [n for n in controls if not n.get("name", {}).get("value")] == []


def test_fills_differ_by_more_than_colour(page, pages):
    page.open(pages["large"][0])
    looks = page.run(
        "return [...document.querySelectorAll('.patterns pattern')].map((p) => [p.querySelector('rect').classList[0],"
        " p.children[1]?.outerHTML ?? ''].join())"
    )
    assert len(set(looks)) == len(looks) == 60
    neighbours = [look.split(",", 1)[1] for look in looks[:9]]
    assert len(set(neighbours)) == 9


def test_where_nothing_is_certified_nothing_is_claimed(page, pages, tmp_path):
    portfolio = pages["bandit 3"][1].subset([0, 1])
    page.open(write_page(portfolio, tmp_path / "page.html", budget=0.1))
    assert page.text("certificate") == "unknown Nothing is certified about this portfolio."
    assert "proves nothing" in page.text("caution")
