"""A convolutional network with batch normalisation, behind biases that it cancels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from benchmarks.power.models.numbers import filled, integers, normal, order, random
from benchmarks.power.models.perceptron import compiled
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

BATCH = 16
MUTANTS = ("eps of the normalisation 1e-5 -> 2e-5", "padding reflects", "mean pooled over one less")


class Network(nn.Module):
    """Classify small images."""

    def __init__(self, variant: Variant) -> None:
        """Build it; the biases of the convolutions have no effect on the loss."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 5)
        self.variant = variant
        if variant.mutant == MUTANTS[0]:
            self.norm2.eps = 2e-5
        if variant.mutant == MUTANTS[1]:
            self.conv1 = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        hidden = F.max_pool2d(torch.relu(self.normalised(self.norm1, self.conv1(images))), 2)
        hidden = torch.relu(self.normalised(self.norm2, self.conv2(hidden)))
        if self.variant.mutant == MUTANTS[2]:
            hidden = hidden[..., :-1]
        logits: torch.Tensor = self.head(hidden.mean((2, 3)))
        return logits

    def normalised(self, norm: nn.BatchNorm2d, hidden: torch.Tensor) -> torch.Tensor:
        """Return a normalised batch, in one of two spellings."""
        if "rewritten" not in self.variant:
            normal: torch.Tensor = norm(hidden)
            return normal
        centred = hidden - hidden.mean((0, 2, 3), keepdim=True)
        variance = centred.square().mean((0, 2, 3), keepdim=True)
        shape = (1, -1, 1, 1)
        scaled = centred / torch.sqrt(variance + norm.eps) * norm.weight.view(shape)
        return scaled + norm.bias.view(shape)


def cnn(variant: Variant) -> Subject:
    """Return the network in training mode."""
    stream = random(3)
    model = filled(Network(variant), 4)
    images, labels = normal(stream, BATCH, 3, 12, 12), integers(stream, 5, BATCH)
    chosen = order(BATCH, variant)
    images, labels = images[chosen], labels[chosen]
    if "channels_last" in variant:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in torch's stubs
        images = images.contiguous(memory_format=torch.channels_last)

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(images), labels)

    return Subject(source=model, loss=compiled(loss, variant))


MODELS = (
    Model(
        name="CNN, batch norm",
        family="torch",
        build=cnn,
        styles=frozenset({"rewritten", "permuted", "channels_last", "compiled"}),
        mutants=MUTANTS,
    ),
)
