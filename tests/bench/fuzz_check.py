"""Random and mutated files through ``netdsl check``: no traceback, no hang, no flood of memory.

    python -m tests.bench.fuzz_check --files 100000 --workers 2 --keep findings/

File number n of a seed is always the same text, so a finding is repeated with ``--first n --files 1``. Children check
some hundred files each, under a limit of memory that the system holds them to and a clock of processor time (others
that work on the machine make no hang). The verb itself is called, in the process: reading, all stages of checking,
and how findings are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from tests.bench.fuzz_files import corpus, file_bytes

CPU_LIMIT = 2.0
MEMORY_LIMIT = 500 * 10**6
DEAD_AFTER = 120.0
CHUNK = 400
FINE = (0, 1, 4)


@dataclass(frozen=True)
class Finding:
    """One file on which ``check`` did not end as it should."""

    number: int
    what: str
    detail: str


# -- one file ------------------------------------------------------------------------------------------


class _TooLong(BaseException):
    """The clock of processor time ran out."""


def _ring(signal_number: int, frame: FrameType | None) -> None:
    raise _TooLong


def check_bytes(data: bytes, path: Path, limit: float = CPU_LIMIT) -> tuple[str, str]:
    """(what, detail): ``what`` is ``exit N`` for the ways ``check`` may end; all else is a finding.

    ``limit`` is in seconds of processor time.
    """
    from netdsl.cli.main import run

    path.write_bytes(data)
    shown = io.StringIO()
    before = signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, limit)
    start = time.process_time()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            code = run(["check", str(path)])
    except _TooLong:
        code = -1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    text = shown.getvalue()
    if code < 0 or "_TooLong" in text or time.process_time() - start >= limit:
        return "hang", text[-2000:]
    if "N0506" in text:
        return "memory", text[-2000:]
    if code not in FINE:
        return "traceback", f"exit {code}\n{text[-4000:]}"
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        return "control characters", repr(text[-2000:])
    return f"exit {code}", ""


# -- many files ----------------------------------------------------------------------------------------


def check_numbers(
    seed: int, first: int, stop: int, texts: list[str], folder: Path
) -> Iterator[tuple[int, str, str, float]]:
    """(number, what, detail, seconds of processor time) of each file."""
    for number in range(first, stop):
        data, start = file_bytes(seed, number, texts), time.process_time()
        what, detail = check_bytes(data, folder / f"{os.getpid()}.net")
        yield number, what, detail, time.process_time() - start


def _child(seed: int, first: int, stop: int, texts: list[str], folder: Path) -> None:
    """Body of a child: limits on, then a line of its log a file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    with open(folder / f"{first}.log", "w", buffering=1, encoding="utf-8") as log:
        for result in check_numbers(seed, first, stop, texts, folder):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            log.write(json.dumps([*result, peak]) + "\n")


@dataclass
class Tally:
    """What came out so far."""

    files: int = 0
    peak: int = 0
    longest: float = 0.0
    slowest: int = -1

    def __post_init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.findings: list[Finding] = []

    def __str__(self) -> str:
        longest = f"longest {self.longest:.2f} s (file {self.slowest})"
        return f"{self.files} files, {dict(self.ends)}, peak {self.peak / 1e6:.0f} MB, {longest}"

    def read(self, log: Path, first: int, stop: int, status: int) -> None:
        """Add a child's log; where the child died, the file behind its last line is to blame."""
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        for line in lines:
            number, what, detail, seconds, peak = json.loads(line)
            self.files += 1
            self.ends[what] += 1
            self.peak = max(self.peak, peak)
            if seconds > self.longest:
                self.longest, self.slowest = seconds, number
            if not what.startswith("exit"):
                self.findings.append(Finding(number, what, detail))
        if status and first + len(lines) < stop:
            self.files += 1
            self.ends["died"] += 1
            self.findings.append(Finding(first + len(lines), "died", f"status {status}"))


def fuzz(seed: int, first: int, files: int, workers: int, keep: Path) -> Tally:
    """Check ``files`` files from number ``first`` on; bytes of those with findings are put into ``keep``."""
    import netdsl.analysis.receptive
    import netdsl.cli.check
    import netdsl.elaborate  # noqa: F401  (once, before the children are made)

    texts, tally = corpus(), Tally()
    chunks = [(start, min(start + CHUNK, first + files)) for start in range(first, first + files, CHUNK)]
    running: dict[int, tuple[int, int, float]] = {}
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        while chunks or running:
            while chunks and len(running) < workers:
                begin, stop = chunks.pop(0)
                running[_fork(seed, begin, stop, texts, folder)] = (begin, stop, time.monotonic())
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                _end_dead(running, folder)
                time.sleep(0.05)
                continue
            begin, stop, _ = running.pop(ended)
            before = len(tally.findings)
            tally.read(folder / f"{begin}.log", begin, stop, status)
            for finding in tally.findings[before:]:
                _keep(keep, finding, file_bytes(seed, finding.number, texts))
                if finding.what == "died" and finding.number + 1 < stop:
                    chunks.insert(0, (finding.number + 1, stop))
            print(tally, flush=True)
    return tally


def _fork(seed: int, first: int, stop: int, texts: list[str], folder: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            _child(seed, first, stop, texts, folder)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def _end_dead(running: dict[int, tuple[int, int, float]], folder: Path) -> None:
    """Kill children whose log stands still: they hang where no signal reaches them."""
    for child, (first, _, started) in running.items():
        log = folder / f"{first}.log"
        moved = log.stat().st_mtime if log.exists() else 0.0
        if time.time() - moved > DEAD_AFTER and time.monotonic() - started > DEAD_AFTER:
            os.kill(child, signal.SIGKILL)


def _keep(folder: Path, finding: Finding, data: bytes) -> None:
    stem = folder / f"{finding.what.replace(' ', '_')}_{finding.number}"
    stem.with_suffix(".net").write_bytes(data)
    stem.with_suffix(".json").write_text(json.dumps(asdict(finding), indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    tally = fuzz(given.seed, given.first, given.files, given.workers, given.keep)
    print(f"{tally}, {len(tally.findings)} findings")
    sys.exit(1 if tally.findings else 0)


if __name__ == "__main__":
    main()
