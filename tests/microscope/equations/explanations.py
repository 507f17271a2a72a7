"""The page's rows, each explained once in a process: explaining takes most of these tests' time."""

import functools

from jaxopt_notes.microscope.equations import page

explained = functools.cache(page.explained)
