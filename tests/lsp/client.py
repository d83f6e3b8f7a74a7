"""A scripted editor: JSON-RPC over the pipes of ``netdsl lsp``."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from typing import Any

TIMEOUT = 30


class Client:
    """One server process. Requests wait for their answers; notifications of the server are kept."""

    def __init__(self, encoding: str = "utf-16") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "netdsl", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.notes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.next = 0
        threading.Thread(target=self._read, daemon=True).start()
        able = {"general": {"positionEncodings": [encoding]}}
        about = self.request("initialize", {"processId": None, "rootUri": None, "capabilities": able})
        self.capabilities = about["capabilities"]
        self.notify("initialized", {})

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            message = json.loads(stream.read(length))
            (self.notes if "method" in message else self.answers).put(message)

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def answer(self, method: str, params: Any) -> dict[str, Any]:
        """The whole answer, errors included."""
        self.next += 1
        self._send({"id": self.next, "method": method, "params": params})
        found = self.answers.get(timeout=TIMEOUT)
        assert found["id"] == self.next
        return found

    def request(self, method: str, params: Any) -> Any:
        found = self.answer(method, params)
        assert "error" not in found, found
        return found["result"]

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "netdsl", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, text: str) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def diagnostics(self, uri: str, version: int | None = None) -> list[dict[str, Any]]:
        """The next findings published for a document (of a version)."""
        while True:
            note = self.notes.get(timeout=TIMEOUT)
            params = note.get("params", {})
            if note["method"] != "textDocument/publishDiagnostics" or params["uri"] != uri:
                continue
            if version is None or params.get("version") == version:
                return list(params["diagnostics"])

    def close(self) -> int:
        """The exit code after a proper end."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(timeout=TIMEOUT)
