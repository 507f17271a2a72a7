"""Fonts for the text in pictures: matplotlib's own font has no Chinese, but an installed one may.

A class may be called 犬. For characters that the usual font lacks, this module chooses installed
fonts that have them. A line names the characters that no font has; the picture shows them as boxes.
"""

import contextlib
import functools
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# Fonts that show each character as a box or a code, and fonts that matplotlib cannot draw.
_USELESS = ("lastresort", "coloremoji", "color emoji", "blank")
# Characters that are not drawn: spaces, joiners and direction marks.
_INVISIBLE = ("Zs", "Cc", "Cf", "Mn")
_SHOWN = 10  # most characters that the line names


class Choice(NamedTuple):
    """Font families to add to the usual one, their files, and the characters that no font has."""

    families: tuple[str, ...]
    files: tuple[str, ...]
    lacking: str


@contextlib.contextmanager
def for_texts(texts: Iterable[str]) -> Iterator[str]:
    """Within the block, matplotlib draws with fonts that have the texts' characters.

    Yields:
      A line on the characters that no installed font has; "" where there are none.
    """
    from matplotlib import font_manager, rc_context, rcParams

    characters = frozenset(c for c in "".join(texts) if unicodedata.category(c) not in _INVISIBLE)
    usual = tuple(rcParams["font.family"])
    choice = choose(characters, usual)
    known = font_manager.fontManager.ttflist
    before = list(known)
    try:
        # matplotlib keeps a list of fonts on disk, which lacks fonts installed later.
        for file in set(choice.files) - {entry.fname for entry in known}:
            font_manager.fontManager.addfont(file)
        with rc_context({"font.family": [*usual, *choice.families]}):
            yield _line(choice.lacking)
    finally:
        known[:] = before


@functools.cache
def choose(characters: frozenset[str], usual: tuple[str, ...]) -> Choice:
    """The installed fonts that have the characters the usual ones lack, the most useful first."""
    from matplotlib import font_manager

    base = font_manager.findfont(font_manager.FontProperties(family=list(usual)))
    lacking = characters - _covered(base, characters)[1]
    families: list[str] = []
    files: list[str] = []
    by_file = {file: _covered(file, lacking) for file in font_files()} if lacking else {}
    while lacking and by_file:
        # Among equally useful fonts, take the plainest: "Noto Sans CJK SC" before "Noto Serif CJK
        # SC Black".
        file = max(by_file, key=lambda f: (len(by_file[f][1] & lacking), _plainness(by_file[f][0])))
        family, has = by_file.pop(file)
        if not has & lacking:
            break
        families.append(family)
        files.append(file)
        lacking -= has
    return Choice(tuple(families), tuple(files), "".join(sorted(lacking)))


def font_files() -> list[str]:
    """The files of all fonts on this machine."""
    from matplotlib import font_manager

    return sorted(font_manager.findSystemFonts())


def _covered(file: str, characters: frozenset[str]) -> tuple[str, frozenset[str]]:
    """A font's family, and the subset of `characters` that the font has."""
    from matplotlib.ft2font import FT2Font

    font: Any
    try:
        font = FT2Font(file)
        scalable, codes = font.scalable, font.get_charmap()
    except (OSError, RuntimeError, ValueError):  # broken, or of a kind that matplotlib cannot draw
        return "", frozenset()
    family = font.family_name
    if not scalable or any(word in family.lower() for word in _USELESS):
        return family, frozenset()
    return family, frozenset(c for c in characters if ord(c) in codes)


def _plainness(family: str) -> tuple[bool, bool, int]:
    return "Sans" in family, "Mono" not in family, -len(family)


def _line(lacking: str) -> str:
    if not lacking:
        return ""
    shown = " ".join(lacking[:_SHOWN]) + (" …" if len(lacking) > _SHOWN else "")
    script = unicodedata.name(lacking[0], "").partition(" ")[0]
    remedy = {
        **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"), "Noto Sans CJK"),
        **{script: f"Noto Sans {script.title()}" for script in ("ARABIC", "HEBREW", "THAI")},
    }.get(script, "one of the Noto fonts")
    return (
        f"the pictures show boxes instead of {shown}: no installed font has them; install one that "
        f"does, such as {remedy}"
    )
