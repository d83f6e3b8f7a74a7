"""Random programs, most of them right, some with one thing out of place."""

from __future__ import annotations

import random
from collections.abc import Callable


class Writer:
    """Writes one program from a seed. ``chaos`` is how often something of the wrong sort is written."""

    def __init__(self, seed: int, chaos: float) -> None:
        self._random = random.Random(seed)
        self._chaos = chaos

    def program(self) -> str:
        body = "\n    ".join(self._statement(number) for number in range(self._random.randrange(5)))
        return f"""
k = 3
block B {{ return in -> {self.stage(2)} }}
block C(n: int, t: size = 3) {{
    x = in
    return x -> conv(n, t, pad=same) -> {self.stage(2)}
}}
net A(n: int = 4, on: bool = yes) {{
    input x: [4, 8, 8]
    input y: [4, 8, 8]
    layer head = conv(4, 3x3, pad=1)
    {body}
    output result = x -> {self.stage(3)}
    logits = result -> flatten -> fc(10)
}}
train A {{
    target label: class
    loss {self.number(1)} * cross_entropy(logits, label) + mse(logits, logits)
    sgd(lr = 0.1, momentum = {self._pick("0", "0.9", self.number(1))})
    {self._perhaps('params("*.bias", lr = 2, decay = no)', lambda: f"params({self.number(1)}, lr = {self.number(1)})")}
    {self._perhaps('freeze "*.weight"', lambda: f"freeze {self.number(1)}")}
    {self._perhaps("clip norm(1)", lambda: f"clip value({self.number(1)}), {self.number(0)}")}
    {self._perhaps("accumulate 2", lambda: f"accumulate {self.number(1)}")}
    {self._perhaps("ema 0.9", lambda: f"ema {self.number(1)}")}
    batch {self._pick("4", self.number(1))}
    epochs 3
    metric top1(logits, label)
}}
"""

    def _pick(self, *options: str | Callable[[], str]) -> str:
        chosen = self._random.choice(options)
        return chosen if isinstance(chosen, str) else chosen()

    def _perhaps(self, right: str, other: Callable[[], str]) -> str:
        """A line, now and then one of the wrong sort, or none."""
        return other() if self._wrong() else self._pick("", right)

    def _wrong(self) -> bool:
        return self._random.random() < self._chaos

    def number(self, depth: int) -> str:
        if self._wrong():
            return self._pick(
                lambda: self.tensor(1), lambda: self.truth(1), "3x3", '"a"', "nowhere", "[]", "in", "same"
            )
        if depth <= 0:
            return self._pick("1", "2", "3", "4", "8", "n", "k", "channels(x)", "height(y)", "0.5")
        return self._pick(
            lambda: (
                f"{self.number(depth - 1)} {self._pick('+', '*', '//', '/', '-', '%', '**')} {self.number(depth - 1)}"
            ),
            lambda: f"({self.number(depth - 1)})",
            lambda: f"{self._pick('min', 'max')}({self.number(depth - 1)}, {self.number(depth - 1)})",
            lambda: f"{self._pick('floor', 'ceil', 'round', 'len', 'sum')}({self.number(depth - 1)})",
            lambda: f"if {self.truth(depth - 1)} {{ {self.number(depth - 1)} }} else {{ {self.number(depth - 1)} }}",
            lambda: f"{self.numbers(depth - 1)}[{self._pick('0', '-1', self.number(0))}]",
            lambda: self.number(0),
        )

    def numbers(self, depth: int) -> str:
        if self._wrong():
            return self.number(depth)
        return self._pick(
            lambda: f"[{self.number(depth)}, {self.number(depth)}]",
            lambda: f"range({self.number(0)})",
            lambda: f"([{self.number(0)}] + [{self.number(0)}])",
        )

    def truth(self, depth: int) -> str:
        if self._wrong():
            return self.number(1)
        if depth <= 0:
            return self._pick("yes", "no", "on")
        return self._pick(
            lambda: f"{self.number(depth - 1)} {self._pick('==', '!=', '<', '>=')} {self.number(depth - 1)}",
            lambda: f"({self.truth(depth - 1)} {self._pick('and', 'or')} {self.truth(depth - 1)})",
            lambda: self.truth(0),
        )

    def tensor(self, depth: int) -> str:
        if self._wrong():
            return self.number(1)
        if depth <= 0:
            return self._pick("x", "y")
        return self._pick(
            lambda: f"({self.tensor(depth - 1)} -> {self.stage(depth - 1)})",
            lambda: f"({self.tensor(depth - 1)} {self._pick('+', '*', '-')} {self._pick('2', 'x', '0.5')})",
            lambda: f"{self._pick('add', 'concat', 'mul')}({self.tensor(depth - 1)}, {self.tensor(depth - 1)})",
            lambda: f"head({self.tensor(depth - 1)})",
            lambda: self.tensor(0),
        )

    def stage(self, depth: int) -> str:
        if self._wrong():
            return self._pick(
                "relo", "x", "3", "conv", "fc", "reshape([3])", "maxpool(9)", "[relu]", "A", "same", "B(3)"
            )
        if depth <= 0:
            return self._pick(
                "relu", "bn", "conv(4, 3x3, pad=1)", "conv(4, 1x1, groups=2)", "head", "maxpool(3, stride=1, pad=1)",
                "dropout(0.5)", "prelu", "lrn", "softmax", "identity", "avgpool(2) -> deconv(4, 2x2, stride=2)",
            )  # fmt: skip
        return self._pick(
            lambda: f"({self.stage(depth - 1)} -> {self.stage(depth - 1)})",
            lambda: f"({self.stage(depth - 1)}) * {self._pick('0', '1', '2', 'k')}",
            lambda: f"({self.stage(depth - 1)}) as {self._pick('a', 'b')}{self._pick('', '[2]', '[k]')}",
            lambda: f"if {self.truth(depth - 1)} {{ {self.stage(depth - 1)} }} else {{ {self.stage(depth - 1)} }}",
            lambda: f"conv({self.number(1)}, {self._pick('3x3', '1', '(3, 1)')}, pad=same)",
            lambda: f"add({self.tensor(depth - 1)})",
            lambda: self.stage(0),
        )

    def _statement(self, number: int) -> str:
        return self._pick(
            lambda: f"t{number} = {self.tensor(3)}",
            lambda: f"v{number} = {self.number(3)}",
            lambda: f"output o{number} = {self.tensor(2)}",
            lambda: f"for q in {self.numbers(1)} {{ x = {self.tensor(2)} }}",
            lambda: f"if {self.truth(2)} {{ y = {self.tensor(2)} }}",
            lambda: f"layer l{number} = {self._pick('B', 'C(4)', 'relu')}",
            lambda: f"a{number}, b{number} = {self.tensor(1)}, {self.tensor(1)}",
        )
