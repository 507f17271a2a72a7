"""From torch's list of parameters to JAX's tree, and back."""

from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from jaxopt_notes.conventions.arrangement import arrange_by, inverse
from jaxopt_notes.errors import InputError

SHAPES: dict[Any, tuple[int, ...]] = {"w": (4, 3), "conv": (5, 2, 3, 3), "b": (4,), "scale": ()}
VALUES = {
    name: np.random.default_rng(i).normal(size=shape).astype("float32")
    for i, (name, shape) in enumerate(SHAPES.items())
}


def transposed(of: Any) -> Any:
    return {
        "dense": {"kernel": of["w"].T, "bias": of["b"]},
        "conv": [of["conv"].transpose(2, 3, 1, 0)],
        "scale": of["scale"],
    }


def joined(of: Any) -> Any:
    rows = of["w"].reshape(2, 6)
    return [
        jnp.concatenate([rows[0], of["b"], of["conv"].ravel()[::-1]]),
        {"rest": rows[1:], "scale": of["scale"][None]},
    ]


@pytest.mark.parametrize(
    "arrange",
    [transposed, joined, {"b": "b", "c": "conv", "deep": ["scale", {"w": "w"}]}],
    ids=["transposed", "joined and split", "tree of names"],
)
def test_back_is_where_it_came_from(arrange: Any) -> None:
    params = arrange_by(arrange, VALUES)
    back = inverse(arrange, SHAPES, params)(params)
    assert back.keys() == VALUES.keys()
    for name, value in VALUES.items():
        np.testing.assert_array_equal(back[name], value, strict=True)


def test_dtypes_stay() -> None:
    values = {**VALUES, "b": VALUES["b"].astype(ml_dtypes.bfloat16)}
    params = transposed(values)
    back = inverse(transposed, SHAPES, params)(params)
    np.testing.assert_array_equal(back["b"], values["b"], strict=True)


def test_parameters_that_are_masked_are_left_out() -> None:
    params = transposed(VALUES)
    params["dense"]["kernel"] = optax.MaskedNode()
    for arrange in (transposed, {"x": "w", "y": ["b", "conv"], "z": "scale"}):
        whole = arrange_by(arrange, VALUES)
        tree = params if arrange is transposed else {**whole, "x": optax.MaskedNode()}
        assert inverse(arrange, SHAPES, whole)(tree).keys() == {"conv", "b", "scale"}
    halves = joined(VALUES)
    back = inverse(joined, SHAPES, halves)
    with pytest.raises(InputError, match="'w' is one parameter in torch, but the optimizer steps"):
        back([halves[0], {"rest": optax.MaskedNode(), "scale": halves[1]["scale"]}])


def only(change: Any) -> Any:
    return lambda of: {**{name: of[name] for name in SHAPES}, **change(of)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda of: {"w": of["w"] + of["b"][:, None]}, "cannot be undone: its leaf 3 repeats or"),
        (lambda of: {"w": of["w"] / 2}, "its leaf 3 repeats or computes"),
        (lambda of: {"b": -of["b"]}, "its leaf 0 repeats or computes"),
        (lambda of: {"w": np.zeros((4, 3))}, "repeats or computes"),
        (lambda of: {"w": of["w"] * np.nan}, "repeats or computes"),
        (lambda of: {"w": of["w"][:2]}, "it drops elements of 'w'"),
        (lambda of: {"b": np.zeros(0)}, "it drops elements of 'b'"),
        (lambda of: {"again": of["b"]}, "repeats or computes"),
    ],
)
def test_what_cannot_be_undone_is_refused(change: Any, says: str) -> None:
    arrange = only(change)
    with pytest.raises(InputError, match=says) as error:
        inverse(arrange, SHAPES, arrange(VALUES))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("as_tree", [True, False])
def test_params_of_another_shape_or_structure_are_refused(as_tree: bool) -> None:
    arrange = {name: name for name in SHAPES} if as_tree else only(lambda of: {})
    wrong = {**VALUES, "w": VALUES["w"].T}
    with pytest.raises(InputError, match=r"params\['w'\] has shape \[3, 4\], but `arrange` puts"):
        inverse(arrange, SHAPES, wrong)
    with pytest.raises(InputError, match="makes a tree with a different structure from params"):
        inverse(arrange, SHAPES, {**VALUES, "more": VALUES["w"]})
    with pytest.raises(InputError, match="no parameter is named 'scale'"):
        inverse(arrange, {n: SHAPES[n] for n in ("w", "conv", "b")}, VALUES)


def test_a_name_that_stands_twice_is_refused() -> None:
    tree = {**{name: name for name in SHAPES}, "again": "b"}
    with pytest.raises(InputError, match="`arrange` has 'b' twice"):
        inverse(tree, SHAPES, arrange_by(tree, VALUES))
