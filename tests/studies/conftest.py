"""One browser for all tests of pages, which are slow tests: it takes ten CPU seconds."""

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
