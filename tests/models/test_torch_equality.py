"""The networks equal torch's with the weights copied over: logits, gradients, training.

In float64, where two right implementations agree to a dozen digits and a wrong ε, stride, layout
or variance does not.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch", reason="torch is not installed")

from jaxopt_notes import adam, sgd  # noqa: E402
from jaxopt_notes.losses import cross_entropy  # noqa: E402
from jaxopt_notes.models import CNN, MLP, BatchNorm, from_torch, pure, to_torch  # noqa: E402
from jaxopt_notes.models.layer_list import flatten  # noqa: E402
from jaxopt_notes.training.state import TrainState  # noqa: E402
from jaxopt_notes.training.step import Batch, make_train_step  # noqa: E402
from tests.models.filled import filled  # noqa: E402
from tests.models.torch_networks import channels_first, torch_cnn, torch_mlp  # noqa: E402

CLASSES, BATCH = 3, 6
ONE = {"features": (4,)}  # block; a second one adds nothing but compilation
TWO = {"features": (3, 4)}
# kind, image shape, sizes and parts, and the optimizer of the training steps
NETWORKS = {
    "max, odd sizes": ("cnn", (7, 9, 2), TWO, "sgd"),
    "average": ("cnn", (7, 9, 1), {**ONE, "pooling": "average", "activation": "tanh"}, "adam"),
    "stride": ("cnn", (8, 8, 2), {**ONE, "pooling": "stride"}, "adam"),
    "stride, odd": ("cnn", (7, 9, 1), {**ONE, "pooling": "stride", "activation": "sigmoid"}, "sgd"),
    "gap": ("cnn", (8, 8, 2), {**ONE, "pooling": "gap", "activation": "gelu"}, "sgd"),
    "batch norm": ("cnn", (8, 8, 2), {**TWO, "norm": "batch"}, "adam"),
    "batch norm, gap": ("cnn", (8, 8, 2), {**ONE, "norm": "batch", "pooling": "gap"}, "sgd"),
    "mlp": ("mlp", (4, 5, 3), {}, "adam"),
    "mlp, batch norm": ("mlp", (4, 5, 3), {"norm": "batch"}, "sgd"),
}


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=NETWORKS)
def both(request):
    """(our network, torch's in float64, an image's shape, the optimizer to train with)."""
    kind, image_shape, parts, optimizer = NETWORKS[request.param]
    ours, make_torch_network, sizes = {
        "cnn": (CNN, torch_cnn, {"hidden": 5}),
        "mlp": (MLP, torch_mlp, {"widths": (6, 5)}),
    }[kind]
    options = {"image_shape": image_shape, "classes": CLASSES, **sizes, **parts}
    torch.manual_seed(1)
    network = ours(nnx.Rngs(0), **options, unbiased_running_variance=True)
    return network, make_torch_network(**options).double(), image_shape, optimizer


def examples(image_shape, n=BATCH):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, *image_shape)), rng.integers(0, CLASSES, n)


def close(ours, expected, what=""):
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-10, err_msg=what)


def arrays(state_dict):
    return {k: v.detach().numpy() for k, v in state_dict.items() if not k.endswith("tracked")}


# Without batch normalisation evaluation is the same function.
MODES = [(name, True) for name in NETWORKS]
MODES += [(name, False) for name, (_, _, parts, _) in NETWORKS.items() if "norm" in parts]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("both", "training"),
    MODES,
    indirect=["both"],
    ids=[f"{name}, {'training' if training else 'evaluation'}" for name, training in MODES],
)
def test_logits_every_gradient_and_the_statistics(both, training):
    network, torch_network, image_shape, _ = both
    params, batch_stats = from_torch(torch_network.state_dict(), network)
    model = pure(network)
    images, labels = examples(image_shape)

    @jax.jit
    def loss(params, images):
        logits, stats = model.apply(params, batch_stats, images, train=training)
        return cross_entropy(logits, jnp.asarray(labels)).mean(), (logits, stats)

    grads, (logits, stats) = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, images)

    torch_network.train(training)
    pixels = channels_first(images).requires_grad_()
    expected = torch_network(pixels)
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()
    close(logits, expected.detach())
    close(grads[1].transpose(0, 3, 1, 2), pixels.grad, "images")
    ours = to_torch(grads[0], stats, network)  # gradients have the parameters' layout
    for name, parameter in torch_network.named_parameters():
        close(ours[name], parameter.grad, name)
    for name, buffer in torch_network.named_buffers():
        if not name.endswith("tracked"):
            close(ours[name], buffer, name)


OPTIMIZERS = {
    "sgd": (sgd(0.05, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    "adam": (adam(1e-2), lambda p: torch.optim.Adam(p, lr=1e-2)),
}


@pytest.mark.slow
def test_50_training_steps(both):
    """By the project's own step on bytes; then the weights are torch's, and so is evaluation."""
    network, torch_network, image_shape, optimizer = both
    ours, make_torch_optimizer = OPTIMIZERS[optimizer]
    params, batch_stats = from_torch(torch_network.state_dict(), network)
    model = pure(network)

    def normalize(images):  # in float64, which `Normalization` never uses
        return (images.astype(float) / 255 - 0.5) / 0.25

    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (50, BATCH, *image_shape)), jnp.uint8)
    labels = rng.integers(0, CLASSES, (50, BATCH))

    state = TrainState(jnp.int32(0), params, ours.init(params), batch_stats, jax.random.key(0))
    step = jax.jit(make_train_step(model, ours, normalize))
    descend, losses = make_torch_optimizer(torch_network.parameters()), []
    for i in range(50):
        state, metrics = step(state, Batch(images[i], jnp.asarray(labels[i])))
        descend.zero_grad()
        logits = torch_network(channels_first(normalize(images[i])))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[i]))
        loss.backward()
        descend.step()
        losses.append((float(metrics.loss) / BATCH, loss.item()))
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-6)
    trained = to_torch(state.params, state.batch_stats, network)
    for name, array in arrays(torch_network.state_dict()).items():
        np.testing.assert_allclose(trained[name], array, rtol=1e-6, atol=1e-8, err_msg=name)
    logits = model.apply(state.params, state.batch_stats, normalize(images[0]))[0]
    expected = torch_network.eval()(channels_first(normalize(images[0]))).detach()
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("image_shape", [(5, 6, 2), (6, 6, 1)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_alone(image_shape, padding, stride):
    images, _ = examples(image_shape)
    torch_convolution = torch.nn.Conv2d(image_shape[-1], 4, 3, stride, padding).double()
    weight, bias = (x.detach().numpy() for x in (torch_convolution.weight, torch_convolution.bias))
    ours = nnx.Conv(
        image_shape[-1],
        4,
        (3, 3),
        stride,
        padding=padding,
        kernel_init=lambda *_: jax.device_put(weight.transpose(2, 3, 1, 0)),
        bias_init=lambda *_: jax.device_put(bias),
        rngs=nnx.Rngs(0),
    )
    expected = torch_convolution(channels_first(images)).detach().numpy()
    close(ours(jax.device_put(images)), expected.transpose(0, 2, 3, 1))
    if image_shape == (6, 6, 1) and padding == 0:  # the notes' example
        assert expected.shape[2:] == {1: (4, 4), 2: (2, 2)}[stride]


normalised = nnx.jit(lambda norm, x: norm(x))


@pytest.mark.parametrize("mean", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(7, 3), (4, 5, 6, 3)], ids=["1d", "2d"])
def test_batch_norm_alone(shape, mean):
    """Over three batches; far from 0 too, where E[x²] − μ² would have no digit left."""
    rng = np.random.default_rng(0)
    torch_norm = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(3).double()
    ours = BatchNorm(3, rngs=nnx.Rngs(0), unbiased_running_variance=True)
    ours.mean, ours.var = (nnx.BatchStat(jax.device_put(f(3))) for f in (np.zeros, np.ones))
    for _ in range(3):
        x = mean + rng.normal(size=shape)
        expected = torch_norm(torch.tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy()
        y = normalised(ours, x)
        np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=1e-7, atol=1e-7)
        close(ours.mean[...], torch_norm.running_mean)
        close(ours.var[...], torch_norm.running_var)


def test_flatten_and_view_are_one():
    images = channels_first(examples((28, 28, 1))[0])
    ours = np.asarray(flatten(jax.device_put(images.numpy())))
    np.testing.assert_array_equal(ours, torch.nn.Flatten()(images))
    np.testing.assert_array_equal(ours, images.view(-1, 784))


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_dropout_keeps_the_expectation_and_has_torch_deviation(share):
    torch.manual_seed(0)
    x, n = np.linspace(-1, 1, 5), 40_000
    ours = nnx.Dropout(share)(jax.device_put(np.tile(x, (n, 1))), rngs=nnx.Rngs(dropout=0))
    torch_output = torch.nn.Dropout(share)(torch.tensor(x).repeat(n, 1)).numpy()
    for dropped in (np.asarray(ours), torch_output):
        survivors = dropped != 0
        np.testing.assert_allclose(dropped[survivors], np.tile(x / (1 - share), (n, 1))[survivors])
        np.testing.assert_allclose(dropped.mean(0), x, atol=5 / n**0.5)
        np.testing.assert_allclose(
            dropped.std(0), np.abs(x) * (share / (1 - share)) ** 0.5, atol=5 / n**0.5
        )


def test_the_notes_cnn_gives_the_same_logits_in_float32_there_and_back():
    with jax.enable_x64(False):
        network = filled(CNN)
        apply = jax.jit(pure(network).apply)
        images = np.random.default_rng(0).normal(size=(4, 28, 28, 1)).astype(np.float32)
        torch_network = torch_cnn((28, 28, 1), 10, features=(32, 64), hidden=128)

        def compare(params, batch_stats):
            logits = apply(params, batch_stats, images)[0]
            expected = torch_network(channels_first(images)).detach()
            np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)

        params, batch_stats = from_torch(torch_network.state_dict(), network)
        compare(params, batch_stats)
        params = jax.tree.map(
            lambda p: p + np.sin(np.arange(p.size, dtype=p.dtype).reshape(p.shape)) / 10,
            jax.tree.map(np.asarray, params),
        )
        weights = to_torch(params, batch_stats, network)
        torch_network.load_state_dict(
            {name: torch.tensor(array) for name, array in weights.items()}
        )
        compare(params, batch_stats)
