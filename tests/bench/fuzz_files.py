"""Random and mutated files, each the same text for the same seed and number."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from tests.elaborate.programs import Writer

ROOT = Path(__file__).parents[2]

Mutation = Callable[[random.Random, str], str]

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
    "augment shift(2)", "schedule cosine", "metric top1(x, label)", "\u00e9", "\U0001f600", "\u202e", "# allow",
    "# allow N0312", "# allow N0301 N0302, N9999\n", "# allow N0303", "adam(lr = 0.1)", "adamw(lr = 1e-3, beta1 = 1)",
    "rmsprop(lr = 1)", "params(\"*.bias\", decay = no)", "clip norm(1)", "clip value(1e-40)",
    "schedule step(every = 0)", "onecycle(rise = 2)", "groups=3", "dilation=2", "pad=(1, 0, 2, 1)", "[3, H, W]", "H",
    "upsample(size=5x7)", "W", "[C, H, W]", "height(x) // 2", "crop(to=height(x))", "pad=height(in)", "fc(H)",
    "H * 0 + 3",
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


def _open_sizes(random: random.Random, text: str) -> str:
    """Sizes of inputs left open, so that they are solved for; and a number of the file that depends on them."""
    sizes = random.choice(("H, W", "H, H", "H, W", "H, 32", "C, H, W", "N", "H, W // 2"))
    text = re.sub(r"(input [^:\n]*: *\[\s*\w+), [^\]\n]*\]", lambda found: f"{found[1]}, {sizes}]", text)
    if random.random() < 0.3:
        places = [match.span() for match in re.finditer(r"\b\d+\b", text)]
        if places:
            start, stop = random.choice(places)
            text = text[:start] + random.choice(("H", "H // 4", "(W + 1)", "H % 3", "min(H, 7)")) + text[stop:]
    return text


def _allow(random: random.Random, text: str) -> str:
    """Comments that allow warnings, behind lines and above them."""
    lines = text.split("\n")
    for _ in range(random.choice((1, 3))):
        place = random.randrange(len(lines))
        comment = f"# allow N03{random.randrange(16):02d}"
        lines[place : place + 1] = random.choice(([f"{lines[place]}  {comment}"], [comment, lines[place]]))
    return "\n".join(lines)


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
    _exchange_numbers, _drop_words, _swap_words, _repeat_words, _move_lines, _cut, _nest, _open_sizes, _open_sizes,
    _allow,
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
