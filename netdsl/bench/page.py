"""A measurement as one page to look at in a browser: the roofline, and every layer's time as a bar.

The page holds its style, needs no script and no network. Names are the author's words and may be hostile: all text is
escaped, and a content security policy lets nothing run or load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib import resources

from netdsl.bench.chart import family, roofline_svg
from netdsl.bench.measure import Bench, LayerTime
from netdsl.bench.text import giga, heading, summary, time_text
from netdsl.report.summary import shape_text

COLUMNS = ("layer", "op", "output", "time", "", "GFLOP/s", "GB/s", "bound", "of roof")


def bench_page(found: Bench) -> str:
    """The whole page."""
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = escape(heading(found))
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>",
            f"<h1>{title}</h1>",
            *(f"<p>{escape(line)}</p>" for line in summary(found)),
            f"<figure>{roofline_svg(found)}<figcaption>Operations a second against operations a byte, both axes "
            "logarithmic; a circle's area is the layer's time. The line is what the machine can do at most. Above "
            "it are layers whose data were still in a cache, or whose method needs fewer operations than are "
            "counted.</figcaption></figure>",
            '<div class="wide"><table>',
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *_rows(found),
            "</tbody>\n</table></div>\n</body>\n</html>\n",
        ]
    )


def _rows(found: Bench) -> Iterator[str]:
    longest = max(layer.seconds for layer in found.layers)
    for layer in found.layers:
        cells = "".join(f"<td>{cell}</td>" for cell in _cells(found, layer, longest))
        yield f"<tr>{cells}</tr>"


def _cells(found: Bench, layer: LayerTime, longest: float) -> Iterator[str]:
    step, work, seconds = layer.step, layer.work, layer.seconds
    yield escape(step.name)
    yield escape(step.op)
    yield shape_text(step.output_types[0].shape)
    yield time_text(seconds)
    least = min(found.roof.seconds(work), seconds)
    bars = [("all", seconds), ("least", least)]
    rects = "".join(f'<rect class="{name}" width="{160 * part / longest:.2f}" height="10"/>' for name, part in bars)
    yield f'<svg class="bar {family(step.op)}" width="160" height="10" aria-hidden="true">{rects}</svg>'
    yield giga(work.flops / seconds) if work.flops else ""
    yield giga(work.bytes / seconds)
    yield found.roof.bound(work) or ""
    yield f"{found.roof.seconds(work) / seconds:.0%}"
