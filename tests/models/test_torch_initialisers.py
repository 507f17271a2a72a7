"""Initial parameters have the distribution of torch's: range, moments, Kolmogorov–Smirnov."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from scipy import stats

from jaxopt_notes.errors import InputError
from jaxopt_notes.models import (
    CNN,
    MLP,
    like_torch,
    pure,
    torch_bias_init,
    torch_kernel_init,
)
from tests.models.filled import filled

SMALL = {"image_shape": (8, 8, 2), "features": (16, 24), "hidden": 40, "norm": "batch"}
# Draws from a wrong distribution have far lower p-values; the seeds fix the draws.
LEAST_P = 1e-3


def is_uniform(values, fan_in):
    """Whether values fill ±1/√fan_in evenly, by range, moments and the Kolmogorov–Smirnov test."""
    x = np.asarray(values, np.float64).ravel() * math.sqrt(fan_in)
    assert abs(x).max() <= 1 + 1e-6
    assert abs(x).max() > 1 - 20 / x.size
    assert abs(x.mean()) < 5 * math.sqrt(1 / 3 / x.size)
    assert abs(x.var() - 1 / 3) < 5 * math.sqrt(4 / 45 / x.size)  # E x⁴ − (E x²)² = 1/5 − 1/9
    assert stats.kstest(x, stats.uniform(-1, 2).cdf).pvalue > LEAST_P


# name: the layer in Flax, in torch, and its fan-in
LAYERS = {
    "dense": (nnx.Linear, (50, 300), {}, "Linear", 50),
    "convolution": (nnx.Conv, (6, 200, (3, 5)), {}, "Conv2d", 6 * 15),
    "groups": (nnx.Conv, (6, 200, (3, 5)), {"feature_group_count": 2}, "Conv2d", 3 * 15),
    "transposed": (nnx.ConvTranspose, (9, 200, (3, 5)), {}, "ConvTranspose2d", 200 * 15),
    "transposed kernel": (
        nnx.ConvTranspose,
        (9, 200, (3, 5)),
        {"transpose_kernel": True},
        "ConvTranspose2d",
        200 * 15,
    ),
}
NORMS = {
    "layer": lambda rngs: nnx.LayerNorm(4, rngs=rngs),
    "group": lambda rngs: nnx.GroupNorm(4, 2, rngs=rngs),
    "root": lambda rngs: nnx.RMSNorm(4, rngs=rngs),
    "batch": lambda rngs: nnx.BatchNorm(4, rngs=rngs),
}


class _Gated(nnx.Linear):
    """A dense layer with one parameter more."""

    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.gate = nnx.Param(jnp.zeros(3))


class _Users(nnx.Module):
    """Layers of each kind, and a parameter of its own."""

    def __init__(self, rngs):
        self.sums = nnx.Dict(
            {
                name: kind(*sizes, **options, rngs=rngs)
                for name, (kind, sizes, options, *_) in LAYERS.items()
            }
        )
        self.embed = nnx.Embed(100, 50, rngs=rngs)
        self.norms = nnx.Dict({name: make(rngs) for name, make in NORMS.items()})
        self.position = nnx.Param(jnp.zeros(3))
        self.gated = _Gated(64, 3, rngs=rngs)
        self.half = nnx.Linear(4, 4, use_bias=False, rngs=rngs, param_dtype=jnp.bfloat16)


@pytest.fixture(scope="module")
def users():
    """`like_torch` of all these layers, which are full of sevens before."""
    return jax.tree.map(np.asarray, like_torch(1, filled(_Users, 7.0)))


@pytest.mark.parametrize("name", LAYERS)
def test_weight_and_bias_are_uniform_within_the_fan_in(users, name):
    *_, fan_in = LAYERS[name]
    is_uniform(users["sums"][name]["kernel"], fan_in)
    is_uniform(users["sums"][name]["bias"], fan_in)


@pytest.mark.parametrize("name", LAYERS)
def test_torch_draws_from_the_same_distribution(users, name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    _, sizes, options, kind, fan_in = LAYERS[name]
    torch.manual_seed(0)
    groups = {"groups": options["feature_group_count"]} if "feature_group_count" in options else {}
    torch_layer = getattr(torch.nn, kind)(*sizes, **groups)
    for entry, drawn in (("kernel", torch_layer.weight), ("bias", torch_layer.bias)):
        drawn = drawn.detach().numpy().ravel()
        is_uniform(drawn, fan_in)
        ours = np.asarray(users["sums"][name][entry]).ravel()
        assert ours.size == drawn.size
        assert stats.ks_2samp(ours, drawn).pvalue > LEAST_P


def test_an_embedding_is_normal(users):
    drawn = np.asarray(users["embed"]["embedding"]).ravel()
    assert stats.kstest(drawn, "norm").pvalue > LEAST_P
    assert drawn.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_begins_as_the_identity(users, name):
    params = dict(users["norms"][name])
    assert (params.pop("scale") == 1).all()
    assert len(params) == (name != "root")
    assert all((x == 0).all() for x in params.values())


def test_parameters_of_a_users_own_stay_and_dtypes_too(users):
    assert (users["position"] == 7).all()
    assert (users["gated"]["gate"] == 7).all()
    assert 0.1 < abs(users["gated"]["kernel"]).max() <= 1 / 8
    kernel = users["half"]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    assert 0.25 < abs(kernel).max() <= 0.5


def test_our_network_begins_as_torch_does_layer_by_layer():
    network = filled(lambda rngs: CNN(rngs, **SMALL))
    before = pure(network)
    params = like_torch(0, network)
    jax.tree.map(np.testing.assert_array_equal, pure(network).params, before.params)  # untouched
    assert jax.tree.structure(params) == jax.tree.structure(before.params)
    layers = jax.tree.leaves(
        jax.tree.map(np.asarray, params), is_leaf=lambda x: isinstance(x, dict) and "bias" in x
    )
    for layer in layers:
        if "scale" in layer:
            assert (layer["scale"] == 1).all()
            assert (layer["bias"] == 0).all()
        else:
            is_uniform(layer["kernel"], math.prod(layer["kernel"].shape[:-1]))
            assert abs(layer["bias"]).max() <= math.prod(layer["kernel"].shape[:-1]) ** -0.5
            assert len(set(layer["bias"].tolist())) > 1
    nnx.update(network, params)
    jax.tree.map(np.testing.assert_array_equal, pure(network).params, params)


def test_a_seed_decides_and_layers_of_one_shape_differ():
    network = filled(lambda rngs: MLP(rngs, image_shape=(2, 2, 1), widths=(4, 4)))
    drawn = jax.jit(lambda key: like_torch(key, network))
    first = like_torch(0, network)
    again, other = (drawn(jax.random.key(seed)) for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["logits"]["kernel"], other["logits"]["kernel"])
    assert not np.array_equal(first["hidden"][0]["kernel"], first["hidden"][1]["kernel"])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda rngs: nnx.LSTMCell(2, 3, rngs=rngs), r"layer\.\S+ belongs to a LSTMCell"),
        (lambda rngs: nnx.MultiHeadAttention(2, 4, rngs=rngs), "a MultiHeadAttention"),
        (lambda rngs: nnx.LoRALinear(2, 2, lora_rank=1, rngs=rngs), "a LoRA"),
        (lambda rngs: nnx.Einsum("ab,bc->ac", (2, 3), (3,), rngs=rngs), "an? Einsum"),
    ],
)
def test_a_layer_that_torch_lays_out_in_another_way_is_refused(layer, words):
    with pytest.raises(InputError, match=f"^network: .*{words}.*; draw its"):
        like_torch(0, filled(lambda rngs: nnx.Dict(layer=layer(rngs))))


def test_the_initialisers_serve_linen_and_nnx():
    key = jax.random.key(0)
    inits = {"kernel_init": torch_kernel_init, "bias_init": torch_bias_init(64)}
    params = linen.Dense(300, **inits).init(key, np.ones((1, 64), np.float32))["params"]
    layer = nnx.Linear(64, 300, **inits, rngs=nnx.Rngs(0))
    for kernel, bias in (params.values(), (layer.kernel[...], layer.bias[...])):
        is_uniform(kernel, 64)
        is_uniform(bias, 64)


def test_a_half_is_drawn_from_more_than_its_own_grid():
    """bfloat16 itself has 128 numbers in [1, 2): the smallest draws would all be 0."""
    x = torch_bias_init(1)(jax.random.key(0), (20_000,), jnp.bfloat16)
    assert x.dtype == jnp.bfloat16
    assert np.asarray(x).all()


@pytest.mark.parametrize("fan_in", [0, -1])
def test_a_fan_in_below_1_is_refused(fan_in):
    with pytest.raises(InputError, match=f"^fan_in={fan_in}: .*; pass"):
        torch_bias_init(fan_in)
