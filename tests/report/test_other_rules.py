"""Claims decided by the rules `wins` and `fixed`, from stored runs to the report, against plain arithmetic."""

import math
from pathlib import Path

import numpy as np
import pytest
from claims_support import BASELINE, READING, curves, declared, runs
from plain_verdicts import rising
from scipy.stats import ttest_ind

from haepo_bench.report.document_scorecard import Reading
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.store import Store


def fast(store: Store) -> Reading:
    """The claim "converges fast", of its only candidate."""
    card = build_report(store.root).suites[0].scorecard
    assert card is not None
    (claim,) = [each for each in card.claims if each.claim == "converges fast"]
    (reading,) = claim.readings
    return reading


def signs_bet(x: list[float], y: list[float], theta: float = 0.0) -> list[float]:
    """Log evidence after each pair that x wins more often than it loses: four bets on the sign, in equal parts."""
    capital, path = [1.0] * 4, []
    for u, v in zip(x, y, strict=True):
        sign = (u > v) - (u < v)
        capital = [
            c * (1 + f * (sign - theta) / (1 + theta)) for c, f in zip(capital, (0.25, 0.5, 0.75, 1.0), strict=True)
        ]
        path.append(math.log(sum(capital) / 4))
    return path


def area(curve: list[float]) -> float:
    return sum(curve[:-1]) / (len(curve) - 1)


@pytest.mark.parametrize(("wins", "losses", "state"), [(16, 2, "supported"), (2, 16, "worse"), (11, 9, "undecided")])
def test_wins_counts_signs_and_needs_no_bounds(tmp_path: Path, wins: int, losses: int, state: str) -> None:
    """Scores far outside of any bounds; the rare loss is a thousand times as large as a win."""
    order = np.random.default_rng(3).permutation([1.0] * wins + [-1000.0] * losses + [0.0] * 2)
    scores = [[5.0 + float(d)] * 5 for d in order]
    stored = [*runs(scores), *runs([[5.0] * 5] * len(scores), algorithm=BASELINE)]
    found = fast(declared(tmp_path, stored, len(scores), bounds=None, rule="wins"))
    assert found.state == state
    x, y = [area(curve) for curve in scores], [5.0] * len(scores)
    assert found.for_claim.log_evidence == pytest.approx(rising(signs_bet(x, y)))
    assert found.against_claim.log_evidence == pytest.approx(rising(signs_bet(y, x)))
    decided = found.for_claim if state == "supported" else found.against_claim
    assert (max(decided.log_evidence) >= math.log(decided.needed)) == (state != "undecided")


def test_fixed_looks_once(tmp_path: Path) -> None:
    """Nothing before the 12 seeds that were declared, a verdict at them, and no other for more seeds."""
    stored = [*runs(curves(1, 0.8, 12)), *runs(curves(2, 0.4, 12), algorithm=BASELINE)]
    early = [run for run in stored if run.seed < 11]
    found = fast(declared(tmp_path / "early", early, 12, rule="fixed"))
    assert (found.state, found.for_claim.log_evidence) == ("undecided", [0.0] * 11)
    found = fast(declared(tmp_path / "look", stored, 12, rule="fixed"))
    assert (found.state, found.for_claim.log_evidence[:-1]) == ("supported", [0.0] * 11)
    # Never more than Welch's test alone would claim: the guard can only take evidence away.
    x, y = ([area([r / 2 for r in run.curve["eval_return"]]) for run in stored if run.algorithm == name]
            for name in (READING, BASELINE))  # fmt: skip
    assert math.log(20) <= found.for_claim.log_evidence[-1]
    assert math.log(20) <= -math.log(ttest_ind(x, y, equal_var=False, alternative="greater").pvalue)


def test_fixed_with_equal_scores_of_all_seeds_shows_nothing(tmp_path: Path) -> None:
    """No spread is no certainty: two values, and none between them, are not a p-value of 0."""
    stored = [*runs([[0.55] * 5] * 12), *runs([[0.5] * 5] * 12, algorithm=BASELINE)]
    found = fast(declared(tmp_path, stored, 12, rule="fixed"))
    assert found.state == "undecided"
