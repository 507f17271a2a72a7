"""The networks of the studies on batch normalisation, against XLA's convolution and by hand.

`nnx.eval_shape` makes a network without values: drawing its weights would take many programs.
"""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import lax
from scipy.special import softmax

from jaxopt_notes.models import BatchNorm, pure
from jaxopt_notes.studies.claims import batch_noise, batch_normalisation
from jaxopt_notes.studies.normalised import (
    Convolutional,
    Dense,
    GroupedNorm,
    Mixture,
    grouped,
    patches,
)
from jaxopt_notes.studies.sweeps import Runs

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return np.float32(RNG.normal(size=shape))


@jax.jit
def on_patches_and_by_xla(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    layout = ("NHWC", "HWIO", "NHWC")
    wanted = lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=layout)
    return patches(x) @ kernel.reshape(27, 4), wanted


@pytest.mark.parametrize("side", [6, 7])
def test_a_dense_layer_on_patches_is_a_convolution_of_stride_2(side: int) -> None:
    output, wanted = on_patches_and_by_xla(normal(2, side, side, 3), normal(3, 3, 3, 4))
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


def test_statistics_of_the_whole_batch_are_batch_normalisation() -> None:
    @jax.jit
    def outputs_and_averages(x: jax.Array) -> list[tuple[jax.Array, ...]]:
        ours = GroupedNorm(5, 8, nnx.Rngs(0))
        wanted = BatchNorm(5, rngs=nnx.Rngs(0), unbiased_running_variance=True)
        return [(norm(x), norm.mean[...], norm.var[...]) for norm in (ours, wanted)]

    (y, mean, var), (wanted, wanted_mean, wanted_var) = outputs_and_averages(3 * normal(8, 5) + 1)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, wanted_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var, wanted_var, rtol=1e-5)


def test_each_group_is_normalised_by_its_own_images() -> None:
    @jax.jit
    def trained_and_evaluated(x: jax.Array) -> list[tuple[jax.Array, ...]]:
        norm, results = GroupedNorm(2, 3, nnx.Rngs(0)), []
        for mode in (norm.train, norm.eval):
            mode()
            results.append((norm(x), norm.mean[...], norm.var[...]))
        return results

    single = normal(6, 2)
    (output, mean, var), evaluated = jax.device_get(trained_and_evaluated(single))
    x = np.float64(single)
    groups = [x[:3], x[3:]]
    wanted = [(g - g.mean(0)) / np.sqrt(g.var(0) + 1e-5) for g in groups]
    np.testing.assert_allclose(output, np.concatenate(wanted), rtol=1e-4, atol=1e-5)
    unbiased = np.mean([g.var(0, ddof=1) for g in groups], axis=0)
    np.testing.assert_allclose(mean, 0.1 * x.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * unbiased, rtol=1e-5)
    serves = (x - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(evaluated[0], serves, rtol=1e-4, atol=1e-5)
    assert (evaluated[1] == mean).all()
    assert (evaluated[2] == var).all()


def test_the_mixture_weighs_its_experts_by_the_gate() -> None:
    model = pure(nnx.eval_shape(lambda: Mixture(nnx.Rngs(0), norm=False)))
    images = normal(3, 28, 28, 1)
    params = jax.tree.map(lambda leaf: normal(*leaf.shape) / leaf.shape[0] ** 0.5, model.params)
    output, _ = jax.jit(model.apply)(params, model.batch_stats, images)

    def dense(layer: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        return x @ layer["kernel"] + layer["bias"]

    x = np.maximum(dense(params["trunk"]["dense"], images.reshape(3, -1)), 0)
    weights = softmax(dense(params["gate"], x), axis=1)
    inside = np.maximum(dense(params["inside"]["dense"], x), 0).reshape(3, 4, 32)
    kernel = params["logits"]["kernel"].reshape(4, 32, 10)
    by_expert = np.einsum("bkf,kfc->bkc", inside, kernel)
    wanted = (weights[:, :, None] * by_expert).sum(1) + params["logits"]["bias"]
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Dense, Convolutional, Mixture])
def test_networks_differ_by_their_normalisation_only(kind: type) -> None:
    plain, batch = (
        pure(nnx.eval_shape(lambda norm=norm: kind(nnx.Rngs(0), norm))) for norm in (False, True)
    )
    added = sum(leaf.size for leaf in jax.tree.leaves(batch.batch_stats))
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(m.params)) for m in (plain, batch)]
    assert sizes[1] - sizes[0] == added > 0  # γ and β, of as many features as μ and σ²
    assert not jax.tree.leaves(plain.batch_stats)


def test_the_grouped_network_is_the_dense_one_with_other_norms() -> None:
    network = nnx.eval_shape(lambda: grouped(nnx.Rngs(0), (6, 4), 2))
    assert [norm.size for norm in network.norms] == [2, 2]
    names = [layer.name for layer in network.layers()]
    assert names == ["flatten", *["dense 6", "batch norm", "relu"], *["dense 4"], *names[5:]]
    assert names[5:] == ["batch norm", "relu", "dense 10"]


def runs(batch_loss: list[list[float]], held: list[float]) -> Runs:
    """One trial a row of `held`; each with the losses of its steps, for one seed."""
    accuracy = np.array(held)[:, None, None]
    part = {"train": accuracy, "held": accuracy, "test": accuracy}
    return Runs(np.array(batch_loss)[:, None], part, part, np.zeros((len(held), 1, 1), np.uint8))


def test_speed_is_when_the_plain_network_s_last_loss_is_reached() -> None:
    plain = runs([[4, 3, 2, 1], [9, 9, 9, 9]], [0.9, 0.8])
    batch = runs([[9, 9, 9, 9], [3, 1, 0.5, 0.5]], [0.8, 0.9])
    assert batch_normalisation.share_of_steps(plain, batch, 1).tolist() == [0.5]
    assert batch_normalisation.share_of_steps(plain, batch, 2).tolist() == [0.75]
    assert batch_normalisation.share_of_steps(batch, plain, 1).tolist() == [np.inf]


def test_usable_rates_are_counted_by_one_line_for_all() -> None:
    setting = {"rates": [0.01, 1.0, 3], "steady_at": 0.88}
    assert batch_normalisation.usable(runs([[1]] * 3, [0.9, 0.95, 0.9]), setting) == [2]
    assert batch_normalisation.usable(runs([[1]] * 3, [0.9, 0.95, 0.1]), setting)[0] < 1.5
    assert batch_normalisation.usable(runs([[1]] * 3, [0.87, 0.87, 0.87]), setting) == [0]


def test_the_noise_s_strength_is_chosen_on_the_validation_set() -> None:
    runs_by_strength = {32: runs([[1]], [0.9]), 8: runs([[1], [1]], [0.5, 0.95])}
    assert batch_noise.best(runs_by_strength) == 8
