"""`diagnose`: equal optimizers are called equal, differences are named, remedies work."""

import json
from functools import partial

import jax
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import conventions
from jaxopt_notes.diagnose import main
from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope import assert_same_optimizer, diagnose
from jaxopt_notes.microscope.calls import label
from jaxopt_notes.microscope.comparing import distance


def test_equal_optimizers_are_equal():
    diagnosis = diagnose(partial(optax.adam, 1e-3), partial(jaxopt_notes.adam, 1e-3))
    assert diagnosis.equal
    assert diagnosis.ulps == 0
    assert diagnosis.differences == ()
    assert "are equal: at most 0 units in the last place apart over 1,000 steps" in str(diagnosis)


def test_each_difference_is_named_with_the_keyword_that_removes_it():
    diagnosis = diagnose(partial(optax.rmsprop, 0.01), partial(conventions.torch.rmsprop, lr=0.01))
    assert not diagnosis.equal
    assert diagnosis.first_step == 1
    assert list(diagnosis.apart) == [10, 100, 1000]
    assert min(diagnosis.apart.values()) > 0.01
    assert [(d.name, d.first, d.second, d.change) for d in diagnosis.differences] == [
        ("ε", "inside the root", "outside the root", {"eps_in_sqrt": False}),
        ("β2, the decay of the second moment", "0.9", "0.99", {"decay": 0.99}),
    ]
    sizes = [d.apart for d in diagnosis.differences]
    assert sizes == sorted(sizes, reverse=True)
    assert diagnosis.fixed == "optax.rmsprop(learning_rate=0.01, eps_in_sqrt=False, decay=0.99)"
    assert diagnosis.fixed_ulps < 1000
    first, after = diagnosis.distances
    assert first[-1] > 0.01
    assert after[-1] < 1e-12


@pytest.mark.slow
def test_a_fault_of_ones_own_is_named():
    def careless(learning_rate):
        """Adam whose second moment is not corrected."""

        def update(grads, state, params=None):
            mean, square, t = state
            mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
            square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, square, grads)
            updates = jax.tree.map(
                lambda m, v: -learning_rate * m / (1 - 0.9**t) / (v**0.5 + 1e-8), mean, square
            )
            return updates, (mean, square, t + 1)

        zeros = partial(jax.tree.map, jax.numpy.zeros_like)
        return optax.GradientTransformation(lambda p: (zeros(p), zeros(p), 1), update)

    with pytest.raises(AssertionError) as failure:
        assert_same_optimizer(partial(careless, 1e-3), partial(optax.adam, 1e-3))
    assert "bias correction: of the first moment / of both moments" in str(failure.value)


def test_the_users_own_gradients():
    params = {"w": np.ones(3, np.float32)}
    grads = [{"w": np.full(3, s, np.float32)} for s in (1.0, 2.0, -1.0)]
    same = diagnose(optax.sgd(0.1), jaxopt_notes.sgd(0.1), params, grads)
    assert same.equal
    assert (same.steps, same.dtype) == (3, "float32")
    with pytest.raises(ValueError, match="pass both or neither"):
        diagnose(optax.sgd(0.1), optax.sgd(0.1), params)
    with pytest.raises(ValueError, match=r"grads\[0\]: its leaves differ from those of params"):
        diagnose(optax.sgd(0.1), optax.sgd(0.1), params, [{"v": grads[0]["w"]}])
    with pytest.raises(ValueError, match="grads: is empty"):
        diagnose(optax.sgd(0.1), optax.sgd(0.1), params, [])


def test_what_takes_no_steps_is_one_line():
    with pytest.raises(InputError, match="int: is not an optimizer; pass a transformation"):
        diagnose(3, optax.sgd(0.1))


def test_distances_are_in_units_in_the_last_place_and_nan_is_far():
    eps = np.finfo(np.float64).eps
    a = {"w": np.array([[1.0], [2.0], [2.0], [np.nan]])}
    b = {"w": np.array([[1.0], [2.0 + 4 * eps], [2.0 + 400 * eps], [2.0]])}
    apart = distance(a, b, "float64")
    np.testing.assert_allclose(apart.ulps, [2, 200, np.inf])
    assert apart.first_step == 2


def test_labels_are_what_one_would_write():
    assert label(partial(optax.adam, 1e-3, b1=0.8)) == "optax.adam(learning_rate=0.001, b1=0.8)"
    assert label(partial(jaxopt_notes.adam, 1e-3)) == "jaxopt_notes.adam(learning_rate=0.001)"
    assert label(optax.sgd(0.1)) == "GradientTransformationExtraArgs"


def test_the_command(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    words = ["optax.sgd", "learning_rate=0.1", "momentum=0.9", "--"]
    picture = tmp_path / "apart.png"
    assert main([*words, "optax.sgd", "learning_rate=0.1", "--json", "--out", str(picture)]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["first_step"] == 2
    assert value["differences"][0]["change"] == {"momentum": 0.0}
    assert value["fixed_ulps"] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*words, "jaxopt_notes.sgd", "learning_rate=0.1", "momentum=0.9"]) == 0
    assert " are equal: at most 0 units" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optax.adam", "learning_rate=1e-3"], "FACTORY: pass two optimizers with -- between them"),
        (["optax.sgd", "--", "optax.sdg"], "optax.sdg: optax has no sdg; did you mean optax.sgd?"),
        (
            ["optax.sgd", "--", "optax.sgd", "--dtype", "int8"],
            "--dtype int8: is unknown; pass one of float64",
        ),
        (["optax.sgd", "--out", "a.txt", "--", "optax.sgd"], "--out a.txt: pass a name that ends"),
        (["optax.lbfgs", "--", "optax.lbfgs"], "optax.lbfgs: cannot step on gradients alone"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mine", "torch_call"),
    [
        ("adagrad", ("Adagrad", {"lr": 0.01})),
        ("sgd", ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1})),
        ("adam", ("Adam", {"lr": 0.01, "amsgrad": True})),
    ],
)
def test_a_call_in_jax_equals_torchs_optimizer(mine, torch_call):
    torch = pytest.importorskip("torch")
    name, keywords = torch_call
    diagnosis = diagnose(
        partial(getattr(optax, mine), 0.01), partial(getattr(torch.optim, name), **keywords)
    )
    assert not diagnosis.equal
    assert diagnosis.instead.startswith(f"jaxopt_notes.conventions.torch.{name.lower()}(lr=0.01")
