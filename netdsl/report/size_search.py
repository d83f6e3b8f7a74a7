"""Which sizes of its inputs a network accepts: found by trying them, and verified beyond what the rule came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice, permutations, product

from netdsl.analysis.sizes import SizeSet, find_rule
from netdsl.diagnostics import Code, Level, ResourceLimit, UserError
from netdsl.elaborate import Model
from netdsl.elaborate.probe import STAND_IN, Probe
from netdsl.elaborate.replay import TOO_LARGE, Answers, Outcome, Trace, Verdict
from netdsl.elaborate.sized import Axis
from netdsl.record import record

Point = Mapping[Axis, int]

MOST, AROUND = 1024, 64
"""Every size up to MOST is tried; of large networks, up to AROUND beyond the one that is known to fit."""
REPLAYED_STEPS, ASKED = 80_000, 4_000
"""Steps repeated on shapes, and questions to ops about new shapes, for one axis: some hundredths of a second each."""
MOST_REPLAYED, MOST_ELABORATED = 500_000, 10_000
"""Steps repeated on shapes, and of whole elaborations where the file reads a size, at most: of one axis, of the search
for sizes that fit, of the search for dependences. A quarter of a second each."""
A_QUESTION, AN_ELABORATED_STEP = 8, 12
"""What a question to an op and a step of an elaboration take, in steps repeated on shapes."""
A_FILE = 300_000
"""What the searches of all networks of a file may take together, in such steps: a second or so."""
LIKELY = (256, 240, 128, 64, 32, 512)
"""Tried first, where the first size does not fit."""
TRACES = 8
"""Kept for replaying: a file that reads a size takes several ways."""
FAR = tuple(2**power + more for power in range(11, 17) for more in (0, 1, 32))
"""Sizes tried beyond the others."""
MOST_AXES = 32
"""Sizes that may be open in one network, to be searched for."""
COMBINATIONS = 64
"""Of sizes of several axes, tried to see whether the axes depend on each other."""


class Exhausted(Exception):
    """Enough was tried."""


@record(frozen=False, eq=False)
class Budget:
    """What the searches of all networks of a file may take together, in steps repeated on shapes.

    The first network may take all of it; those that follow half of what is left, or a small part that is theirs.
    """

    left: int = A_FILE
    networks: int = 0
    memory: Answers = field(default_factory=Answers)
    """Networks of one file are mostly alike: what ops said about one helps with the next."""

    def allowance(self) -> int:
        """What the next network may take. Raises ResourceLimit where those before it took far too much."""
        if self.left < -A_FILE // 2:
            raise ResourceLimit.of(
                Code.LIMIT_STEPS,
                f"finding the sizes that fit takes too long for the {self.networks + 1} nets looked at so far together",
                help="look at one with `FILE#Net`, or give the sizes with `--size HxW`",
            )
        self.networks += 1
        if self.networks == 1:
            return self.left
        return max(self.left // 2, A_FILE // (2 * self.networks) ** 2)


@record(frozen=False, eq=False)
class Explorer:
    """Tells of single sizes whether a network accepts them, as cheaply as it can.

    ``build`` elaborates with a probe; ``literal`` asks about sizes that are numbers in the file, too.
    """

    build: Callable[[Probe], Model]
    literal: bool = False
    allowance: int = A_FILE
    """What the whole search may take, in steps repeated on shapes; nine twentieths of it in one part."""
    taken: int = 0
    axes: dict[Axis, int] = field(default_factory=dict)
    """The axes that there are, and the sizes of the first elaboration."""
    model: Model | None = None
    """The last network that was built whole."""
    error: UserError | None = None
    """Of the elaboration that came furthest, at the sizes ``error_at``."""
    error_at: Point = field(default_factory=dict)
    hopeless: bool = False
    """Something is wrong that no size puts right."""
    tried: int = 0
    """How many sizes were tried in search of one that fits."""
    reads: bool = False
    """The file reads a size, so its replays do not tell everything."""
    replays_left: int = MOST_REPLAYED
    elaborations_left: int = MOST_ELABORATED
    replay_length: int = 1
    """Steps of one replay."""
    longest_elaboration: int = 1
    memory: Answers = field(default_factory=Answers)
    _traces: list[Trace] = field(default_factory=list)
    _elaborated: dict[tuple[int, ...], Outcome] = field(default_factory=dict)
    _furthest: tuple[int, int] = (-1, 0)

    def start(self) -> Outcome:
        """Elaborate with the sizes of the file, or stand-ins, and learn what axes there are."""
        return self.elaborate({})

    @property
    def decides(self) -> bool:
        """Whether the network that the file describes was not the same at all sizes tried."""
        return self.reads and len(self._traces) > 1

    def outcome(self, sizes: Point) -> Outcome:
        """What the network does at these sizes. Raises Exhausted."""
        known = self._elaborated.get(self._key(sizes))
        if known is not None:
            return known
        for number, trace in enumerate(self._traces):
            if self.replays_left <= 0:
                raise Exhausted
            asked = self.memory.asked
            found = trace.replay(sizes)
            steps = 1 + min(found.progress[0] or trace.length, trace.length)
            self._take(steps + A_QUESTION * (self.memory.asked - asked))
            if found.verdict is not Verdict.UNDECIDED:
                self._traces.insert(0, self._traces.pop(number))
                return found
        if self.elaborations_left <= 0:
            raise Exhausted
        return self.elaborate(sizes)

    def fits(self, sizes: Point) -> bool:
        """Whether the network accepts these sizes. Raises Exhausted."""
        return self.outcome(sizes).verdict is Verdict.FITS

    def rest(self, times: int = 1) -> None:
        """Begin anew to count what was tried; ``times`` as much is allowed."""
        part = min(9 * self.allowance // 20, self.allowance - self.taken)
        self.replays_left = min(times * MOST_REPLAYED, part)
        self.elaborations_left = min(times * MOST_ELABORATED, part // AN_ELABORATED_STEP)

    def _take(self, steps: int) -> None:
        self.taken += steps
        self.replays_left -= steps

    def most(self) -> int:
        """How many sizes of one axis can be tried."""
        return max(2 * STAND_IN, min(MOST, REPLAYED_STEPS // self.replay_length))

    def _key(self, sizes: Point) -> tuple[int, ...]:
        return tuple([sizes[axis] for axis in self.axes])

    def elaborate(self, sizes: Point) -> Outcome:
        """Build the network; axes that ``sizes`` lacks are as the file says, or stand-ins."""
        probe = Probe(dict(sizes), STAND_IN, self.literal, self.memory)
        error = None
        try:
            self.model = self.build(probe)
        except UserError as caught:
            error = caught
        self.elaborations_left -= probe.steps
        self._take(AN_ELABORATED_STEP * probe.steps)
        self.axes = self.axes or dict(sorted(probe.found.items(), key=lambda item: not item[0].vertical))
        self.reads = self.reads or probe.reads
        probe.trace.settle([*self.axes, *probe.found])
        probe.trace.condense(_spread(probe.found))
        self.replay_length = max(1, probe.trace.length)
        self.longest_elaboration = max(self.longest_elaboration, probe.steps)
        useful = [trace for trace in self._traces if trace.complete or not probe.trace.complete]
        self._traces = [probe.trace, *useful[: TRACES - 1]]
        found = self._elaborated[self._key(probe.found)] = self._judged(probe, error)
        return found

    def _judged(self, probe: Probe, error: UserError | None) -> Outcome:
        replayed = probe.trace.replay(probe.found)
        if error is None:
            return replayed
        errors = [item for item in error.diagnostics if item.level is Level.ERROR]
        if all(item.code.id.startswith("N05") for item in errors):
            found = TOO_LARGE
        elif replayed.verdict is Verdict.REFUSED:
            found = replayed
        else:
            found = Outcome(Verdict.REFUSED, (len(probe.trace.steps), 0))
        if not self.reads and found is not TOO_LARGE and not all(map(probe.explains, errors)):
            self.hopeless = True
        if found.progress >= self._furthest:
            self._furthest, self.error, self.error_at = found.progress, error, dict(probe.found)
        return found


def _spread(sizes: Point) -> list[Point]:
    """These sizes and some others near them, of several remainders."""
    return [{axis: size + more for axis, size in sizes.items()} for more in (0, 1, 16, 166)]


# -- one size that fits ----------------------------------------------------------------------------


def find_fit(explorer: Explorer) -> Point | None:
    """Sizes that the network accepts, near those it was first built with; None if none were found.

    Tried are equal sizes on all axes; then the axes one at a time from where an elaboration comes furthest; then
    two axes with different remainders.
    """
    best = _Best(dict(explorer.axes))
    explorer.rest(3)
    try:
        for sizes in _candidates(explorer, best):
            found = explorer.outcome(sizes)
            explorer.tried += 1
            if found.verdict is Verdict.FITS:
                return sizes
            if explorer.hopeless:
                return None
            if found.verdict is Verdict.REFUSED and found.progress > best.progress:
                best.sizes, best.progress = sizes, found.progress
    except Exhausted:
        pass
    if explorer.error_at != best.sizes:
        explorer.elaborate(best.sizes)  # once more, to tell its errors
    return None


@record(frozen=False)
class _Best:
    """Where an elaboration comes furthest."""

    sizes: Point
    progress: tuple[int, int] = (-1, 0)


def _candidates(explorer: Explorer, best: _Best) -> Iterator[Point]:
    axes, most = list(explorer.axes), explorer.most()
    yield explorer.axes
    for size in dict.fromkeys([*LIKELY, *range(1, most + 1)]):
        yield dict.fromkeys(axes, size)
    if len(axes) == 1:
        return
    for _ in range(2):
        for axis in axes:
            for size in range(1, most + 1):
                yield {**best.sizes, axis: size}
    if len(axes) == 2:
        for first, second in product(range(32), range(32)):
            yield {axes[0]: 256 + first, axes[1]: 256 + second}


# -- all of them along one axis --------------------------------------------------------------------


@record
class Tried:
    """Every size up to ``every`` was tried, and ``others`` beyond it up to ``largest``.

    ``too_large``: the first size at which a tensor is beyond the limit of elements; None where none was met.
    """

    every: int
    others: int
    largest: int
    too_large: int | None = None


@record
class AxisSizes:
    """The sizes of one axis (or of several that are equal) that fit, with the others as in the point they fit at.

    ``same_weights`` are those of them where every weight has the shape it has at that point.
    """

    sizes: SizeSet
    same_weights: SizeSet
    tried: Tried


def solve_axis(explorer: Explorer, point: Point, axes: Sequence[Axis]) -> AxisSizes:
    """Try the sizes of ``axes``, all equal, with the other axes as in ``point``, which fits."""
    explorer.rest()
    weights = explorer.outcome(point).weights
    enough, asked = point[axes[0]] + AROUND, explorer.memory.asked
    outcomes: list[Outcome] = []
    too_large = None
    try:
        for size in range(1, MOST + 1):
            is_costly = size * explorer.replay_length > REPLAYED_STEPS or explorer.memory.asked - asked > ASKED
            if size > enough and is_costly and size % AROUND == 1:
                break
            found = explorer.outcome({**point, **dict.fromkeys(axes, size)})
            if found.verdict is Verdict.TOO_LARGE:
                too_large = size
                break
            outcomes.append(found)
    except Exhausted:
        pass
    fitting = [item.verdict is Verdict.FITS for item in outcomes]
    sizes = find_rule(fitting)
    same = find_rule([fits and item.weights == weights for fits, item in zip(fitting, outcomes, strict=True)])
    at = {point[axis] for axis in axes}
    if len(at) == 1:  # it fits, however few were tried
        sizes, same = sizes.including(*at), same.including(*at)
    tried = Tried(len(outcomes), 0, len(outcomes), too_large)
    if too_large is not None:
        return AxisSizes(sizes, same, tried)
    return _verified(explorer, point, axes, AxisSizes(sizes, same, tried))


def _verified(explorer: Explorer, point: Point, axes: Sequence[Axis], found: AxisSizes) -> AxisSizes:
    """The sizes and how far they were tried; a rule that a larger size breaks ends where every size was tried."""
    every, sizes = found.tried.every, found.sizes
    if sizes.known_to is not None:
        return found
    more = [*range(every + 1, every + 1 + min(2 * sizes.modulus, 128)), *(size for size in FAR if size > every)]
    others, largest, too_large, holds = 0, every, None, True
    try:
        for size in sorted(set(more)):
            outcome = explorer.outcome({**point, **dict.fromkeys(axes, size)})
            if outcome.verdict is Verdict.TOO_LARGE:
                break
            others, largest = others + 1, size
            holds = holds and (outcome.verdict is Verdict.FITS) == (size in sizes)
    except Exhausted:
        pass
    if not holds:
        sizes = sizes.up_to(every)
    return replace(found, sizes=sizes, tried=Tried(every, others, largest, too_large))


# -- several axes ----------------------------------------------------------------------------------


def independent(explorer: Explorer, point: Point, sets: Mapping[Axis, SizeSet]) -> bool:
    """Whether sizes fit together exactly where each fits alone, as far as was tried; False if too few could be.

    Also False where the network was another one at some of the sizes: then one size may decide what others meet.
    """
    if explorer.decides:
        return False
    explorer.rest()
    try:
        for sizes in _combinations(point, sets):
            outcome = explorer.outcome(sizes)
            alone = all(sizes[axis] in held for axis, held in sets.items())
            if outcome.verdict is not Verdict.TOO_LARGE and (outcome.verdict is Verdict.FITS) != alone:
                return False
    except Exhausted:
        return False
    return True


def _combinations(point: Point, sets: Mapping[Axis, SizeSet]) -> Iterator[Point]:
    """Sizes near the edges of all sets at once; then, beside a size outside one set, many sizes of another axis."""
    choices = [_edges(sets[axis], point[axis]) for axis in sets]
    for combination in islice(product(*choices), COMBINATIONS):
        yield {**point, **dict(zip(sets, combination, strict=True))}
    for axis, other in permutations(sets, 2):
        at = point[axis]
        outside = [size for size in (2 * at, at // 2, 4 * at, at // 4, at + 1) if size >= 1 and size not in sets[axis]]
        many = 2 if sets[axis].residues else 4  # a finite set may be the factors of a number that is fixed
        for size, other_size in product(outside[:many], range(1, 2 * STAND_IN)):
            yield {**point, axis: size, other: other_size}


def _edges(sizes: SizeSet, at: int) -> list[int]:
    """Members and others: the smallest, those around ``at``, and what lies just outside."""
    members = [size for size in (sizes.smallest, sizes.below(at), at, sizes.above(at)) if size is not None]
    outside = [size for member in members for size in (member - 1, member + 1) if size >= 1 and size not in sizes]
    return list(dict.fromkeys([*members, *outside[:4]]))
