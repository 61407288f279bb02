"""What a claim needs besides being above the baselines, so that a policy that never learns cannot win it.

A uniform policy covers more states than any that learns, and a constant one never collapses. So a variant whose claim
is `guarded` must be competent: its mean final score over the tasks of the claim is shown to be above a random policy's,
0, by more than the margin. Where it is known what a uniform policy has of the measure itself (`Measured.uniform`), the
variant is also shown to be above that less the margin. Each is tested at the claim's level over the number of variants
tested together, so that all of them together are wrong as seldom as the claim itself.
"""

from collections.abc import Sequence
from math import isfinite

from haepo_bench.statistics.verdicts import Claimed, assay_sensitive
from haepo_bench.text import plain
from haepo_bench.verdicts.claims import SCORE
from haepo_bench.verdicts.paths import Outcomes, Path


class Guards:
    """The guards of one claim.

    Args:
        outcomes: of the claim.
        scores: the same runs' final scores.
        claimed: how the claim is tested.
    """

    def __init__(self, outcomes: Outcomes, claimed: Claimed) -> None:
        self._outcomes, self._scores, self._claimed = outcomes, outcomes.of(SCORE), claimed

    def unearned(self, name: str, tasks: Sequence[str], tests: int) -> str:
        """Why a policy that never learns could win the claim as well as this variant does; empty where it could not.

        Args:
            tests: variants that are tested together, each on its tasks.
        """
        if not self._outcomes.claim.guarded or not tasks:
            return ""
        margin, level = self._claimed.margin, self._claimed.level / max(tests, 1)
        path = self._scores.path(name, name, tasks)
        if path.pairs.obstacle or not (isfinite(path.pairs.low) and isfinite(path.pairs.high)):
            why = path.pairs.obstacle or "the bounds of the score are not known"
            return f"that {plain(name)} scores above a random policy cannot be shown: {why}"
        if not _above(path, 0.0, margin, level):
            return (
                f"{plain(name)} is not shown to score above a random policy by {margin:g}, so a policy that never "
                "learns could win this as well"
            )
        uniform = self._outcomes.uniform(tasks)
        if uniform is not None and not _above(self._outcomes.path(name, name, tasks), uniform, -margin, level):
            return f"{plain(name)} is not shown to be above a uniform policy's {uniform:.2f} less {margin:g}"
        return ""


def _above(path: Path, reference: float, by: float, level: float) -> bool:
    """Whether the mean of a path's values is shown to exceed a known number by more than `by`."""
    pairs = path.pairs
    return assay_sensitive([pairs.candidate], reference, by, pairs.low, pairs.high, level=level)
