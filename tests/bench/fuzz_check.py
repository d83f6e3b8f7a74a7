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
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
CPU_LIMIT = 2.0
MEMORY_LIMIT = 500 * 10**6
DEAD_AFTER = 120.0
CHUNK = 400
FINE = (0, 1, 4)

Mutation = Callable[[random.Random, str], str]


@dataclass(frozen=True)
class Finding:
    """One file on which ``check`` did not end as it should."""

    number: int
    what: str
    detail: str


# -- the files -----------------------------------------------------------------------------------------

_WORDS = re.compile(r"\s+|#[^\n]*|\"[^\"\n]*\"|[\w.]+|->|//|\*\*|[<>=!]=|.", re.DOTALL)
_NUMBERS = (
    "0", "1", "2", "-1", "3x3", "0x0", "1x", "x1", "2147483647", "2147483648", "9007199254740993", "9" * 400, "1e308",
    "1e309", "1e-400", "0.1", ".5", "1.", "1.2.3", "0b1", "99999999x99999999", "100000", "4096", "65536x65536",
)  # fmt: skip
_PIECES = (
    "->", "as", "*", "* 100000", "* -1", "(", ")", "[", "]", "{", "}", ",", "=", "==", "in", "net", "block", "train",
    "input", "output", "layer", "return", "for", "if", "else", "use", "not", "and", "or", "yes", "no", "same", "global",
    "ceil", "relu", "conv(3, 3x3)", "fc(10)", "flatten", "softmax", "concat", "add(in, in)", "deconv(2, 2x2, stride=2)",
    "upsample(2)", "reshape([-1])", "crop(1)", "pad(1)", "slice(0, 1)", "lrn(5)", "bn", "prelu", "scale", "dropout",
    "local(2, 3x3)", "distance(3)", "maxpool(2)", "avgpool(global)", "avgpool(to=7x7)", "channels(in)", "height(image)",
    "range(10000)", "range(1000000000)", "range(1, 0, 0)", "enumerate([1, 2])", "zip([1], [2])", "sum([])", "min()",
    "[1] + [2]", "x[0]", "x[-1]", "1 / 0", "1 % 0", "2 ** 1000", "2 ** -1", "7 // 0", "\"a\"", "\"", "#", "\n",
    "as a[1]", "as layer", "use zoo.blocks.residual", "use \"../x.net\"", "for i in range(300) { x = x -> relu }",
    "if yes { in } else { 3 }", "target label: class", "loss mse(x, x)", "sgd(lr = 0)", "batch 0", "epochs -1",
    "augment shift(2)", "schedule cosine", "metric top1(x, label)", "# allow N0312", "\u00e9", "\U0001f600", "\u202e",
)  # fmt: skip

_OPS = (
    "conv", "deconv", "local", "fc", "bn", "scale", "prelu", "distance", "maxpool", "avgpool", "lrn", "relu", "sigmoid",
    "leaky_relu", "tanh", "add", "mul", "dropout", "identity", "concat", "slice", "flatten", "reshape", "crop", "pad",
    "upsample", "softmax", "log_softmax", "cross_entropy", "bce", "bce_logits", "mse",
)  # fmt: skip
_SMALL = ("0", "1", "2", "3", "4", "5", "7", "8", "16", "32", "64", "1x1", "2x2", "3x3", "3x1", "1x7", "0.5", "1000")


def corpus() -> list[str]:
    """What is mutated: every file of the zoo and of ``tests/errors``, and every snippet of the manuals."""
    files = [*sorted((ROOT / "zoo").rglob("*.net")), *sorted((ROOT / "tests" / "errors").glob("*.net"))]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    for page in ("README.md", "grammar/README.md", "zoo/README.md"):
        shown = (ROOT / page).read_text(encoding="utf-8")
        texts += re.findall(r"^```net[^\n]*\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    texts += [f"net A {{\ninput image: [3, 32, 32]\n{text}}}\n" for text in texts if "net " not in text]
    return [text for text in texts if len(text) < 5000]


def words_of(text: str) -> list[str]:
    return _WORDS.findall(text)


def _exchange_words(random: random.Random, text: str) -> str:
    words = words_of(text)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        place = random.randrange(len(words) + 1)
        new = random.choice((random.choice(_PIECES), random.choice(_NUMBERS), random.choice(words or [" "])))
        words[place : place + random.choice((0, 1, 1, 1, 2))] = [" ", new, " "]
    return "".join(words)


def _exchange_numbers(random: random.Random, text: str) -> str:
    places = [match.span() for match in re.finditer(r"\b\d+(x\d+)?\b", text)]
    for start, stop in sorted(random.sample(places, min(len(places), random.choice((1, 1, 2, 4)))), reverse=True):
        text = text[:start] + random.choice(_NUMBERS) + text[stop:]
    return text


def _drop_words(random: random.Random, text: str) -> str:
    words = words_of(text)
    start = random.randrange(len(words) + 1)
    del words[start : start + random.choice((1, 2, 5, 20))]
    return "".join(words)


def _swap_words(random: random.Random, text: str) -> str:
    words = words_of(text)
    if words:
        one, other = random.randrange(len(words)), random.randrange(len(words))
        words[one], words[other] = words[other], words[one]
    return "".join(words)


def _repeat_words(random: random.Random, text: str) -> str:
    """Much of the same: nesting, long lists, long pipes."""
    words = words_of(text)
    start = random.randrange(len(words) + 1)
    part = words[start : start + random.choice((1, 1, 2, 4, 16))]
    return "".join(words[:start] + part * random.choice((2, 3, 10, 70, 300, 3000)) + words[start:])


def _move_lines(random: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(random.choice((1, 2, 4))):
        line = lines.pop(random.randrange(len(lines))) if len(lines) > 1 else lines[0]
        lines.insert(random.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def _cut(random: random.Random, text: str) -> str:
    place = random.randrange(len(text) + 1)
    return random.choice((text[:place], text[place:]))


def _nest(random: random.Random, text: str) -> str:
    """A bracket around a bracket around ... in the middle of a file."""
    opening, closing = random.choice(
        (("(", ")"), ("[", "]"), ("if yes { ", " }"), ("-", ""), ("not ", ""), ("f(", ")"))
    )
    depth = random.choice((5, 63, 64, 65, 500, 5000))
    place = random.randrange(len(text) + 1)
    return text[:place] + opening * depth + "1" + closing * random.choice((depth, depth - 1, 0)) + text[place:]


def _exchange_alike(random: random.Random, text: str) -> str:
    """Ops for ops, small numbers for numbers, names for names: what often still is a network."""
    words = words_of(text)
    names = [word for word in words if word.isidentifier()]
    places = [place for place, word in enumerate(words) if word[0].isalnum()]
    for place in random.sample(places, min(len(places), random.choice((1, 1, 2, 4)))):
        word = words[place]
        if word in _OPS:
            words[place] = random.choice(_OPS)
        elif word.isidentifier():
            words[place] = random.choice(names)
        else:
            words[place] = random.choice(_SMALL)
    return "".join(words)


MUTATIONS: tuple[Mutation, ...] = (
    _exchange_alike, _exchange_alike, _exchange_alike, _exchange_alike, _exchange_words, _exchange_words,
    _exchange_numbers, _drop_words, _swap_words, _repeat_words, _move_lines, _cut, _nest,
)  # fmt: skip


def _mutated_bytes(random: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 2, 8, 64))):
        place = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << random.randrange(8)
            case 1:
                changed[place:place] = random.randbytes(random.choice((1, 2, 40)))
            case 2:
                del changed[place : place + random.choice((1, 3, 50))]
            case _:
                changed[place:place] = random.choice((b"\0", b"\r", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J", b"\xc3"))
    return bytes(changed)


def file_bytes(seed: int, number: int, texts: list[str]) -> bytes:
    """File ``number``: mutated words (7 of 10), mutated bytes (1), random words or bytes (1), random programs (1)."""
    from tests.elaborate.programs import Writer

    chance = random.Random(f"{seed}:{number}")
    kind = chance.randrange(10)
    if kind == 0:
        return _mutated_bytes(chance, chance.choice(texts).encode())
    if kind == 1:
        if chance.random() < 0.3:
            return chance.randbytes(chance.choice((0, 1, 10, 1000)))
        pieces = (*_PIECES, *_NUMBERS, "x", "\n", "\n", " ", "conv", "f")
        return " ".join(chance.choice(pieces) for _ in range(chance.choice((3, 30, 300)))).encode()
    if kind == 2:
        return Writer(chance.randrange(2**40), chance.choice((0.0, 0.05, 0.3))).program().encode()
    text = chance.choice(texts)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if text:
            text = chance.choice(MUTATIONS)(chance, text)
    return text.encode(errors="replace")


# -- one file ------------------------------------------------------------------------------------------


class _TooLong(BaseException):
    """The clock of processor time ran out."""


def _ring(signal_number: int, frame: FrameType | None) -> None:
    raise _TooLong


def check_bytes(data: bytes, path: Path) -> tuple[str, str]:
    """(what, detail): ``what`` is ``exit N`` for the ways ``check`` may end; all else is a finding."""
    from netdsl.cli.main import run

    path.write_bytes(data)
    shown = io.StringIO()
    before = signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)
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
    if code < 0 or "_TooLong" in text or time.process_time() - start >= CPU_LIMIT:
        return "hang", text[-2000:]
    if "N0506" in text:
        return "memory", text[-2000:]
    if code not in FINE:
        return "traceback", f"exit {code}\n{text[-4000:]}"
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        return "control characters", repr(text[-2000:])
    return f"exit {code}", ""


# -- many files ----------------------------------------------------------------------------------------


def check_numbers(seed: int, first: int, stop: int, texts: list[str], folder: Path) -> Iterator[tuple[int, str, str]]:
    """(number, what, detail) of each file."""
    for number in range(first, stop):
        yield number, *check_bytes(file_bytes(seed, number, texts), folder / f"{os.getpid()}.net")


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

    def __post_init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.findings: list[Finding] = []

    def read(self, log: Path, first: int, stop: int, status: int) -> None:
        """Add a child's log; where the child died, the file behind its last line is to blame."""
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        for line in lines:
            number, what, detail, peak = json.loads(line)
            self.files += 1
            self.ends[what] += 1
            self.peak = max(self.peak, peak)
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
            print(f"{tally.files} files, {dict(tally.ends)}, peak {tally.peak / 1e6:.0f} MB", flush=True)
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
    print(f"{tally.files} files, {len(tally.findings)} findings: {dict(tally.ends)}")
    sys.exit(1 if tally.findings else 0)


if __name__ == "__main__":
    main()
