"""The networks that come with netdsl, as ``.net`` files."""

from __future__ import annotations

NETWORKS: dict[str, tuple[str, str]] = {
    "alexnet": ("classification/alexnet.net", "AlexNet"),
    "alexnet_torchvision": ("classification/alexnet_torchvision.net", "AlexNetTorchvision"),
    "densenet121": ("classification/densenet121.net", "DenseNet121"),
    "googlenet": ("classification/googlenet.net", "GoogLeNet"),
    "lenet5": ("classification/lenet5.net", "LeNet5"),
    "resnet18": ("classification/resnet18.net", "ResNet18"),
    "resnet50": ("classification/resnet50.net", "ResNet50"),
    "resnet101": ("classification/resnet50.net", "ResNet101"),
    "resnext50_32x4d": ("classification/resnext50_32x4d.net", "ResNeXt50_32x4d"),
    "se_resnet50": ("classification/se_resnet50.net", "SEResNet50"),
    "unet": ("segmentation/unet.net", "UNet"),
    "unet_bn": ("segmentation/unet_bn.net", "UNetBN"),
    "vgg_a": ("classification/vgg.net", "VGG_A"),
    "vgg_d": ("classification/vgg.net", "VGG_D"),
}
"""Name behind ``zoo:`` -> (file, relative to this folder; net in it)."""
