"""The live figures in a real browser: closed forms and readings are NumPy's, sliders move them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxopt_notes.studies import live, page, study
from tests.studies.browser import Browser

REPORT = Path(__file__).parents[2] / "docs" / "studies"
PHONE = 390
BETAS = [0.0, 0.3, 0.9, 0.99]
LIGHTEST = "weighted-sum.html"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("live")
    switch = '<button id="language" type="button"></button>'
    for name in live.FIGURES:
        text = page.document("Try it", "试一试", switch + live.live(name))
        (out / f"{name}.html").write_text(text, encoding="utf-8")
    return out


def move(browser: Browser, **settings: float) -> list[float]:
    """Moves sliders as near as they go to these settings, and returns their new settings."""
    for key, value in settings.items():
        browser.evaluate(
            f"(({{ show, slider }}) => {{ show({value});"
            f"slider.dispatchEvent(new Event('input')); }})(live.sliders['{key}'])"
        )
    return [browser.evaluate(f"live.settings['{key}']") for key in settings]


def seen(browser: Browser) -> str:
    """The line beneath, as a reader sees it."""
    return str(browser.evaluate("live.seen.innerText"))


def bold(browser: Browser) -> list[float]:
    """The line's bold numbers, in the page's language."""
    texts = browser.evaluate(
        "[...live.seen.querySelectorAll('b')].filter((b) => b.checkVisibility())"
        ".map((b) => b.innerText)"
    )
    return [float(re.sub(r"[^\d.]", "", text)) for text in texts]


def numbers_of(name: str) -> dict[str, Any]:
    """What the study measured."""
    result = json.loads((REPORT / name / "result.json").read_text("utf-8"))
    return study.middle(result["numbers"])


def called(browser: Browser, function: str, *columns: Any) -> np.ndarray:
    """A function of the page at rows of arguments."""
    rows = [[float(x) for x in row] for row in zip(*np.broadcast_arrays(*columns))]
    return np.array(browser.evaluate(f"{json.dumps(rows)}.map((row) => {function}(...row))"))


def momentum_path(curvatures: Any, alpha: Any, beta: float, start: Any, steps: int) -> np.ndarray:
    """v ← β v + (1 − β) g, θ ← θ − α v: (steps + 1, directions), or (…, rates, directions)."""
    theta, v, path = np.array(start, float), 0.0, [np.array(start, float)]
    for _ in range(steps):
        v = beta * v + (1 - beta) * np.asarray(curvatures) * theta
        theta = theta - alpha * v
        path.append(theta)
    return np.array(path)


def arrives(path: np.ndarray) -> int:
    far = np.flatnonzero(np.linalg.norm(path, axis=1) > 0.01 * np.linalg.norm(path[0]))
    return int(far[-1]) + 1


# Closed forms, which every figure's page has


def test_momentums_factor_is_its_matrixs_spectral_radius(browser: Browser, pages: Path) -> None:
    browser.open(pages / LIGHTEST, 1280)
    for beta in BETAS:
        a = np.array([-0.5, -0.01, 0.0, 0.003, 0.1, 0.999, 1.7, 2.5, 30.0])
        matrices = [[[beta, (1 - beta) * x], [-beta, 1 - (1 - beta) * x]] for x in a]
        radius = abs(np.linalg.eigvals(np.array(matrices))).max(1)
        np.testing.assert_allclose(called(browser, "factor", a, beta), radius, rtol=1e-6)
        limit = browser.evaluate(f"stableTo({beta})")
        edge = called(browser, "factor", [0.999 * limit, 1.001 * limit], beta)
        assert edge[0] < 1 < edge[1]


def test_the_path_along_one_direction_is_simulated_momentum(browser: Browser, pages: Path) -> None:
    browser.open(pages / LIGHTEST, 1280)
    for beta in BETAS:
        for a in (-1.0, -0.05, 0.002, 0.5, 1.0, 1.9):
            path = momentum_path([a], 1.0, beta, [1.0], 60)[:, 0]
            here = called(browser, "along", a, beta, np.arange(61))
            np.testing.assert_allclose(here, path, rtol=1e-7, atol=1e-10, err_msg=f"{a} {beta}")
    double = (1 - 0.5) ** 2 / (1 - 0.25)  # both roots are ½
    path = momentum_path([double], 1.0, 0.25, [1.0], 30)[:, 0]
    np.testing.assert_allclose(called(browser, "along", double, 0.25, np.arange(31)), path, 1e-6)


def test_weights_and_ratios_are_the_recursions(browser: Browser, pages: Path) -> None:
    browser.open(pages / LIGHTEST, 1280)
    t = np.arange(1, 50)
    for beta in (0.2, 0.9, 0.9999):
        m = np.cumsum((1 - beta) * beta ** (t - 1.0))
        np.testing.assert_allclose(called(browser, "weightSum", beta, t), m, rtol=1e-9)
        assert beta ** browser.evaluate(f"halfLife({beta})") == pytest.approx(0.5)
        v = np.cumsum(0.001 * 0.999 ** (t - 1.0))
        np.testing.assert_allclose(called(browser, "biasRatio", beta, 0.999, t), m / np.sqrt(v))
    large, until = 7.0, 12
    g2 = np.where(t <= until, large, 1.0) ** 2
    np.testing.assert_allclose(
        called(browser, "adagradRate", large, until, t), 1 / np.sqrt(np.cumsum(g2))
    )
    e, mean = [], 0.0
    for square in g2:
        mean = 0.9 * mean + 0.1 * square
        e.append(mean)
    np.testing.assert_allclose(
        called(browser, "rmspropRate", 0.9, large, until, t), np.array(e) ** -0.5
    )


def test_the_error_of_a_follower_solves_lyapunovs_equation(browser: Browser, pages: Path) -> None:
    """e = x − c and v as a linear system: S = A S Aᵀ + N, and the lag of its mean."""
    browser.open(pages / LIGHTEST, 1280)
    for beta in BETAS:
        for alpha, steady, walk, noise in ((0.3, 0.0, 0.2, 1.0), (1.2, 0.1, 0.05, 0.3)):
            here = browser.evaluate(
                f"trackingError({alpha}, {beta}, "
                f"{{ steady: {steady}, walk: {walk}, noise: {noise} }})"
            )
            gain = 1 - beta
            a = np.array([[1 - alpha * gain, -alpha * beta], [gain, beta]])
            noisy = np.array([-alpha * gain, gain]) * noise
            drift = np.array([1.0, 0.0])
            n = np.outer(noisy, noisy) + walk**2 * np.outer(drift, drift)
            s = np.linalg.solve(np.eye(4) - np.kron(a, a), n.ravel())[0]
            mean = np.linalg.solve(np.eye(2) - a, -steady * drift)[0]
            assert here == pytest.approx(s + mean**2, rel=1e-6), (beta, alpha)
    assert browser.evaluate("[trackingError(2.1, 0, {})]") == [None]  # no number in JSON is ∞


# What each figure says


def test_the_ravine_says_what_the_study_found(browser: Browser, pages: Path) -> None:
    browser.open(pages / "ravine.html", 1280)
    n = numbers_of("ravine")
    steps_sgd, steps_momentum, ratio = bold(browser)
    assert [steps_sgd, steps_momentum] == pytest.approx(
        [n["steps_sgd"], n["steps_momentum"]], abs=3
    )
    assert ratio == pytest.approx(n["steps_sgd"] / n["steps_momentum"], rel=0.05)
    (kappa,) = move(browser, κ=10)
    alphas = browser.evaluate("[live.settings.sgd, live.settings.momentum]")
    expected = [
        arrives(momentum_path([1.0, kappa], alpha, beta, [-1.9, 0.57], 4000))
        for alpha, beta in zip(alphas, (0.0, 0.9))
    ]
    assert bold(browser)[:2] == expected
    assert expected[1] > 2 * expected[0]
    assert "too mild" in seen(browser)


def test_the_ravines_best_rate_is_no_worse_than_a_fine_grids(browser: Browser, pages: Path) -> None:
    browser.open(pages / "ravine.html", 1280)
    for beta, kappa in ((0.5, 30), (0.97, 300)):
        beta, kappa = move(browser, β=beta, κ=kappa)
        grid = 2 * (1 + beta) / (1 - beta) / kappa * np.linspace(0, 1, 202)[1:-1]
        start = np.tile([1.0, 0.3], (200, 1))
        paths = momentum_path([1.0, kappa], grid[:, None], beta, start, 1500)
        best = min(arrives(path) for path in paths.swapaxes(0, 1))
        assert bold(browser)[1] <= 1.06 * best + 1


def test_a_rate_of_the_readers_own_is_kept(browser: Browser, pages: Path) -> None:
    browser.open(pages / "ravine.html", 1280)
    first = seen(browser)
    move(browser, sgd=0.03)
    assert not browser.evaluate("live.best.checked")
    assert "SGD diverges" in seen(browser)
    move(browser, κ=20)
    assert browser.evaluate("live.settings.sgd") == pytest.approx(0.03, rel=0.05)
    browser.evaluate("document.getElementById('live-reset').click()")
    assert browser.evaluate("live.best.checked") is True
    assert seen(browser) == first


def test_the_start_and_momentums_point_are_moved(browser: Browser, pages: Path) -> None:
    browser.open(pages / "ravine.html", 1280)
    browser.evaluate("canvasOf('map').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight")
    assert browser.evaluate("live.settings.start") == pytest.approx([-1.79, 0.57])
    browser.evaluate("canvasOf('goh').scrollIntoView()")
    x, y, width, height = browser.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])"
        "(canvasOf('goh').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        at = {"x": x + width / 2, "y": y + height / 2}
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
    beta, alpha, kappa = browser.evaluate(
        "[live.settings.β, live.settings.momentum, live.settings.κ]"
    )
    assert beta == pytest.approx(0.495, abs=0.01)
    assert (1 - beta) * alpha * kappa == pytest.approx(2, abs=0.05)
    assert not browser.complaints()


def test_the_saddle_says_when_each_is_off(browser: Browser, pages: Path) -> None:
    browser.open(pages / "saddle.html", 1280)

    def off(alpha: float, beta: float, y: float) -> int:
        v = steps = 0
        while abs(y) <= 0.5:
            v = beta * v + (1 - beta) * (y**3 - y)
            y, steps = y - alpha * v, steps + 1
        return steps

    n = numbers_of("saddle")
    assert bold(browser)[0] == pytest.approx(n["best_sgd"], abs=2)
    assert bold(browser)[1] < 0.5 * bold(browser)[0]
    same, beta, y = move(browser, sgd=0.05, momentum=0.05)[0], 0.9, 1e-4
    assert bold(browser) == [off(same, 0.0, y), off(same, beta, y)]
    assert bold(browser) == pytest.approx([n["same_sgd"], n["same_momentum"]], rel=0.05)
    assert "its larger α" not in seen(browser)
    closed = re.findall(r"closed form: (\d+)", seen(browser))
    assert [float(x) for x in closed] == pytest.approx(bold(browser), abs=3)
    move(browser, sgd=0.25)
    assert "SGD diverges across the ridge" in seen(browser)


def test_adagrad_stalls_in_the_bowl_and_not_in_the_quadratic(browser: Browser, pages: Path) -> None:
    browser.open(pages / "stall.html", 1280)
    n = numbers_of("stall")
    slow, level, long, short, ratio = bold(browser)
    assert [slow, level] == pytest.approx([(10 * 100 + 990) ** -0.5, 1], rel=0.01)
    assert ratio == pytest.approx(n["bowl_ratio"], rel=0.2)
    alpha = browser.evaluate("live.settings.adagrad")
    x, g2, steps = 10 * (np.arange(8) + 0.5) / 8, 0.0, 0
    while abs(x).mean() >= 0.1:
        g2, g = g2 + x**6, x**3
        x, steps = x - alpha * g / (np.sqrt(g2) + 1e-8), steps + 1
    assert steps == long > 10 * short
    move(browser, power=2)
    assert bold(browser)[2] <= 2 * bold(browser)[3]
    large, until = move(browser, large=50, until=100)
    expected = (large**2 * until + 1000 - until) ** -0.5
    assert bold(browser)[0] == pytest.approx(expected, rel=0.01)


def test_weights_halve_and_add_up(browser: Browser, pages: Path) -> None:
    browser.open(pages / "weighted-sum.html", 1280)
    assert bold(browser)[0] == pytest.approx(numbers_of("weighted-sum")["half_life"], rel=0.01)
    beta, t = move(browser, β=0.97, t=10)
    assert t == 10
    assert bold(browser) == pytest.approx([np.log(0.5) / np.log(beta), 1 - beta**10], rel=0.01)
    assert (
        browser.evaluate(
            "Math.max(...averages(live.settings.β, LONG, (i) => gradients[i])"
            ".map((m, i) => Math.abs(m - weighted(live.settings.β, i + 1))))"
        )
        < 1e-12
    )


def test_v_settles_at_variance_and_squared_mean(browser: Browser, pages: Path) -> None:
    browser.open(pages / "second-moment.html", 1280)
    share = 100 * numbers_of("second-moment")["share_start"]
    assert bold(browser)[1] == pytest.approx(share, rel=0.02)
    mu, sigma, batch = move(browser, μ=2, σ=3, batch=16)
    settled, share = bold(browser)
    assert batch == 16
    assert settled == pytest.approx(mu**2 + sigma**2 / 16, rel=0.05)
    assert share == pytest.approx(100 * mu**2 / (mu**2 + sigma**2 / 16), rel=0.01)


def test_moments_and_first_steps_err_as_the_studies_found(browser: Browser, pages: Path) -> None:
    browser.open(pages / "bias-correction.html", 1280)
    n = numbers_of("bias-correction")
    m, v, first = bold(browser)
    assert [m, v] == pytest.approx([n["m_first"], n["v_first"]], rel=0.02)
    assert f"step {n['m_until']} on" in seen(browser)
    assert f"step {n['v_until']:,} on" in seen(browser)
    ratios = browser.evaluate(
        "moments(0.9, 0.999, 1, 0.5, 300)"
        ".map(({ ratio }, i) => ratio / biasRatio(0.9, 0.999, i + 1))"
    )
    np.testing.assert_allclose(ratios, 1, rtol=1e-9)
    browser.open(pages / "first-steps.html", 1280)
    n = numbers_of("first-steps")
    assert first == bold(browser)[0] == pytest.approx(n["step_first"], rel=0.01)
    assert bold(browser)[1] == pytest.approx(n["step_largest"], rel=0.01)
    assert f"at step {n['step_largest_at']:.0f}" in seen(browser)
    right, wrong = bold(browser)[2:]
    assert wrong > 5 * right
    b1, b2 = move(browser, β1=0.9, β2=0.9)
    assert "too small" in seen(browser)
    assert bold(browser)[0] == pytest.approx((1 - b1) / (1 - b2) ** 0.5, rel=0.01)
    move(browser, β2=0.99)
    assert "right by chance" in seen(browser)


def test_the_followers_errors_are_near_the_closed_form(browser: Browser, pages: Path) -> None:
    browser.open(pages / "drifting-target.html", 1280)
    for steady, walk, noise in ((0.05, 0.1, 1.0), (0.0, 0.3, 0.5), (0.1, 0.0, 1.0)):
        move(browser, steady=steady, walk=walk, noise=noise)
        scene = f"{{ steady: {steady}, walk: {walk}, noise: {noise} }}"
        for name, beta in (("sgd", 0.0), ("momentum", 0.9)):
            here, closed = browser.evaluate(
                f"[errorOf(follow('{name}', 0.2, {scene})), trackingError(0.2, {beta}, {scene})]"
            )
            assert here == pytest.approx(closed, rel=0.2), (name, scene)
    steady, alpha = move(browser, steady=0.04, α=0.1)
    assert f"leaves SGD {steady / alpha:.1f} behind" in seen(browser)


# What all figures have


def languages(browser: Browser) -> list[str]:
    """Those of the texts that are shown, among them the line's, whose words are looked at too."""
    shown = browser.evaluate(
        "[...new Set([...document.querySelectorAll('.live [lang]')]"
        ".filter((e) => e.checkVisibility()).map((e) => e.lang))]"
    )
    line = seen(browser)
    assert bool(re.search(r"\b(the|step|steps)\b", line)) == ("en" in shown), line
    assert bool(re.search("[一-鿿]", line)) == ("zh-CN" in shown), line
    return list(shown)


@pytest.mark.parametrize("name", live.FIGURES)
def test_a_figure_fits_any_page(name: str, browser: Browser, pages: Path) -> None:
    """It is small, asks for nothing, fits a phone, speaks both languages and follows the theme."""
    assert name in study.names()
    assert len(live.live(name).encode()) < 60_000
    browser.open(pages / f"{name}.html", PHONE)
    part = live.FIGURES[name].drawings[0].part
    drawn = f"canvasOf('{part}').toDataURL()"
    assert browser.evaluate(f"(window.light = {drawn}).length") > 2000
    assert languages(browser) == ["en"]
    browser.evaluate("document.getElementById('language').click()")
    assert languages(browser) == ["zh-CN"]
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=dark)
    changed = f"setInterval(() => {drawn} !== window.light && done(), 20)"
    browser.evaluate(f"new Promise((done) => {changed}).then(() => 0)")
    files = [address for address in browser.fetched() if not address.startswith("data:")]
    assert len(files) == 1
    assert browser.complaints() == []


@pytest.mark.parametrize("name", live.FIGURES)
def test_every_slider_takes_keys_and_goes_to_both_ends(
    name: str, browser: Browser, pages: Path
) -> None:
    browser.open(pages / f"{name}.html", PHONE)
    first = browser.evaluate("live.settings")
    for key in browser.evaluate("Object.keys(live.sliders)"):
        slider = f"live.sliders['{key}'].slider"
        assert browser.evaluate(f"{slider}.labels[0].innerText.trim()")
        before = browser.evaluate(f"{slider}.focus(), live.settings['{key}']")
        left = {"key": "ArrowLeft", "code": "ArrowLeft", "windowsVirtualKeyCode": 37}
        for kind in 3 * ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, **left)
        assert browser.evaluate(f"live.settings['{key}']") != before, key
        for end in ("min", "max"):
            browser.evaluate(
                f"{slider}.value = {slider}.{end}; {slider}.dispatchEvent(new Event('input'))"
            )
            assert not re.search("NaN|undefined", seen(browser)), (key, end)
    browser.evaluate("document.getElementById('live-reset').click()")
    assert browser.evaluate("live.settings") == first
    assert browser.complaints() == []


def test_other_studies_have_none() -> None:
    assert live.live("flatten") == ""
