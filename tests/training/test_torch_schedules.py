"""The learning rates of `--schedule` with a torch scheduler are torch's."""

import numpy as np
import pytest

from jaxopt_notes.errors import InputError
from jaxopt_notes.training.schedules import schedule

STEPS = 30
CALLS = [
    "StepLR(3)",
    "StepLR(2, gamma=0.5, every=4)",
    "MultiStepLR([3, 3, 17], 0.5)",
    "ExponentialLR(0.9)",
    "ConstantLR(0.2, total_iters=7)",
    "LinearLR(0.1, total_iters=7)",
    "PolynomialLR(40, 2.0)",
    "CosineAnnealingLR(8, 0.01)",
    "CosineAnnealingWarmRestarts(3)",
    "CosineAnnealingWarmRestarts(3, 2, 0.001)",
    "OneCycleLR(30)",
    "OneCycleLR(40, 0.4, 'linear', 10, 100, True)",
    "SequentialLR([LinearLR(0.1, total_iters=4), CosineAnnealingLR(30)], [4])",
    "SequentialLR([ConstantLR(), StepLR(3), ExponentialLR(0.8)], [6, 12])",
]


def by_torch(text):
    """The learning rates of torch's own scheduler; the text is ours, written above."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)

    def make(kind):
        def made(*arguments, **more):
            if kind == "OneCycleLR":
                total, *rest = arguments
                names = ("pct_start", "anneal_strategy", "div_factor", "final_div_factor")
                more = dict(zip((*names, "three_phase"), rest))
                arguments, more = (0.1, total), {**more, "cycle_momentum": False}
            return getattr(torch.optim.lr_scheduler, kind)(optimizer, *arguments, **more)

        return made

    every = 4 if "every" in text else 1
    kinds = {name: make(name) for name in dir(torch.optim.lr_scheduler) if name.endswith("LR")}
    kinds["CosineAnnealingWarmRestarts"] = make("CosineAnnealingWarmRestarts")
    scheduler = eval(text.replace(", every=4", ""), kinds)
    rates = []
    for k in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (k + 1) % every == 0:
            scheduler.step()
    return rates


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("text", CALLS)
def test_it_is_torchs(text):
    rate = schedule(text, 0.1, STEPS)
    ours = [float(rate(k)) for k in range(STEPS)]
    np.testing.assert_allclose(ours, by_torch(text), rtol=1e-6, atol=1e-12)


def test_a_one_cycle_that_ends_before_the_run_is_refused():
    with pytest.raises(InputError, match=r"OneCycleLR.*: the run has 31 steps; pass as many"):
        schedule("OneCycleLR(total_steps=30)", 0.1, 31)


def test_a_run_trains_with_it(ran):
    run = ran("--schedule StepLR(step_size=1,gamma=0.5,every=4)")
    assert run.code == 0
    assert "adam(0.003 StepLR(step_size=1, gamma=0.5, every=4)): 2 × 4 steps" in run.out
