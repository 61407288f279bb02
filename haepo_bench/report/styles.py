"""How algorithms look: the same colour, dashes and marker in every figure and chart of a suite."""

from collections.abc import Iterable
from typing import NamedTuple

from haepo_bench.report.document import SuiteResult

#: Colours that the colour-blind can tell apart (Okabe and Ito, 2008; grey for black, without yellow).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
#: The same on a dark ground.
DARK_COLOURS = ("#4aa8e0", "#ff8a3d", "#2dc79a", "#e79cc4", "#f2b632", "#9ad1f5", "#a8a8a8")
#: Lengths of strokes and gaps, in points; nothing for a whole line.
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (2, 2), (9, 3, 2, 3), (5, 2, 1, 2, 1, 2))
#: Shapes as the charts' script calls them; `figures` knows matplotlib's names.
MARKERS = ("circle", "square", "triangle", "diamond", "cross")

INK, FAINT = "#24292f", "#d0d7de"
DARK_INK, DARK_FAINT = "#d1d7de", "#3a414a"


class Look(NamedTuple):
    """Places in `COLOURS`, `DASHES` and `MARKERS`."""

    colour: int
    dash: int
    marker: int


class Styles:
    """Gives each algorithm its look.

    Variants of one algorithm share a colour, as do algorithms of which one's name continues the other's (`ppo`,
    `ppo-batched`). Dashes and marker tell all of them apart in grey too: no two of the first 25 have both.
    """

    def __init__(self, algorithms: Iterable[tuple[str, str]]) -> None:
        """algorithms: name in the suite, and the catalogue name that it uses."""
        uses = dict(algorithms)
        roots = _roots(uses.values())
        self._looks: dict[str, Look] = {}
        for place, (name, catalogue_name) in enumerate(uses.items()):
            marker = (place + place // len(DASHES)) % len(MARKERS)
            self._looks[name] = Look(roots[catalogue_name] % len(COLOURS), place % len(DASHES), marker)

    def of(self, algorithm: str) -> Look:
        """How an algorithm looks."""
        return self._looks[algorithm]


def suite_styles(suite: SuiteResult) -> Styles:
    """The looks of a suite's algorithms."""
    return Styles((result.algorithm, result.uses) for task in suite.tasks for result in task.algorithms)


def _roots(names: Iterable[str]) -> dict[str, int]:
    """For each name the number of its kind, in the order of their first appearance."""
    distinct = list(dict.fromkeys(names))
    kinds: dict[str, int] = {}
    found = {}
    for name in distinct:
        root = min((other for other in distinct if name == other or name.startswith(f"{other}-")), key=len)
        found[name] = kinds.setdefault(root, len(kinds))
    return found
