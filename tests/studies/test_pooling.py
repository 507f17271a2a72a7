"""The five forms of the study on pooling, and the shifts that it shows them."""

from typing import Any

import numpy as np
import pytest
from flax import nnx

from jaxopt_notes.models import parameter_count, pure
from jaxopt_notes.studies.claims import pooling
from jaxopt_notes.studies.study import about

SMALL: dict[str, Any] = {
    **about("pooling").setting_for(quick=True),
    **{"seeds": 1, "images": 64, "batch": 16},
}


def test_the_forms_are_of_one_size_but_for_the_global_average() -> None:
    setting = {**about("pooling").setting, "hidden": 128}
    size = {
        form: parameter_count(
            pure(nnx.eval_shape(lambda form=form: pooling.network(form, 0, setting))).params
        )
        for form in ("max", "stride", "gap", "none")
    }
    assert size["max"] == size["stride"]
    assert size["none"] == pytest.approx(size["max"], rel=0.05)
    conv = 9 * 16 + 16 + 9 * 16 * 32 + 32
    assert size["max"] == conv + 7 * 7 * 32 * 128 + 128 + 128 * 10 + 10
    assert size["gap"] == conv + 32 * 10 + 10


def test_each_image_is_shifted_by_its_own_distance_to_its_own_side() -> None:
    images = np.random.default_rng(0).integers(1, 255, (16, 6, 6, 1), dtype=np.uint8)
    moved = pooling.shifted(images, [1, 3])
    for i, (image, shift) in enumerate(zip(images, moved)):
        by, side = (1, 3)[i // 4 % 2], i % 4
        axis, sign = (1, 0)[side // 2], (1, -1)[side % 2]
        wanted = np.roll(image, sign * by, axis)
        empty = np.arange(6) < by if sign > 0 else np.arange(6) >= 6 - by
        wanted[(slice(None), empty) if axis == 1 else empty] = 0
        np.testing.assert_array_equal(shift, wanted, err_msg=f"image {i}")
    right = np.arange(16).reshape(1, -1) // 4 % 2 == 0  # those shifted by 1
    assert pooling.by_shift(right, 2).tolist() == [[1, 1, 0]]


@pytest.mark.slow
def test_rate_and_length_are_a_part_of_the_state() -> None:
    form = pooling.compiled("stride", SMALL)
    images = np.asarray(pooling.dealt(0, SMALL).held.images)
    still = pooling.trained(form, 0, 1e-12, SMALL)
    moved = pooling.trained(form, 0, 1e-2, SMALL)
    half = pooling.trained(form, 0, 1e-2, SMALL, 0.5)
    assert [int(state.step) for state in (still, moved, half)] == [8, 8, 4]
    network = pure(pooling.network("stride", 0, SMALL))
    for leaf in ("kernel", "bias"):
        begun = network.params["logits"][leaf]
        np.testing.assert_allclose(still.params["logits"][leaf], begun, atol=1e-6)
    assert (pooling.predicted(form, moved, images) != pooling.predicted(form, half, images)).any()
    assert len(pooling.predicted(form, moved, images)) == len(images)
    # The last step of a cosine is all but 0, so that the halved run ended on it.
    hyper = half.opt_state.hyperparams
    assert (float(hyper["rate"]), float(hyper["steps"])) == (np.float32(1e-2), 4.0)
