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
    from_torch,
    like_torch,
    pure,
    torch_bias_init,
    torch_kernel_init,
)

SMALL = {"image_shape": (8, 8, 2), "features": (16, 24), "hidden": 40, "norm": "batch"}
# What follows a wrong distribution has p-values far below; the draws are fixed by their seeds.
LEAST_P = 1e-3


def is_uniform(values, fan_in):
    """Whether values fill ±1/√fan_in evenly, by range, moments and the Kolmogorov–Smirnov test."""
    x = np.asarray(values, np.float64).ravel() * math.sqrt(fan_in)
    assert abs(x).max() <= 1 + 1e-6
    assert abs(x).max() > 1 - 20 / x.size
    assert abs(x.mean()) < 5 * math.sqrt(1 / 3 / x.size)
    assert abs(x.var() - 1 / 3) < 5 * math.sqrt(4 / 45 / x.size)  # E x⁴ − (E x²)² = 1/5 − 1/9
    assert stats.kstest(x, stats.uniform(-1, 2).cdf).pvalue > LEAST_P


LAYERS = {
    "dense": (lambda rngs: nnx.Linear(50, 300, rngs=rngs), 50),
    "convolution": (lambda rngs: nnx.Conv(6, 200, (3, 5), rngs=rngs), 6 * 15),
    "groups": (lambda rngs: nnx.Conv(6, 200, (3, 5), feature_group_count=2, rngs=rngs), 3 * 15),
    "transposed": (lambda rngs: nnx.ConvTranspose(9, 200, (3, 5), rngs=rngs), 200 * 15),
    "transposed, kernel too": (
        lambda rngs: nnx.ConvTranspose(9, 200, (3, 5), transpose_kernel=True, rngs=rngs),
        200 * 15,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weight_and_bias_are_uniform_within_the_fan_in(name):
    make, fan_in = LAYERS[name]
    params = like_torch(1, make(nnx.Rngs(0)))
    is_uniform(params["kernel"], fan_in)
    is_uniform(params["bias"], fan_in)


THEIRS = {
    "dense": lambda nn: nn.Linear(50, 300),
    "convolution": lambda nn: nn.Conv2d(6, 200, (3, 5)),
    "groups": lambda nn: nn.Conv2d(6, 200, (3, 5), groups=2),
    "transposed": lambda nn: nn.ConvTranspose2d(9, 200, (3, 5)),
    "transposed, kernel too": lambda nn: nn.ConvTranspose2d(9, 200, (3, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_torch_draws_from_the_same_distribution(name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    make, fan_in = LAYERS[name]
    torch.manual_seed(0)
    theirs = THEIRS[name](torch.nn)
    ours = like_torch(0, make(nnx.Rngs(0)))
    for entry, drawn in (("kernel", theirs.weight), ("bias", theirs.bias)):
        drawn = drawn.detach().numpy().ravel()
        is_uniform(drawn, fan_in)
        assert stats.ks_2samp(np.asarray(ours[entry]).ravel(), drawn).pvalue > LEAST_P


def test_an_embedding_is_normal():
    params = like_torch(0, nnx.Embed(100, 50, rngs=nnx.Rngs(0)))
    assert stats.kstest(np.asarray(params["embedding"]).ravel(), "norm").pvalue > LEAST_P
    assert float(params["embedding"].std()) == pytest.approx(1, abs=0.05)


def test_norms_begin_as_the_identity():
    rngs = nnx.Rngs(0)
    kinds = [nnx.LayerNorm(4, rngs=rngs), nnx.GroupNorm(4, 2, rngs=rngs), nnx.RMSNorm(4, rngs=rngs)]
    for norm in kinds:
        norm.scale[...] = jnp.full(4, 7.0)
        if hasattr(norm, "bias"):
            norm.bias[...] = jnp.full(4, 7.0)
        params = like_torch(0, norm)
        assert (params.pop("scale") == 1).all()
        assert all((x == 0).all() for x in params.values())
    assert hasattr(kinds[0], "bias")


@pytest.mark.parametrize(("kind", "sizes"), [(CNN, SMALL), (MLP, {"widths": (40,)})])
def test_our_networks_begin_as_torch_does_layer_by_layer(kind, sizes):
    network = kind(nnx.Rngs(0), **sizes)
    before = pure(network)
    params = like_torch(0, network)
    jax.tree.map(np.testing.assert_array_equal, pure(network).params, before.params)  # untouched
    assert jax.tree.structure(params) == jax.tree.structure(before.params)
    layers = jax.tree.leaves(params, is_leaf=lambda x: isinstance(x, dict) and "bias" in x)
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


def test_our_cnn_has_the_deviations_of_the_same_network_in_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.models.torch_networks import torch_cnn

    torch.manual_seed(0)
    sizes = {**SMALL, "classes": 10, "norm": "none"}
    network = CNN(nnx.Rngs(0), **sizes)
    theirs, _ = from_torch(torch_cnn(**sizes).state_dict(), network)
    ours = like_torch(0, network)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert stats.ks_2samp(x.ravel(), y.ravel()).pvalue > LEAST_P
        assert not np.array_equal(x, y)


def test_a_seed_decides_and_layers_of_one_shape_differ():
    network = MLP(nnx.Rngs(0), image_shape=(2, 2, 1), widths=(4, 4))
    first, again, other = (like_torch(seed, network) for seed in (0, jax.random.key(0), 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["logits"]["kernel"], other["logits"]["kernel"])
    assert not np.array_equal(first["hidden"][0]["kernel"], first["hidden"][1]["kernel"])


class _Own(nnx.Module):
    """A class of a user's: a layer, a parameter and a dictionary of its own."""

    def __init__(self, rngs, layer):
        self.position = nnx.Param(jnp.full(3, 7.0))
        self.layer = layer
        self.head = nnx.Linear(4, 4, use_bias=False, rngs=rngs, param_dtype=jnp.bfloat16)


class _Gated(nnx.Linear):
    """A dense layer with one parameter more."""

    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.gate = nnx.Param(jnp.full(3, 7.0))


def test_parameters_of_a_users_own_stay_and_dtypes_too():
    network = _Own(nnx.Rngs(0), _Gated(64, 3, rngs=nnx.Rngs(1)))
    params = like_torch(0, network)
    assert (params["position"] == 7).all()
    assert (params["layer"]["gate"] == 7).all()
    assert abs(params["layer"]["kernel"]).max() <= 1 / 8
    kernel = params["head"]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    assert 0.25 < abs(kernel).max() <= 0.5


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
        like_torch(0, _Own(nnx.Rngs(0), layer(nnx.Rngs(1))))


def test_the_initialisers_serve_linen_and_nnx():
    key = jax.random.key(0)
    inits = {"kernel_init": torch_kernel_init, "bias_init": torch_bias_init(64)}
    params = linen.Dense(300, **inits).init(key, jnp.ones((1, 64)))["params"]
    layer = nnx.Linear(64, 300, **inits, rngs=nnx.Rngs(0))
    for kernel, bias in (params.values(), (layer.kernel[...], layer.bias[...])):
        is_uniform(kernel, 64)
        is_uniform(bias, 64)


def test_a_half_is_drawn_from_more_than_its_own_grid():
    """bfloat16 itself has 128 numbers in [1, 2): the smallest draws would all be 0."""
    x = torch_bias_init(1)(jax.random.key(0), (20_000,), jnp.bfloat16)
    assert x.dtype == jnp.bfloat16
    assert (x == 0).sum() == 0


@pytest.mark.parametrize("fan_in", [0, -1])
def test_a_fan_in_below_1_is_refused(fan_in):
    with pytest.raises(InputError, match=f"^fan_in={fan_in}: .*; pass"):
        torch_bias_init(fan_in)
