"""`packed`, `handover`, `adam_to_sgd` and `update_in_one_loop` where plain optimizers are used."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import jax_utils, nnx, serialization
from flax.core import freeze
from flax.training.train_state import TrainState
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_notes import (
    adam,
    adam_to_sgd,
    adamw,
    handover,
    pack_state,
    packed,
    sgd,
    unpack_state,
    update_in_one_loop,
)
from jaxopt_notes.optimizers import _one_loop
from tests.slow_cases import slow_but


def ones(*shape: int, dtype: Any = np.float32) -> jax.Array:
    return jax.device_put(np.ones(shape, dtype))


def line(*shape: int) -> jax.Array:
    x = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32)
    return jax.device_put(x.reshape(shape))


PARAMS = {"a": line(3), "b": {"w": ones(2, 2), "s": jnp.float32(2.0)}}


def where(condition: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda params: jax.tree.map(condition, params)


def handed_over(learning_rate: Any) -> Any:
    return handover(adam(learning_rate), sgd(learning_rate, momentum=0.9), 2)


def to_sgd(learning_rate: Any) -> Any:
    return adam_to_sgd(learning_rate, 2, sgd_learning_rate=0.05, carry="momentum")


MAKERS = {
    "packed": packed(adam),
    "packed handover": packed(handed_over),
    "handover": handed_over,
    "handover of packed": lambda lr: handover(packed(adam)(lr), packed(sgd)(lr, momentum=0.9), 2),
    "adam_to_sgd": to_sgd,
    "swats": adam_to_sgd,
}
PLAIN = {"packed": adam, "packed handover": handed_over, "handover of packed": handed_over}
PLAIN |= {name: make for name, make in MAKERS.items() if name not in PLAIN}

not_scalar, matrix = where(lambda x: jnp.ndim(x) > 0), where(lambda x: jnp.ndim(x) > 1)
labels = where(lambda x: "matrix" if jnp.ndim(x) > 1 else "other")
AROUND: dict[str, Callable[[Any], Any]] = {
    "chain": lambda o: optax.chain(optax.clip_by_global_norm(1.0), o, optax.scale(0.5)),
    "named_chain": lambda o: optax.named_chain(("clip", optax.clip(1.0)), ("o", o)),
    "MultiSteps": lambda o: optax.MultiSteps(o, 2),
    "masked": lambda o: optax.masked(o, not_scalar),
    "partition": lambda o: optax.partition({"matrix": o, "other": optax.sgd(0.1)}, labels),
    "apply_if_finite": lambda o: optax.apply_if_finite(o, 3),
    "flatten": optax.flatten,
    "nested": lambda o: optax.MultiSteps(
        optax.chain(optax.clip(1.0), optax.masked(optax.apply_if_finite(o, 3), not_scalar)), 2
    ),
    "schedule_free": lambda o: optax.contrib.schedule_free(o, 0.1),
    "split_real_and_imaginary": optax.contrib.split_real_and_imaginary,
    "reduce_on_plateau": lambda o: optax.chain(o, optax.contrib.reduce_on_plateau()),
    "conditionally_mask": lambda o: optax.conditionally_mask(o, lambda step: step % 2 == 0),
    "conditionally_transform": lambda o: optax.conditionally_transform(o, lambda k: k % 2 == 0),
    "selective_transform": lambda o: optax.transforms.selective_transform(
        o, freeze_mask=matrix(PARAMS)
    ),
    "freeze": lambda o: optax.chain(o, optax.transforms.freeze(matrix(PARAMS))),
}


class Pair(NamedTuple):
    x: Any
    y: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    w: Any
    b: Any


# Eight elements, as in PARAMS, where it can be: outside jit, each shape takes programs of its own.
TREES: dict[str, Any] = {
    "empty": {},
    "empty within": {"a": {}, "b": [], "c": None},
    "None": {"a": ones(8), "b": None},
    "a scalar": jnp.float32(2.0),
    "Python's numbers": {"a": 2.0, "b": 1.5},
    "no elements": {"a": ones(0, 3), "b": ones(8)},
    "FrozenDict": freeze({"a": ones(3), "b": {"c": ones(5)}}),
    "dataclass": Layer(ones(2, 2), ones(4)),
    "NamedTuple": Pair(ones(3), [ones(5)]),
    "nnx.State": jax.tree.map(
        lambda x: ones(*x.shape),
        nnx.state(nnx.eval_shape(lambda: nnx.Linear(1, 4, rngs=nnx.Rngs(0))), nnx.Param),
    ),
    "NumPy": {"a": np.ones(8, np.float32)},
    "mixed precision": {"a": ones(8, dtype=jnp.bfloat16), "b": ones(8)},
    "MaskedNode": {"a": ones(8), "b": optax.MaskedNode()},
}


def gradients(params: Any, k: int = 0) -> Any:
    return jax.tree.map(lambda x: x * 0.3 + 0.05 * k, params)


def given_gradients(params: Any, k: int = 0) -> Any:
    """`gradients` outside jit, without a program for each shape."""

    def gradient(x: Any) -> Any:
        if isinstance(x, jax.Array):
            return jax.device_put(np.asarray(gradients(np.asarray(x), k), x.dtype))
        return gradients(x, k)

    return jax.tree.map(gradient, params)


def run(optimizer: Any, params: Any, steps: int = 5, jit: bool = True) -> Any:
    extra = {"value": jnp.float32(1.0)}
    optimizer = optax.with_extra_args_support(optimizer)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state = optimizer.init(params)
    for k in range(steps):
        updates, state = update(given_gradients(params, k), state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(got: Any, expected: Any) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), got, expected)


def around(name: str, optimizer: Any) -> Any:
    built = AROUND[name](optimizer)
    if isinstance(built, optax.MultiSteps):
        return built.gradient_transformation()
    return built


@pytest.mark.parametrize("name", slow_but(["chain", "masked", "partition", "nested"], AROUND))
def test_a_packed_state_is_the_plain_one_at_any_depth(name: str) -> None:
    params, state = run(around(name, packed(adam)(0.1)), PARAMS)
    expected, plain = run(around(name, adam(0.1)), PARAMS)
    assert_close((params, unpack_state(state)), (expected, plain))
    again = pack_state(plain, like=around(name, packed(adam)(0.1)).init(PARAMS))
    assert_close(again, state)


@pytest.mark.slow
@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("maker", [name for name in MAKERS if name != "packed"])
def test_inside_each_wrapper_of_optax(name: str, maker: str) -> None:
    params, state = run(around(name, MAKERS[maker](0.1)), PARAMS)
    if "packed" in maker:
        assert_close((params, unpack_state(state)), run(around(name, PLAIN[maker](0.1)), PARAMS))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))


ON_TREES = [(maker, tree) for maker in MAKERS for tree in TREES]
QUICK_ON_TREES = [("packed", tree) for tree in TREES] + [("adam_to_sgd", "mixed precision")]


@pytest.mark.parametrize(("maker", "tree"), slow_but(QUICK_ON_TREES, ON_TREES))
def test_trees_of_every_kind(maker: str, tree: str) -> None:
    optimizer = MAKERS[maker](0.1)
    one_program = tree in ("a scalar", "mixed precision")  # instead of ten
    params, state = run(optimizer, TREES[tree], steps=1, jit=one_program)
    assert jax.tree.structure(params) == jax.tree.structure(TREES[tree])
    structure = jax.tree.structure(jax.eval_shape(optimizer.init, TREES[tree]))
    assert structure == jax.tree.structure(state)
    if tree != "nnx.State":  # its deep copy leaves the Variables out
        assert jax.tree.structure(copy.deepcopy(state)) == structure
    assert jax.tree.structure(pack_state(unpack_state(state), like=state)) == structure


@pytest.mark.parametrize("maker", MAKERS)
def test_a_state_is_written_and_read_by_flax_and_pickle(maker: str) -> None:
    params = {"a": line(4), "b": {"w": ones(4)}}
    start = TrainState.create(apply_fn=None, params=params, tx=MAKERS[maker](0.1))
    state = start.apply_gradients(grads=given_gradients(params))
    read = serialization.from_bytes(start, serialization.to_bytes(state))
    assert_close(read.opt_state, state.opt_state)
    named = serialization.from_state_dict(start, serialization.to_state_dict(state))
    assert_close(named.opt_state, state.opt_state)
    assert_close(pickle.loads(pickle.dumps(state.opt_state)), state.opt_state)
    read.apply_gradients(grads=given_gradients(params))


@pytest.mark.parametrize("maker", ["packed", "handover of packed"])
def test_orbax_writes_and_reads_a_packed_state(maker: str, tmp_path: Any) -> None:
    import orbax.checkpoint as ocp

    _, state = run(MAKERS[maker](0.1), PARAMS, steps=1)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        assert_close(checkpointer.restore(tmp_path / "state", jax.eval_shape(lambda: state)), state)


@pytest.mark.parametrize("maker", slow_but(["packed", "adam_to_sgd"], MAKERS))
def test_in_an_nnx_optimizer_which_is_split_and_merged(maker: str) -> None:
    x = line(2, 3)

    def train(make: Any) -> tuple[Any, nnx.Optimizer]:
        model = nnx.Linear(3, 2, kernel_init=lambda *_: line(3, 2), rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, make(0.1), wrt=nnx.Param)

        @nnx.jit
        def step(model: nnx.Linear, optimizer: nnx.Optimizer) -> None:
            optimizer.update(model, nnx.grad(lambda m: (m(x) ** 2).mean())(model))

        step(model, optimizer)
        optimizer = nnx.merge(*nnx.split(optimizer))
        for _ in range(3):
            step(model, optimizer)
        return nnx.to_pure_dict(nnx.state(model)), optimizer

    params, optimizer = train(MAKERS[maker])
    expected, plain = train(PLAIN[maker])
    assert_close(params, expected)
    states = (nnx.as_pure(unpack_state(o.opt_state)) for o in (optimizer, plain))
    leaves = map(jax.tree.leaves, states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), *leaves)


def test_packed_takes_the_name_and_the_arguments_of_what_it_packs() -> None:
    make = packed(adamw)
    assert (make.__name__, make.__doc__) == ("adamw", adamw.__doc__)
    assert inspect.signature(make) == inspect.signature(adamw)
    with pytest.raises(ValueError, match="b1="):
        make(0.1, b1=2.0)
    by_place = make(1.0, 0.9, 0.999, 1e-8, 0.0, None, 0.5, matrix(PARAMS))
    by_name = adamw(1.0, weight_decay=0.5, mask=matrix(PARAMS))
    assert_close(run(by_place, PARAMS, 1)[0], run(by_name, PARAMS, 1)[0])


@pytest.mark.parametrize("rate", [0.1, optax.linear_schedule(0.1, 0.0, 10)])
def test_injected_hyperparameters_of_a_packed_optimizer(rate: Any) -> None:
    ours = optax.inject_hyperparams(packed(adam))(learning_rate=rate)
    plain = optax.inject_hyperparams(adam)(learning_rate=rate)
    (params, state), (expected, expected_state) = run(ours, PARAMS), run(plain, PARAMS)
    assert_close((params, unpack_state(state)), (expected, expected_state))


def test_optax_walks_a_packed_state() -> None:
    optimizer = packed(adam)(0.1)
    state = optimizer.init(PARAMS)
    assert int(optax.tree.get(optax.tree.set(state, count=jnp.int32(3)), "count")) == 3
    moved = optax.tree.map_params(optimizer, lambda x: x + 1, state)
    assert_close(unpack_state(moved)[0].mu, jax.tree.map(np.ones_like, PARAMS))
    assert int(moved[0].count) == 0


def test_a_replicated_state_and_one_of_vmap_unpack() -> None:
    optimizer = packed(adam)(0.1)
    _, state = run(optimizer, PARAMS, 1)

    @jax.jit
    def there_and_back(many: Any) -> Any:
        return unpack_state(many), pack_state(unpack_state(many), like=many)

    for many in (jax_utils.replicate(state), jax.tree.map(lambda x: np.stack([x, x]), state)):
        unpacked, again = there_and_back(many)
        first = jax.tree.map(lambda x: np.asarray(x)[0], unpacked)
        assert_close(first, unpack_state(state))
        assert_close(again, many)


def test_what_packed_refuses_is_named() -> None:
    optimizer = packed(adamw)(0.1, mask=matrix)
    state = optimizer.init(PARAMS)
    with pytest.raises(ValueError, match="leaf 0 of the gradients is None"):
        optimizer.update(PARAMS | {"a": None}, state, PARAMS)
    with pytest.raises(ValueError, match=r"leaf 0 has shape \(1, 3\)"):
        optimizer.update(PARAMS | {"a": ones(1, 3)}, state, PARAMS)
    with pytest.raises(ValueError, match="'z'"):
        optimizer.update({"z": PARAMS["a"], "b": PARAMS["b"]}, state, PARAMS)
    with pytest.raises(ValueError, match="packed already"):
        packed(packed(adam))(0.1).init(PARAMS)


@pytest.mark.parametrize(
    "name", slow_but(["packed", "adam_to_sgd", "one loop"], [*MAKERS, "swats at T", "one loop"])
)
def test_on_a_mesh_of_explicit_axes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_one_loop, "one_loop_works", lambda: True)
    makers = MAKERS | {"swats at T": lambda rate: adam_to_sgd(rate, 2), "one loop": adam}
    optimizer, one_loop = makers[name](0.1), name == "one loop"
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Explicit,))

    def step(params: Any, state: Any) -> Any:
        if one_loop:
            return update_in_one_loop(optimizer, gradients(params), state, params)
        updates, state = optimizer.update(gradients(params), state, params)
        return optax.apply_updates(params, updates), state

    def walk(params: Any) -> Any:
        state = optimizer.init(params)
        for _ in range(3):
            params, state = jax.jit(step)(params, state)
        return params

    alone = {"w": line(4, 4), "b": ones(4)}
    lay = {"w": P("d", None), "b": P("d")}
    with jax.set_mesh(mesh):
        params = walk(jax.device_put(alone, {k: NamedSharding(mesh, p) for k, p in lay.items()}))
        assert {k: jax.typeof(x).sharding.spec for k, x in params.items()} == lay
    assert_close(jax.tree.map(np.asarray, params), walk(alone))
