"""Files that Atheris finds by what code they reach, through ``netdsl check``; where Atheris is installed.

    python -m tests.bench.fuzz_atheris --seconds 600 --keep findings/

It starts from the files that ``fuzz_check`` mutates, and changes words as that does or bytes as libFuzzer does. A
file on which ``check`` does not end as it should is kept and ends the run.
"""

from __future__ import annotations

import argparse
import random
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from tests.bench.fuzz_check import CPU_LIMIT, MEMORY_LIMIT, check_bytes
from tests.bench.fuzz_files import MUTATIONS, corpus

SLOWER = 5
"""Counting what code is reached takes time: the limit is this many times that of ``fuzz_check``."""
BY_WORDS = 0.7
"""How often words are exchanged, not bytes."""


def mutated(atheris: ModuleType, data: bytes, most: int, seed: int) -> bytes:
    """Another file from a file, of at most ``most`` bytes."""
    chance = random.Random(seed)
    if chance.random() > BY_WORDS:
        changed: bytes = atheris.Mutate(data, most)
        return changed
    text = chance.choice(MUTATIONS)(chance, data.decode(errors="replace") or " ")
    return text.encode(errors="replace")[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    if find_spec("atheris") is None:
        sys.exit("Atheris is not installed here: pip install atheris")
    atheris = import_module("atheris")
    seeds, file = given.keep / "seeds", given.keep / "file.net"
    seeds.mkdir(parents=True, exist_ok=True)
    texts = corpus()
    for number, text in enumerate(texts):
        (seeds / f"{number}.net").write_text(text, encoding="utf-8", errors="replace")
    with atheris.instrument_imports(include=["netdsl"]):  # what a check needs, it imports at the first one
        for text in texts[:20]:
            check_bytes(text.encode(), file, 100 * CPU_LIMIT)

    def one(data: bytes) -> None:
        what, detail = check_bytes(data, file, SLOWER * CPU_LIMIT)
        if not what.startswith("exit"):
            raise AssertionError(f"{what}: {detail}")

    options = [f"-max_total_time={given.seconds}", f"-artifact_prefix={given.keep}/", "-max_len=20000"]
    options += [f"-rss_limit_mb={MEMORY_LIMIT // 10**6}", "-timeout=60"]
    atheris.Setup(
        [sys.argv[0], *options, str(seeds)],
        one,
        custom_mutator=lambda data, most, seed: mutated(atheris, data, most, seed),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
