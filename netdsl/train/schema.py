"""What may stand in a ``train`` block: names and their arguments, as data. No code runs from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.ops.base import Arg, Kind

Schema = Mapping[str, tuple[Arg, ...]]

_WARMUP = Arg("warmup", Kind.FLOAT, 0.0, minimum=0, doc="epochs of linear rise at the start")

OPTIMIZERS: Schema = {
    "sgd": (
        Arg("lr", Kind.FLOAT, minimum=0, doc="learning rate"),
        Arg("momentum", Kind.FLOAT, 0.0, minimum=0, maximum=1),
        Arg("nesterov", Kind.BOOL, False),
        Arg("weight_decay", Kind.FLOAT, 0.0, minimum=0, doc="added to the gradient, times the weight"),
    ),
}

SCHEDULES: Schema = {
    "constant": (_WARMUP,),
    "step": (
        Arg("every", Kind.FLOAT, minimum=0, doc="epochs between drops"),
        Arg("gamma", Kind.FLOAT, 0.1, minimum=0, doc="factor of each drop"),
        _WARMUP,
    ),
    "cosine": (_WARMUP, Arg("final", Kind.FLOAT, 0.0, minimum=0, doc="factor at the end")),
    "onecycle": (
        Arg("rise", Kind.FLOAT, 0.3, minimum=0, maximum=1, doc="share of all steps spent rising"),
        Arg("start", Kind.FLOAT, 0.04, minimum=0, doc="factor at the start"),
        Arg("final", Kind.FLOAT, 4e-6, minimum=0, doc="factor at the end"),
    ),
}

AUGMENTATIONS: Schema = {
    "crop": (Arg("margin", Kind.INT, minimum=1, doc="rows and columns kept beyond the input, to cut a window from"),),
    "shift": (Arg("pixels", Kind.INT, minimum=1, doc="largest move in whole pixels, each way"),),
    "rotate": (Arg("degrees", Kind.FLOAT, minimum=0, maximum=180, doc="largest turn, each way"),),
    "flip": (),
    "resize": (
        Arg("fit", Kind.WORD, "stretch", words=("stretch", "cover"), doc="what happens to other aspect ratios"),
    ),
    "normalize": (
        Arg("mean", Kind.FLOATS, doc="one number, or one a channel, of values in 0..1"),
        Arg("std", Kind.FLOATS, minimum=1e-12, doc="likewise"),
    ),
}


@dataclass(frozen=True)
class MetricSchema:
    """Operands by role, in order, and arguments."""

    operands: tuple[str, ...]
    args: tuple[Arg, ...] = ()


METRICS: Mapping[str, MetricSchema] = {
    "top1": MetricSchema(("logits", "label")),
    "top5": MetricSchema(("logits", "label")),
    "topk": MetricSchema(("logits", "label"), (Arg("k", Kind.INT, minimum=1),)),
    "pixel_accuracy": MetricSchema(("logits", "label")),
}

SETTINGS = ("target", "loss", "schedule", "augment", "batch", "epochs", "metric")
"""The words a line of a ``train`` block may begin with, beside an optimizer's name."""

MAX_BATCH = 65_536
MAX_EPOCHS = 1_000_000
