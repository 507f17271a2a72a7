"""The networks in torch, as its users write them: `nn.Sequential` of the notes' layers."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn

torch.set_num_threads(1)  # the tests' networks are small, and other tests run beside them

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}
_POOLS = {
    "max": [lambda: nn.MaxPool2d(2)],
    "average": [lambda: nn.AvgPool2d(2)],
    "stride": [],
    "gap": [lambda: nn.MaxPool2d(2)],
}


def torch_cnn(
    image_shape,
    classes,
    features,
    hidden,
    pooling="max",
    norm="none",
    activation="relu",
    dropout=0.0,
):
    height, width, channels = image_shape
    layers = []
    for out in features:
        layers.append(nn.Conv2d(channels, out, 3, 2 if pooling == "stride" else 1, padding=1))
        layers += [nn.BatchNorm2d(out)] if norm == "batch" else []
        layers += [_ACTIVATIONS[activation](), *[pool() for pool in _POOLS[pooling]]]
        channels = out
    if pooling == "gap":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        last = channels
    else:
        flat = nn.Sequential(*layers, nn.Flatten())(torch.zeros(2, image_shape[2], height, width))
        layers += [nn.Flatten(), nn.Linear(flat.shape[1], hidden)]
        layers += [nn.BatchNorm1d(hidden)] if norm == "batch" else []
        layers.append(_ACTIVATIONS[activation]())
        last = hidden
    layers += [nn.Dropout(dropout)] if dropout else []
    return _fresh(nn.Sequential(*layers, nn.Linear(last, classes)))


def torch_mlp(image_shape, classes, widths, norm="none", activation="relu", dropout=0.0):
    layers, last = [nn.Flatten()], int(np.prod(image_shape))
    for width in widths:
        layers.append(nn.Linear(last, width))
        layers += [nn.BatchNorm1d(width)] if norm == "batch" else []
        layers.append(_ACTIVATIONS[activation]())
        layers += [nn.Dropout(dropout)] if dropout else []
        last = width
    return _fresh(nn.Sequential(*layers, nn.Linear(last, classes)))


def _fresh(network):
    """Running averages, γ and β that are not 0 and 1, so that none can be mistaken for another."""
    generator = torch.Generator().manual_seed(0)
    for module in network:
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.reset_running_stats()
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data += 0.5 * torch.rand(tensor.shape, generator=generator)
    return network


def channels_first(images):
    """(batch, rows, columns, channels) as torch's (batch, channels, rows, columns)."""
    return torch.tensor(np.asarray(images).transpose(0, 3, 1, 2).copy())
