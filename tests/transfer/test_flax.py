"""A torch run moves to the user's own Flax modules, in nnx and Linen, and back."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions.arrangement import inverse
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer import (
    after_flatten,
    as_tensors,
    flax_arrangement,
    from_flax,
    prove,
    to_nnx_optimizer,
    to_torch_optimizer,
    to_torch_weights,
    to_train_state,
)

torch = pytest.importorskip("torch", reason="torch is not installed")
linen = pytest.importorskip("flax.linen", reason="flax is not installed")
nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
TrainState = pytest.importorskip("flax.training.train_state").TrainState

MAPPING = {
    "conv": "features.0",
    "bn": "features.1",
    "words.embedding": "embed.weight",
    "fc": ("fc", after_flatten(4, 5, 4)),
}
IMAGES = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
TOKENS = np.array([[1, 4], [0, 2]])


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def zeros(key: Any, shape: Any, dtype: Any = float, out_sharding: Any = None) -> np.ndarray:
    """An initializer that needs no compilation."""
    return np.zeros(shape, dtype)


class Torch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4)
        )
        self.embed = torch.nn.Embedding(5, 6)
        self.norm = torch.nn.LayerNorm(6)
        self.fc = torch.nn.Linear(80, 6)
        self.out = torch.nn.Linear(6, 6)

    def forward(self, images: Any, tokens: Any) -> Any:
        seen = self.fc(self.features(images.permute(0, 3, 1, 2)).flatten(1))
        return self.out(seen + self.norm(self.embed(tokens)).mean(1))


class Nnx(nnx.Module):
    def __init__(self) -> None:
        kinds = {"rngs": nnx.Rngs(0), "param_dtype": jnp.float64}
        plain = {**kinds, "kernel_init": zeros}
        self.conv = nnx.Conv(3, 4, (3, 3), **plain)
        self.bn = nnx.BatchNorm(4, use_running_average=True, **kinds)
        self.words = nnx.Embed(5, 6, embedding_init=zeros, **kinds)
        self.norm = nnx.LayerNorm(6, epsilon=1e-5, **kinds)
        self.fc = nnx.Linear(80, 6, **plain)
        self.out = nnx.Linear(6, 6, **plain)

    def __call__(self, images: Any, tokens: Any) -> Any:
        seen = self.fc(self.bn(self.conv(images)).reshape(len(images), -1))
        return self.out(seen + self.norm(self.words(tokens)).mean(1))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, images: Any, tokens: Any) -> Any:
        seen = linen.Conv(4, (3, 3), name="conv")(images)
        seen = linen.BatchNorm(use_running_average=True, name="bn")(seen)
        words = linen.Embed(5, 6, name="words")(tokens)
        words = linen.LayerNorm(epsilon=1e-5, name="norm")(words)
        seen = linen.Dense(6, name="fc")(seen.reshape(len(images), -1))
        return linen.Dense(6, name="out")(seen + words.mean(1))


class WithStatistics(TrainState):
    batch_stats: Any


@pytest.fixture
def module() -> Any:
    torch.manual_seed(0)
    module = Torch().double()
    module(torch.tensor(IMAGES), torch.tensor(TOKENS))  # which moves the running averages
    return module.eval()


def trained(module: Any, frozen: str = "") -> Any:
    """An AdamW of two groups after three steps."""
    decayed = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": others, "weight_decay": 0.0}, {"params": decayed}])
    for name, p in module.named_parameters():
        p.requires_grad_(name != frozen)
    step_torch(module, optimizer, range(3))
    return optimizer


def step_torch(module: Any, optimizer: Any, steps: range) -> None:
    for k in steps:
        for name, gradient in gradients(module, k).items():
            p = module.get_parameter(name)
            p.grad = torch.tensor(gradient) if p.requires_grad else None
        optimizer.step()


def gradients(module: Any, k: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(k)
    return {n: random.normal(size=tuple(p.shape)) for n, p in module.named_parameters()}


def arrays(module: Any) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy().copy() for name, p in module.named_parameters()}


def same(tree: Any, expected: Any) -> None:
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), tree, expected
    )


def refused(*words: str, target: Any, source: Any, mapping: Any) -> None:
    with pytest.raises(InputError) as error:
        flax_arrangement(target, source, mapping)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_an_nnx_module_goes_on_where_torch_stands(module: Any) -> None:
    torch_optimizer, model = trained(module, frozen="features.0.weight"), Nnx()
    optimizer = to_nnx_optimizer(torch_optimizer, model, module, MAPPING)
    assert optimizer.step[...] == 3
    expected = module(torch.tensor(IMAGES), torch.tensor(TOKENS)).detach().numpy()
    np.testing.assert_allclose(model(IMAGES, TOKENS), expected, rtol=1e-10, atol=1e-12)

    arrange = flax_arrangement(nnx.state(model, nnx.Param), module, MAPPING)
    step_torch(module, torch_optimizer, range(3, 8))
    structure = jax.tree.structure(nnx.state(model, nnx.Param))
    update = nnx.jit(lambda optimizer, model, g: optimizer.update(model, g))
    for k in range(3, 8):
        leaves = jax.tree.leaves(arrange(gradients(module, k)))
        update(optimizer, model, jax.tree.unflatten(structure, leaves))
    same(nnx.as_pure(nnx.state(model, nnx.Param)), arrange(arrays(module)))


def test_a_linen_module_goes_on_where_torch_stands(module: Any) -> None:
    torch_optimizer, network = trained(module), Linen()
    variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES, TOKENS)
    keywords = {"apply_fn": network.apply, "train_state": WithStatistics}
    state = to_train_state(torch_optimizer, variables, module, MAPPING, **keywords)
    assert state.step == 3
    weights = {"params": state.params, "batch_stats": state.batch_stats}
    expected = module(torch.tensor(IMAGES), torch.tensor(TOKENS)).detach().numpy()
    np.testing.assert_allclose(state.apply_fn(weights, IMAGES, TOKENS), expected, rtol=1e-10)

    arrange = flax_arrangement(variables["params"], module, MAPPING)
    step_torch(module, torch_optimizer, range(3, 8))
    update = jax.jit(lambda state, g: state.apply_gradients(grads=g))
    for k in range(3, 8):
        state = update(state, arrange(gradients(module, k)))
    same(state.params, arrange(arrays(module)))


def test_containers_are_taken_apart(module: Any) -> None:
    torch_optimizer, model = trained(module), Nnx()
    optimizer = to_nnx_optimizer(torch_optimizer, model, module, MAPPING)
    run = from_flax(optimizer, model)
    arrange = flax_arrangement(run.params, module, MAPPING)
    assert jax.tree.structure(run.state) == jax.tree.structure(run.optimizer.init(run.params))
    shapes = {name: p.shape for name, p in arrays(module).items()}
    weights = inverse(arrange, shapes, run.params)(run.params)
    jax.tree.map(np.testing.assert_array_equal, weights, arrays(module))
    proof = prove(torch_optimizer, *run, arrange=arrange, names=module, steps=5)
    assert proof.equal, str(proof)
    again, _ = to_torch_optimizer(*run, module, arrange=arrange)
    for p, state in torch_optimizer.state.items():
        for slot, value in state.items():
            assert torch.equal(again.state[p][slot], value)
    state = TrainState(0, None, run.params, run.optimizer, run.state)
    assert from_flax(state) == run
    with pytest.raises(InputError, match="pass the module"):
        from_flax(optimizer)
    with pytest.raises(InputError, match="a dict is neither"):
        from_flax({})


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_weights_and_running_averages_go_back(module: Any, kind: str) -> None:
    model = Nnx()
    nnx.update(model, flax_arrangement(model, module, MAPPING)(module.state_dict()))
    source = model
    if kind == "linen":
        of = {kind: nnx.to_pure_dict(nnx.state(model, kind)) for kind in (nnx.Param, nnx.BatchStat)}
        source = {"params": of[nnx.Param], "batch_stats": of[nnx.BatchStat]}
    fresh = torch.nn.DataParallel(Torch().double())
    fresh.load_state_dict(as_tensors(to_torch_weights(source, fresh, MAPPING)))
    for name, there in module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(fresh.module.state_dict()[name], there), name


def test_all_names_of_a_tied_parameter_go_back() -> None:
    module = torch.nn.ModuleDict(
        {"embed": torch.nn.Embedding(4, 3), "head": torch.nn.Linear(3, 4, bias=False)}
    )
    module["head"].weight = module["embed"].weight
    target = {"embed": {"embedding": np.full((4, 3), 2.0)}}
    back = to_torch_weights(target, module)
    assert all((back[name] == 2.0).all() for name in ("embed.weight", "head.weight"))


def test_an_optimizer_of_the_head_alone(module: Any) -> None:
    torch_optimizer = torch.optim.Adam(module.out.parameters())
    step_torch(module, torch_optimizer, range(3))
    model, head = Nnx(), nnx.All(nnx.Param, nnx.PathContains("out"))
    before = nnx.as_pure(nnx.state(model))
    with pytest.raises(InputError, match=r"'embed.weight'.*needed"):
        to_nnx_optimizer(torch_optimizer, model, module, MAPPING)
    same(nnx.as_pure(nnx.state(model)), before)
    optimizer = to_nnx_optimizer(torch_optimizer, model, module, MAPPING, wrt=head)
    moment = torch_optimizer.state[module.out.weight]["exp_avg"]
    np.testing.assert_array_equal(optimizer.opt_state[0].mu["out"]["kernel"][...], moment.T)


# Names


def test_equal_names_need_no_mapping() -> None:
    module = torch.nn.ModuleDict({"block": torch.nn.ModuleList([torch.nn.Linear(2, 3)])})
    target = {"block": {"0": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}}
    tree = flax_arrangement(target, module)(module.state_dict())
    np.testing.assert_array_equal(
        tree["block"]["0"]["kernel"], module["block"][0].weight.detach().T
    )
    compiled = {f"_orig_mod.{name}": x for name, x in module.state_dict().items()}
    same(flax_arrangement(target, compiled)(compiled), tree)


def test_what_is_unmatched_is_listed_for_both_sides(module: Any) -> None:
    refused(
        "'conv.bias', 'conv.kernel'",
        "would be 'conv.bias', 'conv.weight' in torch",
        "torch's 'features.0.weight', 'features.0.bias' have no counterpart here",
        "pass mapping={'conv': ",
        target=Nnx(),
        source=module,
        mapping={name: entry for name, entry in MAPPING.items() if name != "conv"},
    )


def test_statistics_are_matched_only_if_the_target_has_them(module: Any) -> None:
    with_norm = {"norm": {"scale": np.zeros(4), "bias": np.zeros(4)}}
    norm = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm1d(4)})
    flax_arrangement(with_norm, norm)
    statistics = {"norm": {"mean": np.zeros(4)}}
    refused(
        "torch's 'norm.running_var' have no counterpart here",
        target={"params": with_norm, "batch_stats": statistics},
        source=norm,
        mapping=None,
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"convolution": "features.0"}, ["mapping 'convolution': no such layer"]),
        ({"conv": "features.7"}, ["would be 'features.7.bias', 'features.7.weight' in torch"]),
        ({"conv": lambda of: of["features.0.weight"]}, ["makes one parameter", "'conv.bias'"]),
        ({"": ("", lambda w: w)}, ["a function moves one layer's weight"]),
        ({"fc": ("fc", after_flatten(4, 4, 4))}, ["mapping 'fc.kernel': its function fails"]),
        ({"fc.bias": lambda of: of["nothing"]}, ["'fc.bias': torch has no array 'nothing'"]),
        ({"out": "norm"}, ["'out.kernel' has shape (6, 6) here", "'norm.weight' (6,)"]),
        ({"out.bias": "norm.bias"}, ["'norm.bias', 'out.bias' would all be torch's 'norm.bias'"]),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(module: Any, entry: Any, words: list[str]) -> None:
    if "out.bias" in entry:
        entry = {**entry, "words.embedding": lambda of: of["embed.weight"] + 0 * of["out.bias"][0]}
    refused(*words, target=Nnx(), source=module, mapping={**MAPPING, **entry})


def test_parameters_may_be_joined_and_split() -> None:
    attention = torch.nn.MultiheadAttention(4, 2)
    target = {f"{n}.kernel".split(".")[0]: {"kernel": np.zeros((4, 2, 2))} for n in "qkv"}
    part = {n: slice(4 * i, 4 * i + 4) for i, n in enumerate("qkv")}
    mapping: dict[str, Any] = {
        f"{n}.kernel": lambda of, n=n: of["in_proj_weight"][part[n]].T.reshape(4, 2, 2)
        for n in "qkv"
    }
    weights = {"in_proj_weight": attention.in_proj_weight}
    arrange = flax_arrangement(target, weights, mapping)
    numbers = {"in_proj_weight": np.arange(48).reshape(12, 4)}
    assert arrange(numbers)["k"]["kernel"][1, 0, 1] == 4 * 5 + 1
    joined = {"kernel": np.zeros((2, 6))}
    parts = {"a": np.arange(4).reshape(2, 2), "b": np.arange(8).reshape(4, 2)}
    both = {"kernel": lambda of: np.concatenate([of["a"].T, of["b"].T], 1)}
    assert flax_arrangement(joined, parts, both)(parts)["kernel"].tolist()[1] == [1, 3, 1, 3, 5, 7]


def test_a_tied_parameter_has_one_place() -> None:
    module = torch.nn.ModuleDict(
        {"embed": torch.nn.Embedding(4, 3), "head": torch.nn.Linear(3, 4, bias=False)}
    )
    module["head"].weight = module["embed"].weight
    target = {"embed": {"embedding": np.zeros((4, 3))}}
    arrange = flax_arrangement(target, module)
    same(arrange(module.state_dict()), {"embed": {"embedding": module["embed"].weight.detach()}})


# Layouts


@pytest.mark.parametrize("transpose_kernel", [False, True])
@pytest.mark.parametrize("channels", [(2, 3), (3, 3)])
def test_transposed_convolutions(channels: tuple[int, int], transpose_kernel: bool) -> None:
    kinds = {"transpose_kernel": transpose_kernel, "padding": "VALID", "strides": (2, 2)}
    there = torch.nn.ConvTranspose2d(*channels, (3, 3), stride=2).double()
    model = nnx.ConvTranspose(*channels, (3, 3), rngs=nnx.Rngs(0), kernel_init=zeros, **kinds)
    nnx.update(model, flax_arrangement(model, there)(there.state_dict()))
    images = np.random.default_rng(0).normal(size=(1, 4, 5, channels[0]))
    expected = there(torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(model(images), expected.detach(), atol=1e-12)
    params = {"kernel": model.kernel[...], "bias": model.bias[...]}  # as Linen has them
    if channels == (3, 3):
        words = "does not tell transpose_kernel"
        refused(words, target=params, source=there, mapping=None)
    else:
        tree = flax_arrangement(params, there)(there.state_dict())
        np.testing.assert_array_equal(tree["kernel"], model.kernel[...])
        tree = flax_arrangement(params, there.state_dict())(there.state_dict())
        np.testing.assert_array_equal(tree["kernel"], model.kernel[...])


def test_a_dense_layer_that_torch_keeps_as_flax_does() -> None:
    class Conv1D(torch.nn.Module):  # as Hugging Face's GPT-2 has it
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.arange(9.0).reshape(3, 3))

    weight = Conv1D().weight.detach()
    tree = flax_arrangement({"kernel": np.zeros((3, 3))}, Conv1D())({"weight": weight})
    np.testing.assert_array_equal(tree["kernel"], weight)


def test_sixty_four_bits_are_not_narrowed(module: Any) -> None:
    model = Nnx()
    with jax.enable_x64(False), pytest.raises(InputError, match="jax_enable_x64"):
        to_nnx_optimizer(trained(module), model, module, MAPPING)


def test_what_a_train_state_cannot_hold_is_refused(module: Any) -> None:
    variables = {"params": {}, "batch_stats": {}}
    with pytest.raises(InputError, match="TrainState has no field for 'batch_stats'"):
        to_train_state(trained(module), variables, module, apply_fn=None)
    with pytest.raises(InputError, match="has no 'params'"):
        to_train_state(trained(module), {}, module, apply_fn=None)


def test_what_torch_writes_later_changes_nothing_here():
    module = torch.nn.Linear(2, 16, dtype=torch.float64)  # JAX would share the memory of its bias
    model = nnx.Linear(2, 16, kernel_init=zeros, bias_init=zeros, rngs=nnx.Rngs(0))
    here, before = flax_arrangement(model, module).weights(module), module.bias.tolist()
    with torch.no_grad():
        module.bias += 1
    assert here["bias"].tolist() == before
