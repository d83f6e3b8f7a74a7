"""The page of ``netdsl report --html``: one file with its style, script and data, which needs no network.

Names in a network are the author's words and may be hostile. They are put into the page as JSON in which no
character can end the element, and the script sets them as text only; a content security policy, by the hashes of
the page's own style and script, lets nothing else run or load.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from typing import Any

from netdsl.ir.graph import Graph
from netdsl.report.html.document import page_document
from netdsl.report.model import Report
from netdsl.report.peak import Peaks

ENDS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Characters that could end a data element, as JSON escapes."""


def html_page(graph: Graph, report: Report, peaks: Peaks | None = None) -> str:
    """The whole page; with ``peaks`` it also shows what holds them."""
    return render(page_document(graph, report, peaks))


def render(document: dict[str, Any]) -> str:
    """A page around ``document``."""
    style, script = asset("page.css"), asset("page.js")
    allowed = f"style-src {_hash(style)}; script-src {_hash(script)}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    parts = {
        "policy": html.escape(policy),
        "title": html.escape(f"{document['net']} · netdsl"),
        "style": style,
        "data": embed(document),
        "script": script,
    }
    page = asset("page.html")
    for name, text in parts.items():
        before, _, after = page.partition(f"@{name}@")
        parts[name] = before + text
        page = after
    return "".join(parts.values()) + page


def embed(document: Any) -> str:
    """JSON that may stand inside a ``script`` element."""
    text = json.dumps(document, separators=(",", ":"))
    for character, escape in ENDS.items():
        text = text.replace(character, escape)
    return text


def asset(name: str) -> str:
    """A file that comes with this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source of the policy: the base64 of the element's SHA-256."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
