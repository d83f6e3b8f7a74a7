"""Which zoo networks are run, not only read: one or two of most files, with ``NETDSL_TEST_FULL=1`` all."""

from __future__ import annotations

import os

from netdsl.resolve import zoo_names

CHOSEN = [
    "alexnet", "alexnet_lecture", "alexnet_torchvision", "bn_inception", "cifar_cnn", "darknet19", "darknet53",
    "deepface", "densenet121", "googlenet", "googlenet_torchvision", "lenet1", "lenet5", "lenet5_1998", "linear", "mlp",
    "nearest_neighbor", "neuron", "resnet101", "resnet101_v2", "resnet18", "resnet50", "resnet50_v1",
    "resnext50_32x4d", "se_bn_inception", "se_inception_resnet_v2", "se_resnet50", "se_resnext50", "se_vgg16", "unet",
    "unet_bn", "vgg_a_lrn", "vgg_d", "zfnet",
]  # fmt: skip
RUN = zoo_names() if os.environ.get("NETDSL_TEST_FULL") == "1" else CHOSEN
SIDES = {
    "alexnet_lecture": 67, "bn_inception": 64, "darknet19": 64, "darknet53": 64, "deepface": 96,
    "googlenet_torchvision": 64, "resnet101": 96, "resnet101_v2": 64, "resnet50_v1": 64, "se_bn_inception": 64,
    "se_inception_resnet_v2": 107, "se_resnext50": 64, "se_vgg16": 64, "unet": 188, "unet_bn": 80, "vgg_a_lrn": 64,
    "vgg_d": 64, "zfnet": 64,
}  # fmt: skip
"""Pixels a side for those that take long at their own size."""
