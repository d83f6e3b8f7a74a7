"""The networks of ``networks.py`` as PyTorch modules, with the same names of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 3)
        self.fc1, self.fc2 = nn.Linear(24, 12), nn.Linear(12, 5)

    def forward(self, x: Any) -> Any:
        x = functional.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.sigmoid(self.fc1(x.flatten(1))))


class Unit(nn.Module):
    def __init__(self, inputs: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        if stride != 1:
            self.down = nn.Conv2d(inputs, channels, 1, stride, bias=False)
            self.down_bn = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.down_bn(self.down(x)) if hasattr(self, "down") else x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.block1, self.block2, self.fc = Unit(8, 8), Unit(8, 12, 2), nn.Linear(12, 5)

    def forward(self, x: Any) -> Any:
        x = self.block2(self.block1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Dense(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 12, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(12), nn.Conv2d(12, 4, 3, 1, 1, bias=False)

    def forward(self, x: Any) -> Any:
        y = self.conv1(torch.relu(self.bn1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.bn2(y)))], 1)


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.dense1, self.dense2, self.dense3 = Dense(8), Dense(12), Dense(8)
        self.bn, self.conv, self.fc = nn.BatchNorm2d(16), nn.Conv2d(16, 8, 1, bias=False), nn.Linear(12, 5)

    def forward(self, x: Any) -> Any:
        x = self.conv(torch.relu(self.bn(self.dense2(self.dense1(self.conv0(x))))))
        return self.fc(self.dense3(functional.avg_pool2d(x, 2)).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.up = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 8, 3), nn.ConvTranspose2d(8, 6, 2, 2)
        self.conv3, self.conv4 = nn.Conv2d(12, 6, 3), nn.Conv2d(6, 3, 1)

    def forward(self, x: Any) -> Any:
        skip = torch.relu(self.conv1(x))
        up = self.up(torch.relu(self.conv2(functional.max_pool2d(skip, 2))))
        joined = torch.cat([skip[:, :, 2:-2, 2:-2], up], 1)
        return self.conv4(torch.relu(self.conv3(joined)))


TWINS = {"lenet": LeNet, "resnet": ResNet, "densenet": DenseNet, "unet": UNet}


def module(name: str) -> Any:
    """The twin, for one thread."""
    torch.set_num_threads(1)
    return TWINS[name]()


def sgd(twin: Any, undecayed: set[str], args: Mapping[str, Any]) -> Any:
    """PyTorch's SGD with weight decay where the graph decays."""
    groups = [
        {"params": [p for n, p in twin.named_parameters() if n in undecayed], "weight_decay": 0.0},
        {"params": [p for n, p in twin.named_parameters() if n not in undecayed]},
    ]
    return torch.optim.SGD([group for group in groups if group["params"]], lr=1.0, **args)
