"""The server: the protocol's requests answered by the modules beside this one.

One document is analysed at a time, in a thread, a moment after the last change to it; what an older version gave is
thrown away. Requests are answered from the analysis of the present text, completion from the last that parsed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from netdsl.diagnostics import Diagnostic, Level, UserError
from netdsl.lsp.completion import complete
from netdsl.lsp.document import Document, analyse, shapes_of_lines
from netdsl.lsp.hover import hover
from netdsl.lsp.rename import rename, renamed_symbol
from netdsl.source import Source, Span
from netdsl.syntax.format import format_source

DELAY = 0.15
"""Seconds without a change before a document is analysed."""

_UNITS: dict[str, Callable[[str], int]] = {
    "utf-8": lambda text: len(text.encode("utf-8", "surrogatepass")),
    "utf-16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "utf-32": len,
}
_KINDS = {
    "op": types.CompletionItemKind.Function,
    "block": types.CompletionItemKind.Class,
    "argument": types.CompletionItemKind.Property,
    "word": types.CompletionItemKind.EnumMember,
    "value": types.CompletionItemKind.Variable,
    "keyword": types.CompletionItemKind.Keyword,
}


class Server(LanguageServer):
    """The state of one editor."""

    def __init__(self, version: str) -> None:
        super().__init__("netdsl", version)
        self.present: dict[str, Document] = {}
        """The last analysis of each document, by URI."""
        self.parsed: dict[str, Document] = {}
        """The last that parsed."""
        self.waiting: dict[str, asyncio.Task[None]] = {}
        self.worker = ThreadPoolExecutor(max_workers=1)
        """One analysis at a time; those not begun yet are dropped with their tasks."""

    def schedule(self, uri: str, delay: float) -> None:
        """Analyse a document soon; what was scheduled before is dropped."""
        if uri in self.waiting:
            self.waiting.pop(uri).cancel()
        self.waiting[uri] = asyncio.ensure_future(self._later(uri, delay))

    async def _later(self, uri: str, delay: float) -> None:
        await asyncio.sleep(delay)
        text = self.workspace.get_text_document(uri)
        version = text.version
        document = self.present.get(uri)
        if document is None or document.source.text != text.source:
            loop = asyncio.get_running_loop()
            document = await loop.run_in_executor(self.worker, analyse, text.source, path_of(uri))
        current = self.workspace.text_documents.get(uri)
        if current is None or current.version != version:
            return
        self.keep(uri, document)
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, [diagnostic(self, uri, item) for item in document.findings], version)
        )

    def keep(self, uri: str, document: Document) -> None:
        self.present[uri] = document
        if document.program is not None:
            self.parsed[uri] = document

    def document(self, uri: str) -> Document:
        """The analysis of the present text, made now where it isn't there yet."""
        text = self.workspace.get_text_document(uri).source
        document = self.present.get(uri)
        if document is None or document.source.text != text:
            document = analyse(text, path_of(uri))
            self.keep(uri, document)
        return document

    def forget(self, uri: str) -> None:
        for table in (self.present, self.parsed, self.waiting):
            table.pop(uri, None)


# -- places --------------------------------------------------------------------------------------------


def path_of(uri: str) -> Path:
    return Path(to_fs_path(uri) or uri)


def offset_of(server: Server, uri: str, position: types.Position) -> int:
    return server.workspace.get_text_document(uri).offset_at_position(position)


def range_of(server: Server, span: Span) -> types.Range:
    """A span as the protocol counts: lines from 0, columns in the units that editor and server agreed on."""
    count = _UNITS[str(types.PositionEncodingKind(server.workspace.position_encoding or "utf-16").value)]
    ends = (_position(span.source, offset, count) for offset in (span.start, max(span.start, span.end)))
    return types.Range(*ends)


def _position(source: Source, offset: int, count: Callable[[str], int]) -> types.Position:
    line = source.line_of(offset)
    return types.Position(line - 1, count(source.text[source.line_starts[line - 1] : offset]))


# -- findings ------------------------------------------------------------------------------------------


def diagnostic(server: Server, uri: str, item: Diagnostic) -> types.Diagnostic:
    """A finding of the file. One that lies in a file it uses stands at its beginning and points there."""
    lines = [item.title, *item.notes, *([f"help: {item.help}"] if item.help else [])]
    labels = [label for label in (item.primary, *item.secondary) if label is not None]
    own = str(path_of(uri))
    primary = item.primary if item.primary is not None and item.primary.span.source.name == own else None
    if primary is not None and primary.text:
        lines.insert(1, primary.text)
    related = [
        types.DiagnosticRelatedInformation(
            types.Location(_uri_of(label.span, uri), range_of(server, label.span)), label.text or item.title
        )
        for label in labels
        if label is not primary
    ]
    return types.Diagnostic(
        range=range_of(server, primary.span) if primary else types.Range(types.Position(0, 0), types.Position(0, 0)),
        message="\n".join(lines),
        severity=types.DiagnosticSeverity.Error if item.level is Level.ERROR else types.DiagnosticSeverity.Warning,
        code=item.code.id,
        source="netdsl",
        related_information=related,
    )


def _uri_of(span: Span, own: str) -> str:
    if span.source.name == str(path_of(own)):
        return own
    return from_fs_path(str(Path(span.source.name).absolute())) or own


# -- requests ------------------------------------------------------------------------------------------


def make_server(version: str) -> Server:
    """A server with all it can do."""
    server = Server(version)
    _documents(server)
    _reading(server)
    _writing(server)
    return server


def _documents(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.schedule(params.text_document.uri, 0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.schedule(params.text_document.uri, DELAY)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: types.DidSaveTextDocumentParams) -> None:
        for uri in list(server.workspace.text_documents):  # others may use this file
            server.present.pop(uri, None)
            server.schedule(uri, 0)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        if uri in server.waiting:
            server.waiting[uri].cancel()
        server.forget(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def _reading(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        uri = params.text_document.uri
        found = hover(server.document(uri), offset_of(server, uri, params.position))
        if found is None:
            return None
        text, span = found
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text), range_of(server, span))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        uri = params.text_document.uri
        found = server.document(uri).symbols.at(offset_of(server, uri, params.position))
        if found is None:
            return None
        span = found[0].declaration
        return types.Location(_uri_of(span, uri), range_of(server, span))

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        uri = params.text_document.uri
        found = server.document(uri).symbols.at(offset_of(server, uri, params.position))
        return [types.Location(uri, range_of(server, span)) for span in (found[0].mentions if found else [])]

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def shapes(params: types.InlayHintParams) -> list[types.InlayHint]:
        document = server.document(params.text_document.uri)
        lines = params.range.start.line + 1, params.range.end.line + 1
        return [
            types.InlayHint(range_of(server, span).end, text, types.InlayHintKind.Type, padding_left=True)
            for span, text in shapes_of_lines(document, *lines)
        ]


def _writing(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[">", "(", ",", "="]))
    def completed(params: types.CompletionParams) -> list[types.CompletionItem]:
        uri = params.text_document.uri
        text = server.workspace.get_text_document(uri).source
        document = server.parsed.get(uri) or server.document(uri)
        return [
            types.CompletionItem(
                item.label,
                kind=_KINDS[item.kind],
                detail=item.detail or None,
                documentation=types.MarkupContent(types.MarkupKind.Markdown, item.text) if item.text else None,
                insert_text=item.insert,
                insert_text_format=types.InsertTextFormat.Snippet,
            )
            for item in complete(document, text, offset_of(server, uri, params.position))
        ]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepared(params: types.PrepareRenameParams) -> types.Range | None:
        uri = params.text_document.uri
        document, offset = server.document(uri), offset_of(server, uri, params.position)
        try:
            renamed_symbol(document, offset)
        except UserError:
            return None
        found = document.symbols.at(offset)
        return range_of(server, found[1]) if found else None

    @server.feature(types.TEXT_DOCUMENT_RENAME)
    def renamed(params: types.RenameParams) -> types.WorkspaceEdit:
        uri = params.text_document.uri
        try:
            spans = rename(server.document(uri), offset_of(server, uri, params.position), params.new_name)
        except UserError as error:
            raise JsonRpcInvalidParams(message=str(error)) from None
        return types.WorkspaceEdit({uri: [types.TextEdit(range_of(server, span), params.new_name) for span in spans]})

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        uri = params.text_document.uri
        source = Source(str(path_of(uri)), server.workspace.get_text_document(uri).source)
        try:
            text = format_source(source)
        except UserError:
            return None
        return [types.TextEdit(range_of(server, source.span(0, len(source.text))), text)] if text != source.text else []


def serve(version: str) -> None:
    """Serve over stdin and stdout until the editor says so."""
    # pygls closes what it is given, and the process still has words to flush.
    with os.fdopen(os.dup(0), "rb") as stdin, os.fdopen(os.dup(1), "wb") as stdout:
        make_server(version).start_io(stdin, stdout)
