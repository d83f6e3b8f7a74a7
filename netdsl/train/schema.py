"""What may stand in a ``train`` block: names and their arguments, as data. No code runs from here."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.ops.adam import Adam
from netdsl.ops.adamw import AdamW
from netdsl.ops.base import Arg, Kind
from netdsl.ops.rmsprop import RmsProp
from netdsl.record import record

Schema = Mapping[str, tuple[Arg, ...]]

_RATE = Arg("lr", Kind.FLOAT, minimum=0, doc="learning rate")
_WARMUP = Arg("warmup", Kind.FLOAT, 0.0, minimum=0, doc="epochs of linear rise at the start")

OPTIMIZERS: Schema = {
    "sgd": (
        _RATE,
        Arg("momentum", Kind.FLOAT, 0.0, minimum=0, maximum=1),
        Arg("nesterov", Kind.BOOL, False),
        Arg("weight_decay", Kind.FLOAT, 0.0, minimum=0, doc="added to the gradient, times the weight"),
    ),
    "adam": (_RATE, *Adam.args),
    "adamw": (_RATE, *AdamW.args),
    "rmsprop": (_RATE, *RmsProp.args),
}

PARAMS = (
    Arg("names", Kind.TEXT, doc="which parameters; `*` stands for any characters"),
    Arg("lr", Kind.FLOAT, None, minimum=0, doc="factor on the learning rate"),
    Arg("decay", Kind.BOOL, None, doc="whether weight decay pulls at them"),
)

CALLS = (*OPTIMIZERS, "params")
"""The names that a line with brackets may begin with."""

_LIMIT = Arg("limit", Kind.FLOAT, minimum=1e-30, doc="the largest that is let through")

CLIPS: Schema = {"norm": (_LIMIT,), "value": (_LIMIT,)}

SCHEDULES: Schema = {
    "constant": (_WARMUP,),
    "step": (
        Arg("every", Kind.FLOAT, minimum=0, doc="epochs between drops"),
        Arg("gamma", Kind.FLOAT, 0.1, minimum=0, doc="factor of each drop"),
        _WARMUP,
    ),
    "multistep": (
        Arg("at", Kind.FLOATS, minimum=0, doc="the epochs of the drops"),
        Arg("gamma", Kind.FLOAT, 0.1, minimum=0, doc="factor of each drop"),
        _WARMUP,
    ),
    "exponential": (Arg("gamma", Kind.FLOAT, minimum=0, doc="factor of an epoch, spread over its steps"), _WARMUP),
    "poly": (
        Arg("power", Kind.FLOAT, 0.9, minimum=0, doc="of the share of steps that are left"),
        Arg("final", Kind.FLOAT, 0.0, minimum=0, doc="factor at the end"),
        _WARMUP,
    ),
    "cosine": (_WARMUP, Arg("final", Kind.FLOAT, 0.0, minimum=0, doc="factor at the end")),
    "onecycle": (
        Arg("rise", Kind.FLOAT, 0.3, minimum=0, maximum=1, doc="share of all steps spent rising"),
        Arg("start", Kind.FLOAT, 0.04, minimum=0, doc="factor at the start"),
        Arg("final", Kind.FLOAT, 4e-6, minimum=0, doc="factor at the end"),
    ),
}

_AMOUNT = Arg("amount", Kind.FLOAT, minimum=0, maximum=1, doc="times 1 less this to 1 more this")

AUGMENTATIONS: Schema = {
    "crop": (Arg("margin", Kind.INT, minimum=1, doc="rows and columns kept beyond the input, to cut a window from"),),
    "shift": (Arg("pixels", Kind.INT, minimum=1, doc="largest move in whole pixels, each way"),),
    "resized_crop": (
        Arg("area", Kind.FLOAT, 0.25, minimum=0.01, maximum=1, doc="smallest share of the picture"),
        Arg("ratio", Kind.FLOAT, 0.75, minimum=0.1, maximum=1, doc="width to height is from this to 1 / this"),
        Arg("margin", Kind.INT, 0, minimum=0, doc="rows and columns kept beyond the input, for more detail"),
    ),
    "rotate": (Arg("degrees", Kind.FLOAT, minimum=0, maximum=180, doc="largest turn, each way"),),
    "scale": (Arg("factor", Kind.FLOAT, minimum=1, maximum=16, doc="largest growth; as far down as up"),),
    "shear": (Arg("degrees", Kind.FLOAT, minimum=0, maximum=80, doc="largest slant, each way"),),
    "flip": (),
    "brightness": (_AMOUNT,),
    "contrast": (_AMOUNT,),
    "saturation": (_AMOUNT,),
    "hue": (Arg("degrees", Kind.FLOAT, minimum=0, maximum=180, doc="largest turn of colours, each way"),),
    "pca_noise": (Arg("sigma", Kind.FLOAT, 0.1, minimum=0, maximum=10, doc="of the deviations of ImageNet's colours"),),
    "cutout": (Arg("pixels", Kind.INT, minimum=1, doc="side of the square that is hidden"),),
    "mixup": (Arg("alpha", Kind.FLOAT, 0.2, minimum=1e-3, maximum=1e3, doc="the larger, the more even the mixtures"),),
    "resize": (
        Arg("fit", Kind.WORD, "stretch", words=("stretch", "cover"), doc="what happens to other aspect ratios"),
    ),
    "normalize": (
        Arg("mean", Kind.FLOATS, doc="one number, or one a channel, of values in 0..1"),
        Arg("std", Kind.FLOATS, minimum=1e-12, doc="likewise"),
    ),
}


@record
class MetricSchema:
    """Operands by role, in order, and arguments."""

    operands: tuple[str, ...]
    args: tuple[Arg, ...] = ()


METRICS: Mapping[str, MetricSchema] = {
    "top1": MetricSchema(("logits", "label")),
    "top5": MetricSchema(("logits", "label")),
    "topk": MetricSchema(("logits", "label"), (Arg("k", Kind.INT, minimum=1),)),
    "pixel_accuracy": MetricSchema(
        ("logits", "label"), (Arg("ignore", Kind.INT, None, doc="class whose pixels don't count"),)
    ),
}

SETTINGS = (
    "target", "loss", "schedule", "augment", "batch", "epochs", "metric", "accumulate", "clip", "ema", "freeze",
)  # fmt: skip
"""The words a line of a ``train`` block may begin with, beside those of ``CALLS``."""

MAX_BATCH = 65_536
MAX_EPOCHS = 1_000_000
