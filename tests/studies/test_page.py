"""The gallery's pages in a real browser: they compute what we do, need no network, fit a phone."""

import inspect
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import sgd
from jaxopt_notes.conventions import notes
from jaxopt_notes.studies import files, gallery, one_name, playground, study
from jaxopt_notes.studies.wording import Story, picture
from tests.studies.browser import Browser

REPORT = Path(__file__).parents[2] / "docs" / "studies"
STEPS = 200
PHONE = 390

# The notes' optimizers, and their arguments for the page's letters.
OURS: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "sgd": (notes.sgd, {}),
    "momentum": (notes.momentum, {"β": "beta"}),
    "heavy-ball": (sgd, {"β": "momentum"}),
    "adagrad": (notes.adagrad, {"ε": "epsilon"}),
    "rmsprop": (notes.rmsprop, {"β": "beta", "ε": "epsilon"}),
    "adam": (notes.adam, {"β1": "beta1", "β2": "beta2", "ε": "epsilon"}),
    "adamw": (
        notes.adamw,
        {"β1": "beta1", "β2": "beta2", "ε": "epsilon", "decoupled": "weight_decay"},
    ),
}
NOT_IN_THE_NOTES = {"heavy-ball": 0.9, "adamw": 1e-4}
FAR_FROM_DEFAULTS = {"β": 0.6, "β1": 0.7, "β2": 0.95, "ε": 0.1, "decoupled": 0.1}

LOSSES: dict[str, Callable[..., Any]] = {
    "ravine": lambda x, y, t: 0.5 * x**2 + 50 * y**2,
    "saddle": lambda x, y, t: 5 * x**2 + 0.25 * y**4 - 0.5 * y**2 + 0.25,
    "beale": lambda x, y, t: sum(
        (c - x * (1 - y**k)) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), 1)
    ),
    "rosenbrock": lambda x, y, t: 100 * (x**2 - y) ** 2 + (x - 1) ** 2,
    "noisy": lambda x, y, t: 0.5 * x**2 + 5 * y**2,
    "drifting": lambda x, y, t: (
        0.5 * (x - 1.2 * jnp.cos(t * jnp.pi / 250)) ** 2
        + 5 * (y - 1.2 * jnp.sin(t * jnp.pi / 250)) ** 2
    ),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages as they are written now, from the results in the repository."""
    out = tmp_path_factory.mktemp("pages")
    shutil.copytree(REPORT, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.html"))
    gallery.write(out, [files.result(out / name) for name in study.names()])
    return out


@pytest.fixture(scope="module")
def played(browser: Browser, pages: Path) -> Browser:
    browser.open(pages / playground.FILE, 1280)
    return browser


def normals(t: int) -> tuple[float, float]:
    """The page's noise: two MurmurHash3 finalizers as uniforms, through Box and Muller's form."""
    uniform = []
    for n in (2 * t + 1, 2 * t + 2):
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            n = (n ^ n >> shift) * factor % 2**32
        uniform.append((n + 0.5) / 2**32)
    radius, angle = math.sqrt(-2 * math.log(uniform[0])), 2 * math.pi * uniform[1]
    return radius * math.cos(angle), radius * math.sin(angle)


class Case(NamedTuple):
    """A walk on the page. A led one is compared step by step: at some rates paths are chaotic."""

    landscape: str
    start: list[float]
    settings: dict[str, float]
    led: bool


def cases_of(name: str, browser: Browser) -> list[Case]:
    """Two walks on each landscape: led with the page's settings, and free with others."""
    cases = []
    for landscape in LOSSES:
        start, settings, rate = browser.evaluate(
            f"(({{ start, rates }}) => [start, rules['{name}'].settings, rates['{name}']])"
            f"(landscapes['{landscape}'])"
        )
        others = {key: FAR_FROM_DEFAULTS[key] for key in settings}
        cases.append(Case(landscape, start, {**settings, "α": rate}, led=True))
        cases.append(Case(landscape, start, {**others, "α": rate / 4}, led=False))
    return cases


def our_paths(name: str, cases: list[Case], page_paths: np.ndarray) -> np.ndarray:
    """(cases, steps + 1, 2), in float64; a led one makes each step from where the page is."""
    make, keywords = OURS[name]
    noise = 2 * jnp.array([normals(t) for t in range(STEPS)])
    slopes = [jax.grad(lambda xy, t, f=f: f(*xy, t)) for f in LOSSES.values()]
    place = {landscape: i for i, landscape in enumerate(LOSSES)}

    def path(settings: Any, which: jax.Array, led: jax.Array, page_path: jax.Array) -> jax.Array:
        hyperparameters = {keyword: settings[letter] for letter, keyword in keywords.items()}
        optimizer = make(settings["α"], **hyperparameters)

        def step(carry: Any, t: jax.Array) -> Any:
            theta, state = carry
            theta = jnp.where(led, page_path[t], theta)
            slope = jax.lax.switch(which, slopes, theta, t.astype(float))
            g = slope + jnp.where(which == place["noisy"], noise[t], 0.0)
            updates, state = optimizer.update(g, state, theta)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), theta

        _, walked = jax.lax.scan(
            step, (page_path[0], optimizer.init(page_path[0])), jnp.arange(STEPS)
        )
        return jnp.concatenate([page_path[:1], walked])

    settings = {key: jnp.array([c.settings[key] for c in cases]) for key in cases[0].settings}
    which = jnp.array([place[c.landscape] for c in cases])
    led = jnp.array([c.led for c in cases])
    return np.asarray(jax.jit(jax.vmap(path))(settings, which, led, jnp.asarray(page_paths)))


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_paths_are_ours_on_every_landscape(name: str, played: Browser) -> None:
    cases = cases_of(name, played)
    paths = (
        f"([l, start, settings]) => walk(rules['{name}'], landscapes[l], settings, start, {STEPS})"
    )
    page_paths = np.array(played.evaluate(f"{json.dumps(cases)}.map({paths})"))
    with jax.enable_x64(True):
        own_paths = our_paths(name, cases, page_paths)
    assert own_paths.shape == page_paths.shape == (2 * len(LOSSES), STEPS + 1, 2)
    assert np.abs(page_paths[:, -1] - page_paths[:, 0]).max(-1).min() > 0.05
    for case, a, b in zip(cases, own_paths, page_paths):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6, err_msg=str(case))


def test_defaults_are_the_notes(played: Browser) -> None:
    for name, (optimizer, keywords) in OURS.items():
        settings = played.evaluate(f"rules['{name}'].settings")
        assert set(settings) == set(keywords)
        for letter, keyword in keywords.items():
            default = inspect.signature(optimizer).parameters[keyword].default
            expected = default if isinstance(default, float) else NOT_IN_THE_NOTES[name]
            assert settings[letter] == expected, (name, letter)


def test_losses_are_least_where_the_crosses_are(played: Browser) -> None:
    for name, loss in LOSSES.items():
        minima = played.evaluate(f"landscapes['{name}'].minima(70)")
        for minimum in minima:
            assert loss(*minimum, 70) == pytest.approx(0, abs=1e-5)
        page_loss = played.evaluate(f"landscapes['{name}'].loss([0.3, -0.7], 70)")
        assert page_loss == pytest.approx(float(loss(0.3, -0.7, 70)), rel=1e-5)


def test_noise_is_normal() -> None:
    drawn = np.array([normals(t) for t in range(4000)])
    assert abs(drawn.mean(0)).max() < 0.05
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(2), atol=0.06)


def test_every_optimizer_has_its_row_its_look_and_its_sliders(played: Browser) -> None:
    assert played.evaluate("Object.keys(rules)") == list(playground.OPTIMIZERS) == list(OURS)
    assert played.evaluate("Object.keys(landscapes)") == list(playground.LANDSCAPES)
    for name in OURS:
        row = f"document.querySelector('[data-name={name}]')"
        assert played.evaluate(
            f"[...{row}.querySelectorAll('[type=range]')].map((s) => s.dataset.key)"
        ) == ["α", *played.evaluate(f"Object.keys(rules['{name}'].settings)")]
        light, _ = playground.look(name)["colour"]
        drawn = played.evaluate(f"getComputedStyle({row}.querySelector('path')).stroke")
        assert drawn == f"rgb{tuple(int(light[i : i + 2], 16) for i in (1, 3, 5))}"


def arrivals(played: Browser) -> dict[str, int]:
    """The step from which SGD and momentum stay within 1 % of the first distance, in the ravine."""
    return played.evaluate(
        "Object.fromEntries(['sgd', 'momentum'].map((name) => {"
        "const path = walk(rules[name], landscapes.ravine, now.settings[name], [-1.9, 1.1], 500);"
        "const far = path.map(([x, y]) => Math.hypot(x, y) > 0.01 * Math.hypot(-1.9, 1.1));"
        "return [name, far.lastIndexOf(true) + 1]; }))"
    )


def test_the_first_view_shows_claim_1(played: Browser) -> None:
    """Momentum is there sooner than SGD, and both are shown."""
    on = "page.rows.filter(isOn).map((row) => row.dataset.name)"
    assert {"sgd", "momentum"} <= set(played.evaluate(on))
    at = arrivals(played)
    assert at["momentum"] < 0.6 * at["sgd"]


def press(browser: Browser, kind: str, x: float, y: float) -> None:
    browser.call(
        "Input.dispatchMouseEvent",
        type=kind,
        x=x,
        y=y,
        button="left",
        buttons=int(kind != "mouseReleased"),
        clickCount=1,
    )


def key(browser: Browser, name: str, code: str) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=name, code=code)


def waits_for(browser: Browser, condition: str) -> None:
    until = time.monotonic() + 30
    while not browser.holds(condition):
        assert time.monotonic() < until, condition
        time.sleep(0.02)


def test_the_reader_moves_it(browser: Browser, pages: Path) -> None:
    """A slider, all of a letter at once, a step, a click, a drag, keys, Space, play."""
    browser.open(pages / playground.FILE, 1280)
    row = "document.querySelector('[data-name=adam]')"

    def slide(at: float) -> None:
        slider = f"{row}.querySelector('[data-key=α]')"
        browser.evaluate(f"{slider}.value = {at}; {slider}.dispatchEvent(new Event('input'))")

    slide(-2)
    assert browser.evaluate("[now.settings.adam.α, now.settings.sgd.α]") == [0.01, 0.0198]
    assert "α 0.01" in browser.evaluate(f"{row}.querySelector('summary').textContent")
    browser.evaluate("page.together.click()")
    slide(-1)
    assert browser.evaluate("Object.values(now.settings).every((s) => s.α === 0.1)")

    browser.evaluate("document.getElementById('reset').click()")
    assert browser.evaluate("now.walkers.adam.path.length") == 1
    for _ in range(3):
        browser.evaluate("document.getElementById('step').click()")
    assert browser.evaluate("document.getElementById('steps').textContent") == "3"
    walked = browser.evaluate(
        "walk(rules.adam, landscapes.ravine, now.settings.adam, now.start, 3)"
    )
    assert browser.evaluate("now.walkers.adam.path") == walked

    x, y, width, height = browser.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])(page.canvas.getBoundingClientRect())"
    )
    press(browser, "mousePressed", x + width / 4, y + height / 4)
    press(browser, "mouseReleased", x + width / 4, y + height / 4)
    assert browser.evaluate("now.start") == pytest.approx([-1.1, 0.825], abs=0.02)
    waits_for(browser, "player.steps > 2")
    browser.evaluate("page.canvas.focus()")
    key(browser, " ", "Space")
    assert not browser.evaluate("isPlaying()")
    stopped = browser.evaluate("player.steps")
    press(browser, "mousePressed", x + width / 4, y + height / 4)
    press(browser, "mouseMoved", x + width / 2, y + height / 4)
    assert browser.evaluate("now.start") == pytest.approx([0, 0.825], abs=0.02), "before release"
    assert browser.evaluate("[now.walkers.adam.path[0], player.steps]") == [
        browser.evaluate("now.start"),
        stopped,
    ]
    press(browser, "mouseReleased", x + width / 2, y + height / 4)
    key(browser, "ArrowRight", "ArrowRight")
    assert browser.evaluate("[now.start[0] > 0.05, player.steps]") == [True, stopped]
    key(browser, " ", "Space")
    waits_for(browser, f"player.steps > {stopped}")
    key(browser, " ", "Space")
    assert not browser.complaints()


def test_the_address_brings_everything_back(browser: Browser, pages: Path) -> None:
    browser.open(pages / playground.FILE, 1280)
    browser.evaluate(
        "choose('beale'); now.start = [1, 1]; set('adam', 'β1', 0.5); to(30);"
        "document.querySelector('[data-name=sgd] [type=checkbox]').click()"
    )
    waits_for(browser, "location.hash.includes('start')")
    state = "[now.landscape, now.start, now.settings.adam, player.steps, page.rows.map(isOn)]"
    before = browser.evaluate(state)
    assert before[2]["β1"] == 0.5
    browser.call("Page.reload")
    waits_for(browser, "document.readyState === 'complete' && typeof player === 'object'")
    assert browser.evaluate(state) == before
    browser.evaluate("location.hash = 'landscape=ravine'")
    waits_for(browser, "now.landscape === 'ravine'")
    assert browser.evaluate(state) != before
    browser.evaluate(
        "location.hash = 'landscape=beale&on=momentum,rmsprop,adam&start=1,1&steps=30'"
        "+ '&adam.beta1=0.5'"
    )
    waits_for(browser, "now.landscape === 'beale'")
    assert browser.evaluate(state) == before
    assert not browser.complaints()


@pytest.mark.parametrize("name", playground.PRESETS)
def test_a_claims_link_sets_the_playground(name: str, browser: Browser, pages: Path) -> None:
    browser.open(pages / playground.FILE, 1280, hash=playground.PRESETS[name])
    wanted = dict(part.split("=") for part in playground.PRESETS[name].split("&"))
    on = browser.evaluate("page.rows.filter(isOn).map((row) => row.dataset.name).sort().join()")
    assert on == ",".join(sorted(wanted["on"].split(",")))
    assert browser.evaluate("[now.landscape, player.steps]") == [
        wanted["landscape"],
        int(wanted["steps"]),
    ]
    fates = browser.evaluate("page.rows.map((row) => row.dataset.fate).filter(Boolean)")
    assert fates == []
    assert not browser.complaints()


def test_a_path_that_diverges_is_said_to(browser: Browser, pages: Path) -> None:
    hash_ = "landscape=ravine&on=sgd,momentum&sgd.alpha=0.03&steps=60"
    browser.open(pages / playground.FILE, 1280, hash=hash_)
    fate = "document.querySelector('[data-name=sgd] .diverges').checkVisibility()"
    assert browser.evaluate(fate)
    assert not browser.evaluate(fate.replace("sgd", "momentum"))


@pytest.mark.parametrize(
    "file", ["index.html", "ravine/index.html", playground.FILE, one_name.FILE]
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_fits_a_phone_and_fetches_nothing(
    file: str, language: str, browser: Browser, pages: Path
) -> None:
    browser.open(pages / file, PHONE)
    if language == "zh":
        browser.evaluate("document.getElementById('language').click()")
        assert browser.evaluate("location.search") == "?lang=zh"
    browser.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE
    wide = browser.evaluate(
        "[...document.body.querySelectorAll('*')].map((e) => [e, e.getBoundingClientRect()])"
        ".filter(([e, box]) => box.right > innerWidth + 0.5 || box.left < -0.5)"
        ".map(([e]) => e.outerHTML.slice(0, 120))"
    )
    assert wide == []
    allowed = ("data:", pages.as_uri())
    assert all(address.startswith(allowed) for address in browser.fetched())
    others = [a for a in browser.fetched() if a.startswith("file:") and not a.endswith(".svg")]
    assert others == [(pages / file).as_uri()]
    assert browser.complaints() == []


SHOWN = "[...document.images].filter((image) => image.checkVisibility())"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_picture_loads_in_the_page_s_language(
    language: str, browser: Browser, pages: Path
) -> None:
    """The overview's pictures are those of the claims' pages."""
    query = "?lang=zh" if language == "zh" else ""
    browser.open(pages / "index.html", 1280, dark=True, query=query)
    browser.evaluate(f"{SHOWN}.forEach((image) => (image.loading = 'eager'))")
    waits_for(browser, f"{SHOWN}.every((image) => image.complete)")
    shown = browser.evaluate(f"{SHOWN}.map((i) => [i.getAttribute('src'), i.naturalWidth])")
    for (source, width), name in zip(shown, study.names(), strict=True):
        story = Story(name, study.about(name), {})
        assert source == f"{name}/{picture(story, language)}"
        assert width > 100, source


def test_the_playground_draws(browser: Browser, pages: Path) -> None:
    browser.open(pages / playground.FILE, 1280, dark=True)
    ink = "page.canvas.getContext('2d').getImageData(0, 0, page.canvas.width, page.canvas.height)"
    assert browser.evaluate(f"new Set(new Uint32Array({ink}.data.buffer)).size") > 100


def goes_to(browser: Browser, link: str) -> None:
    """Follows a link as a reader does."""
    there = browser.evaluate(f"document.querySelector({link!r}).pathname")
    browser.evaluate(f"document.querySelector({link!r}).click()")
    ready = "document.readyState === 'complete' && typeof speak === 'function'"
    waits_for(browser, f"location.pathname === {there!r} && {ready}")


LANGUAGE = "[root.lang, location.search, location.hash]"


def test_the_language_stays(browser: Browser, pages: Path) -> None:
    """From page to page, across a reload with an anchor, and back again."""
    browser.open(pages / "index.html", 1280)
    browser.evaluate("document.getElementById('language').click(); location.hash = 'ravine'")
    browser.call("Page.reload")
    waits_for(browser, "document.readyState === 'complete' && typeof speak === 'function'")
    assert browser.evaluate(LANGUAGE) == ["zh-CN", "?lang=zh", "#ravine"]
    assert browser.evaluate("document.title") == "检验笔记中的论断"
    steps = (
        ("#ravine h2 a", ""),
        (".neighbours .next", ""),
        ('a[href*="playground.html"]', f"#{playground.PRESETS['saddle']}"),
        ('a[href*="index.html"]', ""),
    )
    for link, hash_ in steps:
        goes_to(browser, link)
        assert browser.evaluate(LANGUAGE)[:2] == ["zh-CN", "?lang=zh"], link
        assert browser.evaluate("decodeURIComponent(location.hash)").startswith(hash_[:20])
    links = browser.evaluate(
        "[...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))"
    )
    assert all("?lang=zh" in link for link in links), links
    browser.open(pages / "ravine" / "index.html", 1280, query="?lang=zh")
    data = browser.evaluate("document.querySelector('[href*=result]').getAttribute('href')")
    assert data == "result.json"
    browser.evaluate("document.getElementById('language').click()")
    assert browser.evaluate("[root.lang, location.search]") == ["en", ""]
    links = browser.evaluate("[...document.links].map((a) => a.getAttribute('href'))")
    assert not any("lang" in link for link in links)
    assert not browser.complaints()


def test_the_contents_stay_in_view(browser: Browser, pages: Path) -> None:
    browser.open(pages / "stall" / "index.html", 1280)
    top = "(scrollTo(0, 900), document.querySelector('.contents').getBoundingClientRect().top)"
    assert 0 <= browser.evaluate(top) < 40
    current = browser.evaluate("document.querySelector('[aria-current]').getAttribute('href')")
    assert current == "../stall/index.html"
    browser.open(pages / "stall" / "index.html", PHONE)
    assert not browser.evaluate("document.querySelector('.contents').checkVisibility()")


@pytest.mark.parametrize("name", study.names())
def test_every_claim_s_page_is_without_complaint(name: str, browser: Browser, pages: Path) -> None:
    browser.open(pages / name / "index.html", 1280)
    waits_for(browser, f"{SHOWN}.every((image) => image.complete)")
    sizes = browser.evaluate(f"{SHOWN}.map((i) => [i.naturalWidth, i.width, i.height])")
    assert len(sizes) == 1
    assert min(sizes[0]) > 100
    assert browser.complaints() == []
