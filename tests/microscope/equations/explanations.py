"""The page's rows, each explained once in a process: that takes the time of these tests."""

import functools

from jaxopt_notes.microscope.equations import page

explained = functools.cache(page.explained)
