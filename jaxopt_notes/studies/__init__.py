"""The notes' claims, each a study that runs: `python -m jaxopt_notes.studies`.

A claim is a file in `claims`; `study` says what stands in it. The rest is the frame: `runner` runs
one and keeps what it measured, `style` draws alike, `gallery` puts all on one page, and
`playground` is moved by hand.
"""
