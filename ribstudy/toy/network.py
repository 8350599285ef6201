"""The small network of the simulated experiment, its possible last activations, and its training.

Shapes: N images [N, 1, H, W]; O outputs (2 with a softmax, else 1); labels [N]: 0 for a 2, 1 for an 8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ribstudy.method.losses import rib_objective
from ribstudy.toy.data import Scenes
from ribstudy.toy.settings import ToySettings

NORM_LAYERS: dict[str, Callable[[int], nn.Module]] = {  # by `ToySettings.norm_layer`, for a number of channels
    "none": nn.Identity,
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


class ToyNet(nn.Module):
    """Convolutions with ReLU between them and one fully connected layer, without a last activation.

    A convolution's output can be normalised before its ReLU: with statistics of the batch, and after the training with running
    statistics (`batch`), or with statistics of the image over all channels and positions (`layer`).

    The first convolution has full padding, so that every weight of a filter is applied once to each pixel, also at the border:
    the gradient of the sum of its outputs is the same everywhere. The next two halve the resolution and double the number of
    filters.
    """

    def __init__(self, *, canvas: int, depth: int, width: int, num_outputs: int, norm_layer: str = "none"):
        super().__init__()
        layers, channels, side = [], 1, canvas
        for index in range(depth):
            halving = index in (1, 2)  # with a kernel of 4, which covers each pixel equally often, unlike a kernel of 3
            kernel, stride, padding = (4, 2, 1) if halving else (3, 1, 1 if index else 2)
            out = 2 * channels if halving else channels if index else width
            layers.append(nn.Conv2d(channels, out, kernel, stride, padding))
            channels, side = out, (side + 2 * padding - kernel) // stride + 1
        self.convolutions = nn.ModuleList(layers)
        self.norms = nn.ModuleList(NORM_LAYERS[norm_layer](layer.out_channels) for layer in layers)
        self.classifier = nn.Linear(channels * side * side, num_outputs)
        for layer in layers:  # with PyTorch's default the signal shrinks from layer to layer, and some seeds never learn
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)  # a quarter faster on a CPU

    def layers(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The output of each convolution, the same after normalisation and ReLU, and the outputs [N, O]."""
        convolved, hidden = [], [images]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolved.append(convolution(hidden[-1]))
            hidden.append(norm(convolved[-1]).relu())
        return convolved, hidden[1:], self.classifier(hidden[-1].flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 1, H, W] -> outputs [N, O]."""
        return self.layers(images)[-1]


def build_net(settings: ToySettings, *, num_outputs: int, seed: int) -> ToyNet:
    """A new network in evaluation mode, whose weights depend only on the seed; the global random state does not change."""
    shape = {"canvas": settings.canvas, "depth": settings.depth, "width": settings.width, "norm_layer": settings.norm_layer}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyNet(**shape, num_outputs=num_outputs).eval()


def as_tensors(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Images [N, 1, H, W] and labels [N]."""
    return torch.from_numpy(scenes.images)[:, None], torch.from_numpy(scenes.labels)


@dataclass(frozen=True)
class LastActivation:
    """The activation after the last layer, and its loss.

    Args:
        squash: maps the evidence for an 8 [N] to the output [N].
        targets: the outputs for a 2 and for an 8. The predicted class is the one with the nearer target.
        num_outputs: 2 with a softmax, else 1.
        loss: a function of outputs [N, O] and labels [N]; None: the squared distance to the target.
    """

    squash: Callable[[Tensor], Tensor]
    targets: tuple[float, float] = (0.0, 1.0)
    num_outputs: int = 1
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def evidence(self, outputs: Tensor) -> Tensor:
        """[N, O] -> [N], before the last activation. For two outputs, their difference: softmax(y)_8 = sigmoid(y_8 - y_2)."""
        return outputs[:, 0] if self.num_outputs == 1 else outputs[:, 1] - outputs[:, 0]

    def predict(self, outputs: Tensor) -> Tensor:
        """Whether an image is an 8: [N, O] -> bool [N]."""
        return self.squash(self.evidence(outputs)) > sum(self.targets) / 2

    def loss_of(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of outputs [N, O] and labels [N], a scalar."""
        if self.loss is not None:
            return self.loss(outputs, labels)
        low, high = self.targets
        return F.mse_loss(self.squash(self.evidence(outputs)), low + (high - low) * labels.float())


def _binary_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs[:, 0], labels.float())


def rib_loss(outputs: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """The RIB objective for one output, averaged over images: it increases y for an 8 and -y for a 2, up to the margin."""
    own_logits = outputs * (2.0 * labels[:, None] - 1.0)
    return rib_objective(own_logits, torch.ones_like(own_logits), margin=margin) / len(outputs)


ACTIVATIONS: dict[str, LastActivation] = {
    "sigmoid": LastActivation(torch.sigmoid, loss=_binary_cross_entropy),
    "softmax": LastActivation(torch.sigmoid, num_outputs=2, loss=F.cross_entropy),
    "sigmoid_mse": LastActivation(torch.sigmoid),
    "tanh": LastActivation(torch.tanh, targets=(-1.0, 1.0)),
    "hard_sigmoid": LastActivation(F.hardsigmoid),
    "softplus": LastActivation(F.softplus),
    "relu": LastActivation(torch.relu),
    "none": LastActivation(lambda evidence: evidence, targets=(-1.0, 1.0)),
}


def trained_net(settings: ToySettings, scenes: Scenes, *, activation: LastActivation, seed: int) -> ToyNet:
    """A new network, trained with a last activation."""
    net = build_net(settings, num_outputs=activation.num_outputs, seed=seed)
    train(
        net,
        *as_tensors(scenes),
        loss_of=activation.loss_of,
        num_steps=settings.training_steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        seed=seed,
    )
    return net


def train(
    net: ToyNet,
    images: Tensor,
    labels: Tensor,
    *,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    one_cycle: bool = True,
) -> float:
    """Trains in place with AdamW and returns the distance that the weights moved, relative to their norm.

    Args:
        loss_of: a function of outputs [N, O] and labels [N].
        seed: of the order of the images, which depends on nothing else: networks with another activation or loss get the same.
        one_cycle: the learning rate rises for a fifth of the steps and then falls to zero; else it is constant.
    """
    start = weight_vector(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _one_cycle(step / num_steps) if one_cycle else 1.0)
    net.train()
    for index in _batches(len(images), num_steps=num_steps, batch_size=batch_size, seed=seed):
        loss = loss_of(net(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()
    return float((weight_vector(net) - start).norm() / start.norm())


def _one_cycle(progress: float) -> float:
    """Factor of the learning rate: from near 0 to 1 at a fifth of the training, then down to 0, along half cosines."""
    phase = progress / 0.2 if progress < 0.2 else 1 + (progress - 0.2) / 0.8
    return 0.02 + 0.49 * (1 - math.cos(math.pi * phase)) if phase < 1 else 0.5 * (1 - math.cos(math.pi * phase))


@torch.no_grad()
def weight_vector(net: ToyNet) -> Tensor:
    """All weights in one vector."""
    return torch.cat([weights.flatten() for weights in net.parameters()])


def _batches(count: int, *, num_steps: int, batch_size: int, seed: int) -> list[Tensor]:
    """Indices of the images of each step; every image is used once before any is used again."""
    generator = torch.Generator().manual_seed(seed)
    num_rounds = -(-num_steps * batch_size // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(num_rounds)])
    return list(order[: num_steps * batch_size].split(batch_size))


@torch.no_grad()
def accuracy(net: ToyNet, images: Tensor, labels: Tensor, *, activation: LastActivation) -> float:
    """The share of images [N, 1, H, W] whose predicted class is right."""
    outputs = torch.cat([net(batch) for batch in images.split(500)])
    return float((activation.predict(outputs) == labels.bool()).float().mean())
