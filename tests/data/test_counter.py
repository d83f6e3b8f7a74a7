from __future__ import annotations

import numpy as np

from netdsl.data import counter


def test_known_answers_of_philox4x32_10() -> None:
    """The vectors that the authors publish with Random123 (kat_vectors)."""
    ones = 0xFFFFFFFF
    cases = [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ones,) * 4, (ones, ones), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]
    for count, (low, high), expected in cases:
        words = counter.philox(np.array(count, dtype=np.uint64), low | high << 32)
        assert " ".join(f"{word:08x}" for word in words) == expected


def test_words_depend_on_every_coordinate_and_on_no_neighbour() -> None:
    base = counter.words(1, 2, np.arange(10), 3)
    np.testing.assert_array_equal(base[4:7], counter.words(1, 2, np.arange(4, 7), 3))
    for other in (
        counter.words(2, 2, np.arange(10), 3),
        counter.words(1, 3, np.arange(10), 3),
        counter.words(1, 2, np.arange(10), 4),
    ):
        assert not (base == other).any()


def test_permutations() -> None:
    first = counter.permutation(7, 0, 1000)
    np.testing.assert_array_equal(np.sort(first), np.arange(1000))
    np.testing.assert_array_equal(first, counter.permutation(7, 0, 1000))
    assert (first != counter.permutation(7, 1, 1000)).mean() > 0.9
    assert (first != counter.permutation(8, 0, 1000)).mean() > 0.9
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.1
