"""Texts of networks for the tests of pages and figures."""

from __future__ import annotations

RESIDUAL = """\
block Residual(width: int, stride: int = 1) {
    body = in -> conv(width, 3x3, stride=stride, pad=1, bias=no) -> bn -> relu
              -> conv(width, 3x3, pad=1, bias=no)                -> bn
    skip = if stride == 1 and channels(in) == width { in }
           else { in -> conv(width, 1x1, stride=stride, bias=no) -> bn }
    return add(body, skip) -> relu
}
net Tiny(classes: int = 10) {
    input image: [1, 32, 32]
    features = image -> conv(16, 3x3, pad=1, bias=no) -> bn -> relu
        -> Residual(16)           as stage1
        -> Residual(32, stride=2) as stage2
    logits = features -> avgpool(global) -> flatten -> fc(classes)
    output probs = softmax(logits)
}
"""

ONE_LAYER = "net N { input x: [3, 8, 8]\noutput y = x -> maxpool(2) }\n"

NOTHING = "net N { input x: [3, 8, 8]\noutput y = x }\n"


def deep(layers: int) -> str:
    """A residual chain of about ``layers`` layers without blocks."""
    lines = ["net Deep {", "input x: [4, 16, 16]", "v0 = x"]
    for number in range(layers // 3):
        lines.append(f"v{number + 1} = add(v{number} -> conv(4, 3x3, pad=1) -> relu, v{number})")
    return "\n".join([*lines, f"output y = v{layers // 3}", "}"]) + "\n"
