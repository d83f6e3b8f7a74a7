"""Where numbers stop meaning anything: a loss that is none, statistics over one value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import run
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.driver import Build
from netdsl.plan.executor import Executor
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.loop import Compiler
from netdsl.trainer import compiler_for
from netdsl.weights import read_tensors

EPOCH_STEPS = 45


class Diverging:
    """An executor whose loss is not a number from step ``last`` on."""

    def __init__(self, real: Executor, last: int) -> None:
        self._real, self._left = real, last
        self.get_parameters, self.set_parameters = real.get_parameters, real.set_parameters

    def step(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self._left -= 1
        outputs = self._real.step(inputs)
        return outputs if self._left >= 0 else {**outputs, "loss": np.array(np.nan, np.float32)}


def test_divergence_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    real = compiler_for(Build(threads=1))
    diverging = Compiler(lambda *given: Diverging(real.training(*given), EPOCH_STEPS + 7), real.inference)
    trainer = netdsl.Trainer("zoo:lenet5", "digits", epochs=3, out=tmp_path / "run", compiler=diverging)
    with pytest.raises(NumericFailure, match=rf"step {EPOCH_STEPS + 8} \(epoch 2, step 8 of {EPOCH_STEPS}\)") as caught:
        trainer.fit()
    assert caught.value.exit_code == 5 and caught.value.diagnostics[0].code is Code.NOT_FINITE
    kept = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert (kept.progress.epoch, kept.progress.step) == (1, EPOCH_STEPS)
    for name in ("last", "best"):
        tensors = read_tensors(tmp_path / "run" / f"{name}.safetensors").tensors
        assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    netdsl.Trainer("zoo:lenet5", "digits", epochs=3, out=tmp_path / "run", resume=True).fit()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").progress.epoch == 3


ONE_VALUE = """\
net Flat {
    input image: [1, 8, 8]
    scores = image -> flatten -> fc(16) -> bn -> relu -> fc(10)
    output probs = softmax(scores)
}
train Flat { target label: class
    loss cross_entropy(scores, label)
    sgd(lr = 0.1)
    batch 1
    epochs 1
}
"""


def test_statistics_over_one_value_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flat.net"
    path.write_text(ONE_VALUE)
    words = ["train", str(path), "--data", "digits", "--out", str(tmp_path / "run")]
    assert run(words) == 1
    err = capsys.readouterr().err
    assert "error[N0702]" in err and "flat.net:3:44" in err and "one value a channel" in err
    assert not (tmp_path / "run").exists()
    assert run([*words, "--batch", "32"]) == 0


def test_one_sample_of_a_larger_map_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "map.net"
    path.write_text(ONE_VALUE.replace("flatten -> fc(16) -> bn", "conv(2, 7x7) -> bn -> relu -> flatten"))
    netdsl.Trainer(path, "digits", out=tmp_path / "run")


def test_a_target_that_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scores 7 classes; digits has 10"):
        netdsl.Trainer(netdsl.load("zoo:lenet5", classes=7), "digits", out=tmp_path / "run")
