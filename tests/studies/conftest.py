"""One browser for all tests of pages."""

from collections.abc import Iterator

import pytest

from tests.studies.browser import Browser, find


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("needs a browser: Chromium or Chrome")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
