"""The letters of the equations, taken from the papers and the study notes."""

from collections.abc import Iterable, Mapping

from jaxopt_notes.microscope.equations.slots import Slot

_HYPERPARAMETERS = {
    "learning_rate": "α", "lr": "α", "eta": "α", "step_size": "α",
    "b1": "β₁", "beta1": "β₁", "beta_1": "β₁", "betas[0]": "β₁",
    "b2": "β₂", "beta2": "β₂", "beta_2": "β₂", "betas[1]": "β₂",
    "b3": "β₃", "beta3": "β₃", "betas[2]": "β₃",
    "eps": "ε", "epsilon": "ε", "eps_root": "ε_root",
    "weight_decay": "λ", "decay": "β", "rho": "β", "beta": "β", "decay_rate": "β",
    "max_norm": "c", "max_delta": "δ", "dampening": "τ",
    "trust_coefficient": "η", "gamma": "γ", "momentum": "μ",
    "eta_plus": "η₊", "eta_minus": "η₋",
    "initial_accumulator_value": "G₀", "initial_scale": "E₀", "lr_decay": "κ",
}  # fmt: skip
_SLOTS = {
    "mu": "m", "nu": "v", "nu_max": "s", "count": "t", "trace": "v", "sum_of_squares": "G",
    "ema": "v", "e_g": "E", "e_x": "D", "acc_grads": "a", "mini_step": "i", "grad_sum": "G",
    "gradient_step": "t", "learning_rate": "α", "prev_updates": "p",
    "previous_gradient": "p", "exp_avg": "m", "exp_avg_sq": "v", "prev_grad": "p",
    "cumulative_gradients": "z", "init_particles": "w", "init_params": "w", "params0": "w",
    "m1": "m₁", "m2": "m₂",
}  # fmt: skip
_SPARE = {"v": "bcw", "m": "nq", "a": "ā", "t": "n"}


def of_hyperparameters(names: Iterable[str], settings: Iterable[str]) -> dict[str, str]:
    """The letter of each hyperparameter; its name if the letter is taken."""
    known = set(settings)
    letters: dict[str, str] = {}
    averaged = known & {"decay", "rho", "beta", "decay_rate"} or {"alpha", "lr"} <= known
    for name in names:
        letter = _HYPERPARAMETERS.get(name, name)
        if name == "alpha":  # torch's decay if there is an `lr`, else the notes' learning rate
            letter = "β" if "lr" in known else "a" if "learning_rate" in known else "α"
        if name == "momentum" and not averaged:
            letter = "β"
        letters[name] = letter if letter not in letters.values() else name
    return letters


def of_schedules(names: Iterable[str], settings: Iterable[str]) -> dict[str, str]:
    """The letters of schedules, such as α_t for a learning rate."""
    return {k: f"{v}_t" for k, v in of_hyperparameters(names, settings).items()}


def of_slot(slot: Slot, taken: Mapping[str, int] | Iterable[str]) -> str:
    """A letter for a slot of the state, unique among the slots of its array."""
    second = "Rms" in slot.owner or "StdDev" in slot.owner
    letter = "E" if second and slot.field == "nu" else _SLOTS.get(slot.field, slot.field)
    letter = letter.strip("_") or "s"
    for choice in (letter, *_SPARE.get(letter, "")):
        if choice not in taken:
            return choice
    digits = 2
    while f"{letter}{subscript(digits)}" in taken:
        digits += 1
    return f"{letter}{subscript(digits)}"


def subscript(number: int) -> str:
    """A number as a subscript.

    >>> subscript(12)
    '₁₂'
    """
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))
