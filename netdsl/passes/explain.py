"""The text of ``--explain-passes``."""

from __future__ import annotations

from netdsl.passes.base import PassReport, Refused, Rewritten
from netdsl.source import Span


def explain(report: PassReport) -> str:
    """What every pass rewrote and refused, in order, with source lines; the same text every time.

    ::

        fold_bn
          rewrote  conv1, bn1: scale and shift moved into conv1  (resnet.net:14)
          refused  bn2: conv2 is also read by add1  (resnet.net:15)
    """
    lines: list[str] = []
    for name in report.passes:
        entries = [entry for entry in report.entries if entry.pass_name == name]
        lines.append(name)
        lines += [_line(entry) for entry in entries] or ["  nothing to do"]
    return "\n".join(lines) + "\n"


def _line(entry: Rewritten | Refused) -> str:
    match entry:
        case Rewritten(nodes=nodes, text=text, spans=spans):
            return f"  rewrote  {', '.join(nodes)}: {text}{_where(spans)}"
        case Refused(node=node, reason=reason, spans=spans):
            return f"  refused  {node}: {reason}{_where(spans)}"


def _where(spans: frozenset[Span]) -> str:
    files: dict[str, set[int]] = {}
    for span in spans:
        files.setdefault(span.source.name, set()).add(span.line)
    places = [f"{name}:{','.join(map(str, sorted(files[name])))}" for name in sorted(files)]
    return f"  ({' '.join(places)})" if places else ""
