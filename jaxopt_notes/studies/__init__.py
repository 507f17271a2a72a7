"""The notes' claims, each a study that runs: `python -m jaxopt_notes.studies`.

A claim is a file in `claims`; `study` says what stands in it. The rest is the frame: `runner` runs
one and keeps what it measured, `style` draws alike, `pictures` writes the drawings in both
languages, and `gallery` makes an overview and a page a claim (`claim_page`, `live`; `markdown` for
the repository). Two pages are moved by hand: `playground` and `one_name`; what they compute stands
in `web`.
"""
