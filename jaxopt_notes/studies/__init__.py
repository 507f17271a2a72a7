"""The notes' claims, each a study that runs: `python -m jaxopt_notes.studies`.

A claim is a file in `claims`; `study` says what stands in it. The rest is the frame: `runner` runs
one and keeps what it measured, `style` draws alike, and `gallery` puts all on one page. Two pages
are moved by hand: `playground` and `one_name`; what they compute stands in `web`.
"""
