"""One browser for all tests of pages, which are slow tests: it takes ten CPU seconds.

`compiled_losses` makes one program each of the losses that a study calls outside `jit`.
"""

from collections.abc import Iterator

import pytest

from tests.studies.browser import Browser, find


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("needs a browser: Chromium or Chrome")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def compiled_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes one program of a loss; outside `jit` each of its ten operations would be one."""
    import jax  # here, because the process that hands out the tests needs no JAX

    from jaxopt_notes import losses

    entropy = jax.jit(losses.entropy, static_argnames=("base", "axis"))
    cross_entropy = jax.jit(losses.cross_entropy, static_argnames=("label_smoothing", "base"))
    monkeypatch.setattr(losses, "entropy", entropy)
    monkeypatch.setattr(losses, "cross_entropy", cross_entropy)
