"""state_dicts become our trees and back; what does not fit is refused by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import CNN, MLP, from_torch, pure, to_torch, torch_arrangement
from tests.models.filled import filled
from tests.slow_cases import slow_but

SMALL = {"image_shape": (8, 12, 3), "classes": 5, "features": (2, 4), "hidden": 6}


@pytest.fixture(scope="module")
def network():
    return filled(lambda rngs: CNN(rngs, norm="batch", **SMALL))


@pytest.fixture
def state_dict():
    """As torch would give it: positions in nn.Sequential, every array of distinct numbers."""
    shapes = {
        **{"0.weight": (2, 3, 3, 3), "0.bias": (2,)},
        **{f"1.{entry}": (2,) for entry in ("weight", "bias", "running_mean", "running_var")},
        **{"1.num_batches_tracked": (), "4.weight": (4, 2, 3, 3), "4.bias": (4,)},
        **{f"5.{entry}": (4,) for entry in ("weight", "bias", "running_mean", "running_var")},
        **{"5.num_batches_tracked": (), "9.weight": (6, 24), "9.bias": (6,)},
        **{f"10.{entry}": (6,) for entry in ("weight", "bias", "running_mean", "running_var")},
        **{"10.num_batches_tracked": (), "12.weight": (5, 6), "12.bias": (5,)},
    }
    rng = np.random.default_rng(0)
    return {name: rng.random(shape).astype(np.float32) for name, shape in shapes.items()}


def test_there_and_back_is_bit_for_bit(network, state_dict):
    params, batch_stats = from_torch(state_dict, network)
    model = pure(network)
    assert jax.tree.structure(params) == jax.tree.structure(model.params)
    assert jax.tree.structure(batch_stats) == jax.tree.structure(model.batch_stats)
    again = to_torch(params, batch_stats, network)
    assert list(again) == list(state_dict)
    for name, array in state_dict.items():
        if not name.endswith("tracked"):
            np.testing.assert_array_equal(again[name], array)
    assert again["1.num_batches_tracked"].dtype == np.int64


def test_what_torch_writes_later_changes_nothing_here(network, state_dict):
    array = np.zeros(64 + 5, np.float32)
    array = array[-array.ctypes.data % 64 // 4 :][:5]  # JAX shares memory that begins so
    params, _ = from_torch(state_dict | {"12.bias": array}, network)
    array += 1
    np.testing.assert_array_equal(params["logits"]["bias"], np.zeros(5))


def test_each_number_lands_where_torch_reads_it(network, state_dict):
    params, batch_stats = jax.tree.map(np.asarray, from_torch(state_dict, network))
    kernel = params["blocks"][1]["kernel"]
    assert kernel[2, 0, 1, 3] == state_dict["4.weight"][3, 1, 2, 0]
    # Row 1, column 2, channel 3 of (2, 3, 4): torch counts channels first, we count them last.
    torch_index, our_index = 3 * 6 + 1 * 3 + 2, (1 * 3 + 2) * 4 + 3
    assert params["dense"]["kernel"][our_index, 5] == state_dict["9.weight"][5, torch_index]
    assert params["logits"]["kernel"][4, 2] == state_dict["12.weight"][2, 4]
    np.testing.assert_array_equal(params["norms"][2]["scale"], state_dict["10.weight"])
    np.testing.assert_array_equal(batch_stats["norms"][1]["var"], state_dict["5.running_var"])


def test_an_mlp_sees_colour_images_in_torch_order():
    network = filled(lambda rngs: MLP(rngs, image_shape=(2, 3, 3), classes=4, widths=()))
    weight = np.random.default_rng(0).random((4, 18), np.float32)
    params, _ = from_torch({"1.weight": weight, "1.bias": np.zeros(4, np.float32)}, network)
    images = np.random.default_rng(1).random((2, 2, 3, 3), np.float32)
    logits = jax.jit(pure(network).apply)(params, {}, images)[0]
    expected = images.transpose(0, 3, 1, 2).reshape(2, -1) @ weight.T
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_layers_may_have_names_of_their_own(network, state_dict):
    names = ["conv1", "bn1", "conv2", "bn2", "fc1", "bn3", "fc2"]
    called = dict(zip(["0", "1", "4", "5", "9", "10", "12"], names, strict=True))
    renamed = {
        f"net.{called[name.split('.')[0]]}.{name.split('.')[1]}": array
        for name, array in state_dict.items()
    }
    params, batch_stats = from_torch(renamed, network)
    jax.tree.map(np.testing.assert_array_equal, params, from_torch(state_dict, network)[0])
    again = to_torch(params, batch_stats, network, names=[f"net.{name}" for name in names])
    assert list(again) == list(renamed)


class Tensor:
    """The part of torch's that is asked for."""

    def __init__(self, array, dtype="torch.float32"):
        self.array, self.dtype = array, dtype

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return Tensor(self.array)

    def numpy(self):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_are_turned_into_arrays(network, state_dict, dtype):
    tensors = {name: Tensor(array, dtype) for name, array in state_dict.items()}
    params, _ = from_torch(tensors, network)
    np.testing.assert_array_equal(params["dense"]["bias"], state_dict["9.bias"])


def refused(function, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (["4.bias"], ["'4.bias' is missing", "conv 3×3, 4"]),
        (["5.running_var"], ["'5.running_var' is missing", "batch norm"]),
        (["12.weight", "12.bias"], ["'12.weight', '12.bias'", "missing", "dense 5"]),
        (["4.weight", "4.bias"], ["'4.weight', '4.bias'", "missing", "conv 3×3, 4"]),
    ],
)
def test_a_missing_entry_is_named(network, state_dict, without, words):
    left = {name: array for name, array in state_dict.items() if name not in without}
    message = refused(from_torch, left, network)
    for word in words:
        assert word in message


def test_a_missing_network_is_named_whole(network):
    message = refused(from_torch, {}, network)
    assert "'0.weight'" in message
    assert "'12.bias'" in message


@pytest.mark.parametrize("extra", ["4.weight_orig", "13.weight", "12.running_mean"])
def test_an_entry_too_many_is_named(network, state_dict, extra):
    message = refused(from_torch, {**state_dict, extra: np.zeros(3)}, network)
    assert f"{extra!r} has no layer here" in message


@pytest.mark.parametrize(
    ("name", "shape", "needed"),
    [
        ("4.weight", (4, 2, 5, 5), "(4, 2, 3, 3)"),
        ("9.weight", (6, 25), "(6, 24)"),
        ("9.weight", (24, 6), "(6, 24)"),
        ("10.running_mean", (1,), "(6,)"),
    ],
)
def test_a_misshapen_entry_is_named(network, state_dict, name, shape, needed):
    message = refused(from_torch, {**state_dict, name: np.zeros(shape)}, network)
    assert f"{name!r} has shape {shape}" in message
    assert needed in message


def test_another_network_is_refused_with_both_sizes(state_dict):
    renamed = {f"x{name}": array for name, array in state_dict.items()}
    message = refused(from_torch, renamed, filled(lambda rngs: CNN(rngs, **SMALL)))
    assert "7 layers" in message
    assert "4 (conv 3×3, 2, conv 3×3, 4, dense 6, dense 5)" in message


@pytest.mark.parametrize("value", ["text", None, {"a": 1}])
def test_what_is_no_array_is_named(network, state_dict, value):
    assert "'9.bias'" in refused(from_torch, {**state_dict, "9.bias": value}, network)


def test_trees_that_do_not_fit_are_refused_by_name(network, state_dict):
    params, stats = from_torch(state_dict, network)
    assert "'norms.0.mean' is missing" in refused(to_torch, params, {}, network)
    extra = {**params, "more": {"kernel": np.zeros(2)}}
    assert "'more.kernel' has no layer" in refused(to_torch, extra, stats, network)
    wrong = {**params, "logits": {**params["logits"], "bias": np.zeros(4)}}
    message = refused(to_torch, wrong, stats, network)
    assert "'logits.bias' has shape (4,)" in message
    assert "(5,)" in message
    assert "7 layers" in refused(to_torch, params, stats, network, names=["a", "b"])


# Names on the way


@functools.cache
def _mlp(depth, width=4):
    """Layers of one shape, and what torch calls them in a plain `nn.Sequential`."""
    sizes = {"image_shape": (2, 2, 1), "classes": width, "widths": (width,) * depth}
    network = filled(lambda rngs: MLP(rngs, **sizes))
    random = np.random.default_rng(3)
    entries = {}
    for i in range(depth + 1):
        entries[f"{2 * i + 1}.weight"] = random.random((width, width), np.float32)
        entries[f"{2 * i + 1}.bias"] = random.random(width, np.float32)
    return network, entries


def _same(network, state_dict, expected, **keywords):
    got = from_torch(state_dict, network, **keywords)
    jax.tree.map(np.testing.assert_array_equal, got, from_torch(expected, network))


def _renamed(entries, names):
    """The entries with other layer names, in the same order."""
    layers = list(dict.fromkeys(key.split(".")[0] for key in entries))
    of = dict(zip(layers, names, strict=True))
    return {f"{of[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in entries.items()}


FORMS = ["{}", "layers.{}", "net.blocks.{}.linear", "fc{}", "fc_{}"]


def _orders(entries):
    keys = list(entries)
    shuffled = [keys[i] for i in np.random.default_rng(1).permutation(len(keys))]
    return [sorted(keys), keys[::-1], shuffled]


@pytest.mark.parametrize("order", range(3), ids=["sorted", "reversed", "shuffled"])
@pytest.mark.parametrize("form", slow_but(["net.blocks.{}.linear", "fc{}"], FORMS))
def test_numbers_say_the_order_of_layers_of_one_shape(form, order):
    network, entries = _mlp(12)
    named = _renamed(entries, [form.format(i) for i in range(13)])
    _same(network, {k: named[k] for k in _orders(named)[order]}, entries)


@pytest.mark.parametrize("order", range(3), ids=["sorted", "reversed", "shuffled"])
def test_shapes_say_the_order_of_layers_that_differ(network, state_dict, order):
    names = ["z.conv", "z.norm", "y.conv", "y.norm", "x.fc", "x.norm", "w.head"]
    named = _renamed(state_dict, names)
    _same(network, {k: named[k] for k in _orders(named)[order]}, state_dict)


def test_names_without_numbers_leave_a_doubt_that_names_settle():
    network, entries = _mlp(2)
    order = ["stem", "body", "head"]
    named = _renamed(entries, order)
    message = refused(from_torch, {k: named[k] for k in sorted(named)}, network)
    assert "'stem', 'body', 'head'" not in message
    assert "'body', 'head', 'stem' have one shape" in message
    assert "names=" in message
    _same(network, {k: named[k] for k in sorted(named)}, entries, names=order)
    wrapped = {f"module.model.{k}": v for k, v in sorted(named.items())}
    _same(network, wrapped, entries, names=order)
    _same(network, wrapped, entries, names=[f"module.model.{name}" for name in order])


def test_names_that_do_not_fit_are_refused():
    network, entries = _mlp(2)
    assert "names: 2 for 3 layers" in refused(from_torch, entries, network, names=["1", "3"])
    message = refused(from_torch, entries, network, names=["1", "3", "7"])
    assert "names: '7' is not a layer" in message
    assert "twice" in refused(from_torch, entries, network, names=["1", "3", "3"])


def test_a_module_s_own_state_dict_has_the_order_of_its_definition():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Net(torch.nn.Module):
        def __init__(self, order):
            super().__init__()
            for name in order:
                setattr(self, name, torch.nn.Linear(4, 4))

    network, entries = _mlp(2)
    order = ["stem", "body", "head"]
    module = Net(order)
    module.load_state_dict({k: torch.tensor(v) for k, v in _renamed(entries, order).items()})
    _same(network, module.state_dict(), entries)
    # Numbers in the names that contradict the order leave a doubt.
    module = Net(["fc2", "fc1", "fc3"])
    assert "names=" in refused(from_torch, module.state_dict(), network)


@pytest.mark.parametrize(
    "wrapper",
    [
        "_orig_mod.",
        "module.",
        "_fsdp_wrapped_module.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "model.",
        "net._fsdp_wrapped_module.",
        "model._orig_mod.module.net.",
    ],
)
def test_wrappers_names_are_taken_off(network, state_dict, wrapper):
    wrapped = {wrapper + key: value for key, value in state_dict.items()}
    _same(network, {k: wrapped[k] for k in sorted(wrapped)}, state_dict)


def test_wrappers_around_single_layers_are_taken_off():
    network, entries = _mlp(2)
    inside = {k.replace("3.", "3._fsdp_wrapped_module._orig_mod."): v for k, v in entries.items()}
    _same(network, dict(sorted(inside.items())), entries)
    twice = {**entries, "_orig_mod.1.weight": entries["1.weight"]}
    assert "'1.weight' twice" in refused(from_torch, twice, network)


def test_an_averaged_model_has_a_counter(network, state_dict):
    averaged = {f"module.{key}": value for key, value in state_dict.items()}
    _same(network, {"n_averaged": np.array(7), **averaged}, state_dict)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict"])
def test_a_training_checkpoint_is_opened(network, state_dict, key):
    lightning = {f"model.{k}": v for k, v in state_dict.items()}
    checkpoint = {
        "epoch": 3,
        key: lightning,
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "optimizer": {"state": {0: {"step": np.ones(())}}, "param_groups": [{"lr": 0.1}]},
        "hyper_parameters": {"lr": 0.1},
    }
    _same(network, checkpoint, state_dict)


def test_a_checkpoint_of_several_state_dicts_is_refused_with_their_keys(network, state_dict):
    checkpoint = {"model": state_dict, "model_ema": state_dict, "epoch": 3}
    message = refused(from_torch, checkpoint, network)
    assert "pass checkpoint['model'] or checkpoint['model_ema']" in message


def test_what_a_checkpoint_holds_elsewhere_is_told(network):
    message = refused(from_torch, {"epoch": 3, "args": {"lr": 0.1}}, network)
    assert "no state_dict in it" in message


def test_a_parametrization_is_refused_by_name(network, state_dict):
    weight = state_dict.pop("9.weight")
    for i in (0, 1):
        state_dict[f"9.parametrizations.weight.original{i}"] = weight
    message = refused(from_torch, state_dict, network)
    assert "'9.parametrizations.weight.original0'" in message
    assert "remove_parametrizations" in message


def test_layers_in_another_order_are_another_network(network, state_dict):
    """Normalisation before the convolution: every shape fits, and the numbers say otherwise."""
    swapped = {"0": "1", "1": "0"}
    other = {}
    for key, value in state_dict.items():
        layer, entry = key.split(".")
        other[f"{swapped.get(layer, layer)}.{entry}"] = value
    message = refused(from_torch, other, network)
    assert "'1' would come before '0'" in message
    assert "names=" in message


# The same mapping as a function


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16, jnp.bfloat16])
def test_an_arrangement_moves_elements_of_any_dtype(network, state_dict, dtype):
    arrange = torch_arrangement(state_dict, network)
    params, _ = from_torch(state_dict, network)
    values = {name: (array * 100).astype(dtype) for name, array in state_dict.items()}
    expected = jax.tree.map(lambda p: (np.asarray(p) * 100).astype(dtype), params)
    tree = arrange(values)
    assert jax.tree.structure(tree) == jax.tree.structure(pure(network).params)
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {np.dtype(dtype)}
    jax.tree.map(np.testing.assert_array_equal, tree, expected)


def test_an_arrangement_permutes_all_elements(network, state_dict):
    sizes = {k: v.shape for k, v in state_dict.items() if k.split(".")[1] in ("weight", "bias")}
    numbers, start = {}, 0
    for name, shape in sizes.items():
        size = int(np.prod(shape))
        numbers[name] = np.arange(start, start + size).reshape(shape)
        start += size
    tree = torch_arrangement(state_dict, network)(numbers)
    elements = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
    np.testing.assert_array_equal(np.sort(elements), np.arange(start))
    wrapped = {f"module.{name}": array for name, array in numbers.items()}
    jax.tree.map(
        np.testing.assert_array_equal, torch_arrangement(state_dict, network)(wrapped), tree
    )


def test_an_arrangement_refuses_what_does_not_belong(network, state_dict):
    arrange = torch_arrangement(state_dict, network)
    without = {name: array for name, array in state_dict.items() if name != "9.weight"}
    assert "'9.weight' is missing; dense 6" in refused(arrange, without)
    assert "'head.weight' has no layer" in refused(arrange, {**state_dict, "head.weight": 0.0})
    assert "'9.weight' is missing" in refused(torch_arrangement, without, network)


def test_a_torch_optimizer_comes_along_by_the_arrangement():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    sizes = {"image_shape": (2, 3, 2), "classes": 3, "widths": (4,)}
    network = filled(lambda rngs: MLP(rngs, **sizes))
    module = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)
    )
    groups = [{"params": module[1].parameters()}, {"params": module[3].parameters(), "lr": 0.1}]
    opt = torch.optim.Adam(groups)
    module(torch.ones(2, 2, 2, 3)).square().sum().backward()
    opt.step()
    arrange = torch_arrangement(module.state_dict(), network)
    params, _ = from_torch(module.state_dict(), network)
    state = translate_state(opt, params, arrange=arrange, names=module)
    optimizer = translate(opt, arrange=arrange, names=module)
    begun = jax.eval_shape(optimizer.init, params)
    assert jax.tree.structure(state) == jax.tree.structure(begun)
    moment = np.asarray(state.inner_states[0].inner_state[0].mu["hidden"][0]["kernel"])
    there = opt.state[module[1].weight]["exp_avg"].numpy()
    np.testing.assert_array_equal(moment[1, 0], there[0, 6])  # row 0, column 0, channel 1
