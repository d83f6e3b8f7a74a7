"""Pages in headless Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1400,900",
    "--virtual-time-budget=4000",
)  # fmt: skip

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PRELUDE = """
;(() => {
  const result = {errors: []};
  addEventListener("error", (event) => result.errors.push(event.message));
  addEventListener("securitypolicyviolation", (event) => result.errors.push(event.violatedDirective));
  const all = (selector) => [...document.querySelectorAll(selector)];
  const labels = () => all(".card").map((card) => card.getAttribute("aria-label"));
  const press = (key, more) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...more}));
  const text = (id) => document.getElementById(id).textContent;
  try { %s } catch (error) { result.errors.push(String(error)); }
  setTimeout(() => {
    const output = document.createElement("pre");
    output.id = "result";
    output.textContent = JSON.stringify(result);
    document.body.appendChild(output);
  }, 100);
})();
"""


def after(script: str, steps: str) -> str:
    """A page's script followed by a test's ``steps``, which fill ``result``."""
    return script + PRELUDE % steps


def outcome(page: Path, profile: Path) -> Any:
    """Load a page made with :func:`after` and return its ``result``."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found[1]))
