"""Running the command line inside the test and as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LENET = """\
# LeNet-5 as it is usually drawn today
net LeNet5(classes: int = 10) {
    input image: [1, 32, 32]
    logits = image
        -> conv(6, 5x5)  -> tanh -> avgpool(2)
        -> conv(16, 5x5) -> tanh -> avgpool(2)
        -> flatten
        -> fc(120) -> tanh
        -> fc(84)  -> tanh
        -> fc(classes)
    output probs = softmax(logits)
}

train LeNet5 {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.05, momentum = 0.9)
    batch 64
    epochs 10
}
"""

SMALL = """\
net Small(features: int = 3) {
    input x: [4]
    output y = x -> fc(8) -> relu -> fc(features)
}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def process(*arguments: str, cwd: Path | None = None, **environment: str) -> Ended:
    """``netdsl`` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "netdsl", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
