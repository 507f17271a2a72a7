"""The equations as text, written from the terms that the NumPy equations run with."""

from typing import Any

Terms = dict[str, Any]


def _root(t: Terms, of: str) -> str:
    if not t["ε"]:
        return f"√{of}"
    return f"√({of} + {t['ε']:g})" if t["inside"] else f"(√{of} + {t['ε']:g})"


def rmsprop_eps(t: Terms) -> str:
    return f"θ ← θ − α g / {_root(t, 'E')}, E_0 = {t['E0']:g}"


def adagrad_eps(t: Terms) -> str:
    return f"θ ← θ − α g / {_root(t, 'G')}, G_0 = {t['G0']:g}"


def adam_eps(t: Terms) -> str:
    if t["hat"]:
        return f"θ ← θ − α √(1 − β2^t) / (1 − β1^t) · m / (√v + {t['ε']:g})"
    return f"θ ← θ − α m̂ / (√v̂ + {t['ε']:g})"


def velocity(t: Terms) -> str:
    if t["average"]:
        corrected = "α v / (1 − β^t)" if t["debias"] else "α v"
        return f"v ← β v + (1 − β) g ; θ ← θ − {corrected}"
    if t["dampening"]:
        return f"v ← g at first, then β v + (1 − {t['dampening']:g}) g ; θ ← θ − α v"
    if t["rate_inside"]:
        ahead = "β v + α g" if t["nesterov"] else "v"
        return f"v ← β v + α g ; θ ← θ − {'(' + ahead + ')' if t['nesterov'] else ahead}"
    return f"v ← β v + g ; θ ← θ − α {'(g + β v)' if t['nesterov'] else 'v'}"


def rmsprop_velocity(t: Terms) -> str:
    root, first = _root(t, "E"), f"E_0 = {t['E0']:g}"
    if t["rate_inside"]:
        return f"v ← μ v + α g / {root} ; θ ← θ − v, {first}"
    return f"v ← μ v + g / {root} ; θ ← θ − α v, {first}"


def decay(t: Terms) -> str:
    if t["coupled"]:
        return "g ← g + λ θ before the moments"
    hat = ", with ε̂" if t["hat"] else ""
    return ("θ ← θ − λ θ" if t["unscaled"] else "θ ← θ − α λ θ") + f" beside Adam's step{hat}"


def amsgrad(t: Terms) -> str:
    if t["corrected_first"]:
        return "max(v̂_1, …, v̂_t) in place of v̂_t"
    hat = ", with ε̂" if t["hat"] else ""
    return f"max(v_1, …, v_t) / (1 − β2^t) in place of v̂_t{hat}"
