"""The networks that come with netdsl, as ``.net`` files."""

from __future__ import annotations

_FILES: dict[str, dict[str, str]] = {
    "classification/alexnet.net": {"alexnet": "AlexNet"},
    "classification/alexnet_lecture.net": {"alexnet_lecture": "AlexNetLecture"},
    "classification/alexnet_torchvision.net": {"alexnet_torchvision": "AlexNetTorchvision"},
    "classification/bn_inception.net": {"bn_inception": "BNInception", "se_bn_inception": "SEBNInception"},
    "classification/cifar_cnn.net": {"cifar_cnn": "CifarCNN"},
    "classification/darknet19.net": {"darknet19": "Darknet19"},
    "classification/darknet53.net": {"darknet53": "Darknet53"},
    "classification/deepface.net": {"deepface": "DeepFace"},
    "classification/densenet.net": {f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 161, 169, 201)},
    "classification/googlenet.net": {"googlenet": "GoogLeNet"},
    "classification/googlenet_torchvision.net": {"googlenet_torchvision": "GoogLeNetTorchvision"},
    "classification/inception_resnet_v2.net": {
        "inception_resnet_v2": "InceptionResNet_v2",
        "se_inception_resnet_v2": "SEInceptionResNet_v2",
    },
    "classification/lenet1.net": {"lenet1": "LeNet1"},
    "classification/lenet5.net": {"lenet5": "LeNet5"},
    "classification/lenet5_1998.net": {"lenet5_1998": "LeNet5_1998"},
    "classification/linear.net": {"linear": "Linear"},
    "classification/mlp.net": {"mlp": "MLP"},
    "classification/nearest_neighbor.net": {"nearest_neighbor": "NearestNeighbor"},
    "classification/neuron.net": {"neuron": "Neuron"},
    "classification/overfeat_accurate.net": {"overfeat_accurate": "OverFeatAccurate"},
    "classification/overfeat_fast.net": {"overfeat_fast": "OverFeatFast"},
    "classification/prelu_net.net": {"prelu_net": "PReLUNet"},
    "classification/resnet18.net": {"resnet18": "ResNet18", "resnet34": "ResNet34"},
    "classification/resnet50.net": {f"resnet{depth}": f"ResNet{depth}" for depth in (50, 101, 152)},
    "classification/resnet_v1.net": {f"resnet{depth}_v1": f"ResNet{depth}_v1" for depth in (50, 101, 152)},
    "classification/resnet_v2.net": {f"resnet{depth}_v2": f"ResNet{depth}_v2" for depth in (101, 152)},
    "classification/resnext.net": {
        f"resnext{depth}_{groups}": f"ResNeXt{depth}_{groups}"
        for depth in (50, 101)
        for groups in ("1x64d", "2x40d", "4x24d", "8x14d", "32x4d")
    },
    "classification/se_resnet.net": {
        "se_resnet50": "SEResNet50",
        "se_resnet101": "SEResNet101",
        "se_resnet152": "SEResNet152",
        "se_resnext50": "SEResNeXt50",
        "se_resnext101": "SEResNeXt101",
    },
    "classification/se_vgg16.net": {"se_vgg16": "SEVGG16"},
    "classification/senet154.net": {"senet154": "SENet154"},
    "classification/shapes_cnn.net": {"shapes_cnn": "ShapesCNN"},
    "classification/vgg.net": {
        "vgg_a": "VGG_A",
        "vgg_a_lrn": "VGG_A_LRN",
        "vgg_b": "VGG_B",
        "vgg_c": "VGG_C",
        "vgg_d": "VGG_D",
        "vgg_e": "VGG_E",
        "vgg16_bn": "VGG16_BN",
    },
    "classification/zfnet.net": {"zfnet": "ZFNet"},
    "segmentation/unet.net": {"unet": "UNet"},
    "segmentation/unet_bn.net": {"unet_bn": "UNetBN"},
}

NETWORKS: dict[str, tuple[str, str]] = {
    name: (file, net) for file, nets in _FILES.items() for name, net in nets.items()
}
"""Name behind ``zoo:`` -> (file, relative to this folder; net in it)."""
