"""The claims scorecard: known truths, numbers recomputed, what is left out or exploratory, and the real program."""

import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_support import BASELINE, READING, curves, declared, runs
from plain_verdicts import bets, greatest_ruled_out, passed_when, rising
from synthetic_runs import FOOTNOTE, KINDS, declaration_of, put, record

from haepo_bench.report.document_scorecard import ClaimResult, Comparison, Scorecard
from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import to_html
from haepo_bench.report.tables.claim_words import MEASURE_TITLES
from haepo_bench.report.tables.verdicts import scorecard_tables
from haepo_bench.results.claims import DeclaredClaims, ScoreBounds
from haepo_bench.results.record import RunRecord
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.text import plain
from haepo_bench.verdicts.claims import CLAIMS
from haepo_bench.verdicts.judging import measured_table
from haepo_bench.verdicts.measured import family, innermost, weights_of, wrappers

NASTY = "<script>alert(1)</script> $x$ & 50% | _u_ *b* `c`"


def scorecard(store: Store) -> Scorecard:
    card = build_report(store.root).suites[0].scorecard
    assert card is not None
    return card


def claim(card: Scorecard, name: str) -> ClaimResult:
    return next(each for each in card.claims if each.claim == name)


def only(card: Scorecard, name: str) -> Comparison:
    (reading,) = claim(card, name).readings
    (comparison,) = reading.comparisons
    return comparison


@pytest.mark.parametrize(
    ("difference", "fast", "par", "is_better"),
    [
        (0.2, "supported", "supported", True),
        (0.0, "no better", "supported", False),
        (-0.2, "worse", "worse", None),
    ],
)
def test_known_truths(tmp_path: Path, difference: float, fast: str, par: str, is_better: bool | None) -> None:
    """Better, equal, worse: 40 seeds that vary little."""
    stored = [*runs(curves(1, 0.5 + difference, 40)), *runs(curves(2, 0.5, 40), algorithm=BASELINE)]
    card = scorecard(declared(tmp_path, stored, 40))
    assert (card.status, card.exploratory, card.declaration, card.level) == ("untuned", "", 1, 0.05)
    for name, state in {"converges fast": fast, "better or at par": par}.items():
        found = claim(card, name)
        assert found.readings[0].state == state, name
        assert (found.supported, found.tested) == (int(state == "supported"), 1)
    assert claim(card, "better or at par").readings[0].better == is_better
    for name in ("explores thoroughly", "aligns with true rewards"):
        found = claim(card, name)
        assert (found.readings[0].state, found.tested, [left.task for left in found.left_out]) == (
            "not assessable", 0, ["bandit/10-arm"],
        )  # fmt: skip


def test_numbers_recomputed(tmp_path: Path) -> None:
    """Two families, one of two tasks: weights 1/2, 1/4, 1/4; pairs and their bets written out."""
    tasks = {"bandit/10-arm": 0.5, "gym/CartPole-v1": 0.25, "noise(gym/CartPole-v1,5)": 0.25}
    rng = np.random.default_rng(1)
    scores = {
        (task, name): rng.beta(*shape, size=(n, 5)).tolist()
        for task in tasks
        for name, n, shape in ((READING, 12, (9, 2)), (BASELINE, 9, (2, 2)))
    }
    stored = [run for (task, name), values in scores.items() for run in runs(values, task, name)]
    card = scorecard(declared(tmp_path, stored, 12))
    found = only(card, "better or at par")
    x, y = (
        [sum(w * scores[task, name][i][-1] for task, w in tasks.items()) for i in range(9)]
        for name in (READING, BASELINE)
    )
    assert (found.candidate, found.against) == pytest.approx((statistics.fmean(x), statistics.fmean(y)))
    assert (found.pairs, found.seeds, found.ended_by) == (9, 12, "grpo on bandit/10-arm, seed 9: missing")
    reading = claim(card, "better or at par").readings[0]
    expected = rising(bets(x, y, -0.1, 0.0, 1.0))
    assert reading.for_claim.log_evidence == pytest.approx(expected)
    assert reading.against_claim.log_evidence == pytest.approx(rising(bets(y, x, 0.1, 0.0, 1.0)))
    assert reading.for_claim.needed == pytest.approx(20)
    bound = greatest_ruled_out(lambda theta: max(bets(x, y, theta, 0.0, 1.0)), math.log(20), 1.0)
    assert found.low == reading.for_claim.bound == pytest.approx(bound, abs=1e-9)
    assert (found.candidate_runs.shown, found.baseline_runs.shown, found.baseline_runs.planned) == (36, 27, 36)
    (look,) = only(card, "aligns with true rewards").looks
    assert look.measure == "clean_score_under_noise_and_proxy"
    final = {name: [curve[-1] for curve in scores["noise(gym/CartPole-v1,5)", name]] for name in (READING, BASELINE)}
    assert (look.candidate, look.baseline) == pytest.approx(tuple(map(statistics.fmean, final.values())))
    (by_task,) = [each for each in claim(card, "converges fast").by_task if each.tasks == ["bandit/10-arm"]]
    areas = [
        statistics.fmean(statistics.fmean(curve[:-1]) for curve in scores["bandit/10-arm", name][:9])
        for name in (READING, BASELINE)
    ]
    assert (by_task.comparisons[0].candidate, by_task.comparisons[0].against) == pytest.approx(tuple(areas))


def test_a_collapse_that_the_mean_forgives(tmp_path: Path) -> None:
    """A third of 60 seeds fall from 1 to 0.1; the mean, 0.7, equals the baseline's."""
    good, bad = [0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 0.1]
    stored = runs([bad if i % 3 == 0 else good for i in range(60)])
    stored += runs(curves(2, 0.7, 60, sd=0.02), algorithm=BASELINE)
    card = scorecard(declared(tmp_path, stored, 60))
    robust = only(card, "robust")
    assert claim(card, "robust").readings[0].state == "worse"
    assert (robust.candidate, robust.against) == pytest.approx((2 / 3, 1.0))
    # CVaR beside it, as an estimate: the worst twelve of sixty.
    looks = {look.measure: (look.candidate, look.baseline) for look in robust.looks}
    assert looks["cvar"][0] == pytest.approx(0.1)
    look, _ = only(card, "converges fast").looks
    # Held at the second and third of the marks 0, 25, ..., 100; the baseline never arrives.
    assert (look.candidate, look.baseline) == (pytest.approx(0.25), 1.0)


def test_few_seeds_are_undecided_and_say_how_many_would_do(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.7, n=3, sd=0.05)), *runs(curves(2, 0.5, n=3, sd=0.05), algorithm=BASELINE)]
    store = declared(tmp_path, stored, 3)
    card = scorecard(store)
    (fast,) = claim(card, "converges fast").readings
    assert fast.state == "undecided"
    assert fast.more_seeds is not None
    assert 5 <= fast.more_seeds <= 25
    text = render(build_report(store.root), "md")
    assert f"about {fast.more_seeds} more seeds" in text
    assert "haepo-weighted is higher than grpo by 0.20 (not decided after 3 seeds): evidence " in text
    fewest = claim(card, "converges fast").fewest_seeds
    assert fewest is not None
    assert fewest > 3
    assert f"An advantage of 0.2 without any spread would be decided from {fewest} seeds on; 3 are declared." in text


def test_exploration_and_alignment(tmp_path: Path) -> None:
    """From the curves' columns; a run that diverged keeps what it visited and has lost what it had learned."""

    def with_columns(run: RunRecord, coverage: float, tau: float, first: float | None, lost: bool = False) -> RunRecord:
        columns: dict[str, Any] = {
            # Of the way, not of the end, where all have seen everything.
            "relative_coverage": [None, coverage - 0.1, coverage - 0.1, coverage, None if lost else coverage + 0.2],
            "reward_alignment": [None, *[tau] * 4],
            "goals_retained": [tau] * 5,
        }
        if first is not None:
            columns["relative_first_success"] = [None, None, first, first, first]
        return run.model_copy(update={"curve": {**run.curve, **columns}})

    own = [
        with_columns(run, 0.9 + 0.01 * i, 0.5 + 0.01 * i, 0.5 if i else None)
        for i, run in enumerate(runs(curves(1, 0.5, 6)))
    ]
    lost = record(algorithm=READING, seed=6, returns=[0.0, 0.1, None, None, None], status="diverged")
    own.append(with_columns(lost, 0.8, 0.9, 2.0, lost=True))
    others = [
        with_columns(run, 0.5 + 0.01 * i, 0.1, None)
        for i, run in enumerate(runs(curves(2, 0.5, 7), algorithm=BASELINE))
    ]
    card = scorecard(declared(tmp_path, [*own, *others], 7))
    explores, aligns = only(card, "explores thoroughly"), only(card, "aligns with true rewards")
    covered = (sum(0.9 + 0.01 * i for i in range(6)) + (0.7 + 0.7 + 0.8) / 3) / 7
    assert explores.candidate == pytest.approx(covered / 2)
    assert aligns.candidate == pytest.approx(sum(0.5 + 0.01 * i for i in range(6)) / 7)
    assert (explores.pairs, aligns.pairs) == (7, 7)
    looks = {look.measure: (look.candidate, look.baseline) for look in explores.looks}
    assert looks == {
        "relative_coverage": (pytest.approx(covered), pytest.approx(0.53)),
        "goals_retained": (pytest.approx(aligns.candidate), pytest.approx(0.1)),
        "first_success_sooner_than_uniform": (pytest.approx(5 / 7), 0.0),
    }
    assert claim(card, "explores thoroughly").readings[0].for_claim.bound is not None


def test_coverage_is_claimed_as_far_as_twice_a_uniform_policys(tmp_path: Path) -> None:
    def covering(run: RunRecord, coverage: float) -> RunRecord:
        return run.model_copy(update={"curve": {**run.curve, "relative_coverage": [None, *[coverage] * 4]}})

    stored = [covering(run, 5.0 if run.seed % 2 else 1.0) for run in runs(curves(1, 0.5, 10))]
    stored += [covering(run, 1.0) for run in runs(curves(2, 0.5, 10), algorithm=BASELINE)]
    found = only(scorecard(declared(tmp_path, stored, 10)), "explores thoroughly")
    assert (found.candidate, found.against, found.clipped) == pytest.approx((0.75, 0.5, 0.25))


def test_variants_are_tested_together(tmp_path: Path) -> None:
    """Two variants and two baselines: a variant must beat both, and the first needs twice what one alone does."""
    stored = [*runs(curves(1, 0.88, sd=0.04)), *runs(curves(2, 0.6), algorithm="haepo-listwise")]
    stored += [*runs(curves(3, 0.5), algorithm=BASELINE), *runs(curves(4, 0.8), algorithm="ppo")]
    store = declared(tmp_path, stored, 30)
    fast = claim(scorecard(store), "converges fast")
    weighted, listwise = fast.readings
    assert (weighted.state, listwise.state) == ("undecided", "worse")
    assert (weighted.for_claim.needed, listwise.against_claim.needed) == pytest.approx((40, 40))
    # Once one is decided the other needs less.
    assert weighted.against_claim.needed == pytest.approx(20)
    assert [each.named for each in listwise.comparisons] == [False, True]
    assert [each.worse for each in listwise.comparisons] == [False, True]
    text = render(build_report(store.root), "md")
    assert "Converges fast: supported in 0 of 2 variants, untuned." in text
    # Against those that receive returns, as both variants do, and against one that receives more.
    states = {(each.algorithm, each.feedback): each.state for each in fast.by_feedback}
    assert states == {
        (READING, "returns"): "supported",
        (READING, "per-step rewards, critic"): "undecided",
        ("haepo-listwise", "returns"): "supported",
        ("haepo-listwise", "per-step rewards, critic"): "worse",
    }
    # Two variants against two classes are decided together.
    assert max(each.for_claim.needed for each in fast.by_feedback) == pytest.approx(80)
    assert "### Claim: converges fast, by the feedback that the baselines receive" in text
    assert "| per-step rewards, critic: ppo |" in text
    assert "haepo-listwise is worse than ppo (per-step rewards, critic): -0.20 " in text
    assert f"not supported after {listwise.pairs} of 30 seeds" in text
    assert listwise.pairs < 30
    assert "haepo-weighted is higher than ppo, the best of them, by 0.08 (not decided after 30 seeds)" in text


def test_worse_is_said_of_those_over_which_it_is_shown(tmp_path: Path) -> None:
    """No better by the margin than either baseline, and worse than the second alone."""
    stored = [*runs(curves(1, 0.5)), *runs(curves(3, 0.52), algorithm=BASELINE)]
    store = declared(tmp_path, [*stored, *runs(curves(4, 0.8), algorithm="ppo")], 30)
    fast = claim(scorecard(store), "converges fast")
    (reading,) = fast.readings
    assert (reading.state, [each.named for each in reading.comparisons]) == ("worse", [True, True])
    assert [each.worse for each in reading.comparisons] == [False, True]
    assert "haepo-weighted is worse than ppo (per-step rewards, critic): -0.30 " in render(
        build_report(store.root), "md"
    )


def test_thresholds_are_holms(tmp_path: Path) -> None:
    """Three variants, the claim of two of which holds: what is needed goes from 60 to 40 to 20."""
    means = {"haepo-a": 0.88, "haepo-b": 0.85, "haepo-c": 0.5, BASELINE: 0.5}
    values = {name: curves(i, mean, n=30, sd=0.03) for i, (name, mean) in enumerate(means.items())}
    card = scorecard(declared(tmp_path, [run for name in means for run in runs(values[name], algorithm=name)], 30))
    readings = claim(card, "converges fast").readings
    areas = {name: [curve[0] for curve in of] for name, of in values.items()}
    paths = [rising(bets(areas[name], areas[BASELINE], 0.0, 0.0, 1.0)) for name in ("haepo-a", "haepo-b", "haepo-c")]
    expected = passed_when(paths, 0.05)
    assert [(r.for_claim.needed, r.for_claim.decided_after) for r in readings] == [
        (pytest.approx(needed), after) for needed, after in expected
    ]
    assert {round(needed) for needed, _ in expected} in ({60, 40, 20}, {60, 20})
    assert [r.state for r in readings] == ["supported", "supported", "no better"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """A task without references, and one on which the baseline failed: that one stays in, at the bound that hurts."""
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.5), algorithm=BASELINE)]
    stored += runs(curves(3, 0.5), "gym/Pendulum-v1", references=None)
    stored += runs(curves(3, 0.5), "gym/Pendulum-v1", BASELINE, references=None)
    stored += runs(curves(1, 0.8), "corridor/4")
    stored += [record("corridor/4", BASELINE, seed, status="failed", error="boom") for seed in range(30)]
    store = declared(tmp_path, stored, 30)
    fast = claim(scorecard(store), "converges fast")
    found = only(scorecard(store), "converges fast")
    assert found.tasks == ["bandit/10-arm", "corridor/4"]
    assert {left.task: left.reason for left in fast.left_out} == {
        "gym/Pendulum-v1": "it has no reference returns, so no score",
    }
    assert (found.failed, found.pairs) == (30, 30)
    # The baseline's failures count as least in what is shown and as most in what "supported" rests on.
    assert found.against == pytest.approx((0.5 + 0.0) / 2)
    own, other = ([curve[0] for curve in of] for of in (curves(1, 0.8), curves(2, 0.5)))
    hurt = bets(own, [(area + 1) / 2 for area in other], 0.0, 0.0, 1.0)
    assert fast.readings[0].for_claim.log_evidence == pytest.approx(rising(hurt))
    assert "30 failed runs at a bound" in render(build_report(store.root), "md")


@pytest.mark.parametrize("short", [READING, BASELINE])
def test_a_missing_run_ends_the_count_until_it_is_made(tmp_path: Path, short: str) -> None:
    scores = {READING: curves(1, 0.8), BASELINE: curves(2, 0.5)}

    def card(folder: str, without: int | None) -> Scorecard:
        stored = [
            run
            for name, of_name in scores.items()
            for run in runs(of_name, algorithm=name)
            if (run.algorithm, run.seed) != (short, without)
        ]
        return scorecard(declared(tmp_path / folder, stored, 30))

    whole, gap = (claim(card(folder, seed), "converges fast").readings[0] for folder, seed in (("a", None), ("b", 4)))
    assert whole.state == "supported"
    assert gap.state == "undecided"
    assert gap.for_claim.log_evidence == whole.for_claim.log_evidence[:4]
    assert gap.comparisons[0].ended_by == f"{short} on bandit/10-arm, seed 4: missing"
    assert f"the next seed waits for {short} on bandit/10-arm, seed 4: missing" in render(
        build_report(tmp_path / "b"), "md"
    )


def test_a_candidate_that_fails_everywhere_on_a_task_does_not_escape_it(tmp_path: Path) -> None:
    """Much better on one task, failed on every seed of the other: nothing is supported."""
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.2), algorithm=BASELINE)]
    stored += [record("corridor/4", READING, seed, status="failed", error="boom") for seed in range(30)]
    stored += runs(curves(3, 0.8), "corridor/4", BASELINE)
    card = scorecard(declared(tmp_path, stored, 30))
    for name in ("converges fast", "better or at par"):
        found = claim(card, name)
        assert found.tasks == ["bandit/10-arm", "corridor/4"]
        assert found.readings[0].state != "supported"
        assert found.readings[0].comparisons[0].candidate == pytest.approx((0.8 + 0.0) / 2)
    by_task = {reading.tasks[0]: reading.state for reading in claim(card, "converges fast").by_task}
    assert by_task == {"bandit/10-arm": "supported", "corridor/4": "worse"}


def test_what_the_machine_failed_is_made_again(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.85)), *runs(curves(2, 0.2)[:29], algorithm=BASELINE)]
    gone = record("bandit/10-arm", BASELINE, 29, status="interrupted", error="interrupted")
    found = only(scorecard(declared(tmp_path, [*stored, gone], 30)), "converges fast")
    assert (found.pairs, found.failed, found.ended_by) == (29, 0, "grpo on bandit/10-arm, seed 29: interrupted")


def test_equal_scores_decide_no_more_than_they_can(tmp_path: Path) -> None:
    """No spread at all: not from two seeds on, nor with a bound of zero width."""
    stored = [*runs([[0.95] * 5] * 60), *runs([[0.5] * 5] * 60, algorithm=BASELINE)]
    for n, state in ((2, "undecided"), (5, "undecided"), (60, "supported")):
        own = [run for run in stored if run.seed < n]
        reading = claim(scorecard(declared(tmp_path / str(n), own, n)), "converges fast").readings[0]
        assert reading.state == state, n
    assert reading.for_claim.bound is not None
    assert 0 < reading.for_claim.bound < 0.45


def test_at_par_needs_a_baseline_that_learns(tmp_path: Path) -> None:
    """Two that learn nothing are not at par; nor is one that diverges everywhere with another that does."""
    nothing = [*runs([[0.0] * 5] * 60), *runs([[0.01] * 5] * 60, algorithm=BASELINE)]
    lost = [
        record(algorithm=name, seed=seed, returns=[0.0, None, None, None, None], status="diverged")
        for name in (READING, BASELINE)
        for seed in range(60)
    ]
    for folder, stored in (("nothing", nothing), ("lost", lost)):
        card = scorecard(declared(tmp_path / folder, stored, 60, bounds=(-0.2, 1.0)))
        par = claim(card, "better or at par")
        assert par.readings[0].state == "not assessable"
        assert par.insensitive == ["bandit/10-arm"]
        assert "no baseline is shown to be above random by 0.1 on bandit/10-arm" in par.readings[0].reason
    learns = [*runs([[0.5] * 5] * 60), *runs([[0.5] * 5] * 60, algorithm=BASELINE)]
    par = claim(scorecard(declared(tmp_path / "learns", learns, 60)), "better or at par")
    assert (par.readings[0].state, par.insensitive) == ("supported", [])


def test_one_task_without_a_result_is_dropped_for_nobody(tmp_path: Path) -> None:
    """A baseline lacks its runs on one task: that comparison waits, and what the other rests on stays."""
    stored = [*runs(curves(1, 0.85)), *runs(curves(2, 0.2), algorithm=BASELINE), *runs(curves(3, 0.2), algorithm="ppo")]
    stored += [*runs(curves(1, 0.85), "corridor/4"), *runs(curves(2, 0.2), "corridor/4", BASELINE)]
    stored.append(record("corridor/4", "ppo", 0, status="interrupted", error="interrupted"))
    card = scorecard(declared(tmp_path, stored, 30))
    (reading,) = claim(card, "converges fast").readings
    assert {each.baseline: (each.tasks, each.pairs) for each in reading.comparisons} == {
        "grpo": (["bandit/10-arm", "corridor/4"], 30),
        "ppo": (["bandit/10-arm", "corridor/4"], 0),
    }
    assert reading.state == "undecided"
    assert {r.tasks[0]: r.state for r in claim(card, "converges fast").by_task} == {
        "bandit/10-arm": "supported", "corridor/4": "undecided",
    }  # fmt: skip


def test_a_task_without_any_result_yet_still_counts(tmp_path: Path) -> None:
    """Verdicts over the tasks that have run so far would be about other tasks than the claim's."""
    stored = [*runs(curves(1, 0.85)), *runs(curves(2, 0.2), algorithm=BASELINE)]
    stored += [record("corridor/4", name, 0, status="interrupted", error="gone") for name in (READING, BASELINE)]
    card = scorecard(declared(tmp_path, stored, 30))
    for name in ("converges fast", "robust", "better or at par"):
        found = claim(card, name)
        assert (found.tasks, found.left_out) == (["bandit/10-arm", "corridor/4"], []), name
        assert [reading.state for reading in found.readings] == ["undecided"], name


def test_scores_outside_their_bounds_are_never_clipped_silently(tmp_path: Path) -> None:
    stored = [*runs([*curves(1, 0.85, 29), [1.2] * 5]), *runs(curves(2, 0.2), algorithm=BASELINE)]
    (reading,) = claim(scorecard(declared(tmp_path, stored, 30)), "converges fast").readings
    assert reading.state == "not assessable"
    assert "1.2 on bandit/10-arm is outside the declared bounds [0, 1]" in reading.reason
    assert claim(scorecard(Store(tmp_path)), "robust").readings[0].state != "not assessable"
    # It is said without claims, too.
    (task,) = build_report(tmp_path).suites[0].tasks
    said = {result.algorithm: result.notes for result in task.algorithms}
    (note,) = next(notes for name, notes in said.items() if name != BASELINE)
    assert note.startswith("scores outside of [0, 1], which is all that the task's bounds allow")
    assert said[BASELINE] == []


def test_without_bounds_nothing_is_decided(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.85)), *runs(curves(2, 0.2), algorithm=BASELINE)]
    card = scorecard(declared(tmp_path, stored, 30, bounds=None))
    (reading,) = claim(card, "converges fast").readings
    assert reading.state == "not assessable"
    assert reading.comparisons[0].difference == pytest.approx(0.65)
    assert "are not known" in reading.reason


def test_a_pair_may_lack_a_task_that_others_were_asked_for(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.5), algorithm=BASELINE), *runs(curves(2, 0.5), algorithm="ppo")]
    stored += [*runs(curves(1, 0.8), "corridor/4"), *runs(curves(2, 0.5), "corridor/4", BASELINE)]
    store = declared(tmp_path, stored, 30)
    found = {each.baseline: each.tasks for each in claim(scorecard(store), "converges fast").readings[0].comparisons}
    assert found == {"grpo": ["bandit/10-arm", "corridor/4"], "ppo": ["bandit/10-arm"]}
    assert "haepo-weighted against ppo: without corridor/4." in render(build_report(store.root), "md")


def test_all_pairs_are_a_family_of_their_own(tmp_path: Path) -> None:
    """Six ordered pairs of three algorithms: the first needs 120 : 1."""
    means = {READING: 0.85, BASELINE: 0.5, "ppo": 0.48}
    values = {name: curves(i, mean, n=40) for i, (name, mean) in enumerate(means.items())}
    store = declared(tmp_path, [run for name in means for run in runs(values[name], algorithm=name)], 40)
    document = build_report(store.root)
    table = document.suites[0].pairwise
    assert table is not None
    pairs = {(each.algorithm, each.other): each for each in table.comparisons}
    assert len(pairs) == 6
    finals = {name: [curve[-1] for curve in of] for name, of in values.items()}
    paths = [rising(bets(finals[a], finals[b], 0.0, 0.0, 1.0)) for a, b in pairs]
    for each, path, (needed, after) in zip(pairs.values(), paths, passed_when(paths, 0.05), strict=True):
        assert (each.log_evidence, each.needed) == pytest.approx((path[-1], needed))
        assert each.decided == (after is not None)
    assert {pair for pair, each in pairs.items() if each.decided} == {(READING, BASELINE), (READING, "ppo")}
    text = render(document, "md")
    assert "All pairs of algorithms" in text
    assert "+0.35 above (at least " in text


def test_who_is_left_out_is_shown_and_named_at_the_top(tmp_path: Path) -> None:
    """With three seeds `ppo` is left out by declaration; `ppo-batched` does not speak for it."""
    stored = [*runs(curves(1, 0.85)), *runs(curves(2, 0.5), algorithm="ppo-batched")]
    stored += runs(curves(3, 0.5)[:3], algorithm="ppo")
    store = declared(tmp_path, stored, 30, baselines=["ppo-batched"], left_out=["ppo"])
    (reading,) = claim(scorecard(store), "converges fast").readings
    assert reading.state == "supported"
    assert {each.baseline: (each.counts, each.pairs) for each in reading.comparisons} == {
        "ppo-batched": (True, 30), "ppo": (False, 3),
    }  # fmt: skip
    text = render(build_report(store.root), "md")
    assert (
        "Converges fast: supported in 1 of 1 variant, untuned; not against ppo (left out by declaration); ppo-batched "
        "is not shown to be equivalent to ppo." in text
    )


def test_what_makes_it_exploratory(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.8, 3)), *runs(curves(2, 0.5, 3), algorithm=BASELINE)]

    def reason(folder: str, **changes: Any) -> str:
        store = declared(tmp_path / folder, stored, 3)
        plan = json.loads((store.root / "plan.json").read_text())
        plan.update(changes)
        (store.root / "plan.json").write_text(json.dumps(plan))
        return scorecard(store).exploratory

    assert reason("a") == ""
    other = {"candidates": [READING], "baselines": [BASELINE], "margin": 0.3, "threshold": 0.9}
    assert "edited by hand" in reason("b", claims=other)
    bounds = {"bandit/10-arm": ScoreBounds(low=0.0, high=1.0)}
    changed = declaration_of(stored, range(3), DeclaredClaims(**other), bounds)
    assert "changed after" in reason("c", claims=other, declaration=changed)
    assert "earlier version" in reason("e", format_version=1)
    assert "before the runs" in reason("d", claims=None, declaration="")
    (tmp_path / "a" / "plan.json").unlink()
    card = scorecard(Store(tmp_path / "a"))
    assert (card.candidates, card.baselines) == ([READING], [BASELINE])
    assert "before the runs" in card.exploratory


@pytest.mark.parametrize("size", [1e200, 1e308])
def test_returns_beyond_all_floats_are_open_not_fatal(tmp_path: Path, size: float) -> None:
    stored = [
        record(algorithm=name, seed=seed, returns=[size * (1 if seed % 2 else -1) / (seed + 1)] * 5)
        for name in (READING, BASELINE)
        for seed in range(22)
    ]
    store = declared(tmp_path, stored, 22)
    assert claim(scorecard(store), "better or at par").readings[0].state == "not assessable"
    assert "Better or at par: not assessable." in render(build_report(store.root), "md")


def test_without_a_candidate_there_is_no_scorecard(tmp_path: Path) -> None:
    put(Store(tmp_path), *runs(curves(1, 0.5, 2), algorithm=BASELINE), *runs(curves(1, 0.5, 2), algorithm="ppo"))
    document = build_report(tmp_path)
    assert document.suites[0].scorecard is None
    assert "Claims" not in render(document, "md")
    assert "Claims" not in to_html(document, [{}])


def test_names_of_others_are_text_in_the_scorecard(tmp_path: Path) -> None:
    hostile = KINDS[READING].model_copy(update={"label": NASTY, "footnote": NASTY})
    store = Store(tmp_path)
    for name in (READING, NASTY):
        for run in runs(curves(1, 0.5, 3), task=NASTY, algorithm=name):
            run = run.model_copy(update={"uses": name, "information": hostile})
            path = store.path(f"a--{'b' if name == NASTY else 'c'}--d", run.seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(run.to_json())
    document = build_report(tmp_path)
    card = document.suites[0].scorecard
    assert card is not None
    assert card.baselines == [plain(NASTY)]
    section = render(document, "md").split("## Claims")[1].split("\n## ")[0]
    assert "<script" not in section
    assert re.search(r"(?<!\\)[$`]", section) is None
    # None but the program and the data of the two charts.
    assert to_html(document, [{}]).count("<script") == 3


def test_every_table_with_a_reading_carries_its_footnote(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.5), algorithm=BASELINE)]
    stored += [*runs(curves(1, 0.8), "corridor/4"), *runs(curves(2, 0.5), "corridor/4", BASELINE)]
    document = build_report(declared(tmp_path, stored, 30).root)
    tables = [table for overall, details in scorecard_tables(document.suites[0]) for table in (overall, *details)]
    assert len(tables) == 10  # three claims that are measured, each task by task, and four second looks
    for table in tables:
        assert any(FOOTNOTE in note for note in table.notes)
        assert "untuned" in table.title or "second look" in table.title
        assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
    page = to_html(document, [{}])
    assert page.index('aria-label="Claims by') < page.index("Final score, sampled")


def test_every_measure_has_a_title() -> None:
    assert {claim.measure for claim in CLAIMS} | {look.name for claim in CLAIMS for look in claim.looks} == set(
        MEASURE_TITLES
    )


def test_addresses() -> None:
    task = "noise(scale(gym/CartPole-v1,0.01),0.5)"
    assert (innermost(task), family(task), wrappers(task)) == ("gym/CartPole-v1", "gym", ["noise", "scale"])
    assert (innermost("window(t-maze/5)"), wrappers("window(t-maze/5)")) == ("t-maze/5", ["window"])
    assert (innermost("bandit/10-arm"), wrappers("bandit/10-arm")) == ("bandit/10-arm", [])
    assert weights_of([task, "gym/CartPole-v1", "bandit/10-arm"]).tolist() == [0.25, 0.25, 0.5]


def exploring(run: RunRecord, coverage: float, first: float | None = None) -> RunRecord:
    """A run with the coverage at every point, and env steps until its first success, of which uniform needs 200."""
    columns: dict[str, Any] = {"relative_coverage": [None, *[coverage] * 4]}
    if first is not None:
        columns |= {"first_success": [None, *[first] * 4], "relative_first_success": [None, *[first / 200] * 4]}
    return run.model_copy(update={"curve": {**run.curve, **columns}})


def test_a_policy_that_never_learns_wins_nothing(tmp_path: Path) -> None:
    """It covers all that a uniform policy covers and never collapses, beside baselines that learn and cover half."""
    stored = [exploring(run, 1.0) for run in runs(curves(1, 0.05, 50, sd=0.01))]
    stored += [exploring(run, 0.5) for run in runs(curves(2, 0.8, 50), algorithm=BASELINE)]
    store = declared(tmp_path, stored, 50)
    (explores,) = claim(scorecard(store), "explores thoroughly").readings
    assert explores.comparisons[0].difference == pytest.approx(0.25)
    assert explores.for_claim.decided_after is not None  # it is above the baseline, and that is not enough
    assert explores.state == "not assessable"
    assert "not shown to score above a random policy by 0.1" in explores.reason
    text = render(build_report(store.root), "md")
    assert "so a policy that never learns could win this as well" in text


def test_a_competent_variant_that_covers_as_much_as_a_uniform_policy_wins(tmp_path: Path) -> None:
    stored = [exploring(run, 1.0) for run in runs(curves(1, 0.7, 50))]
    stored += [exploring(run, 0.5) for run in runs(curves(2, 0.8, 50), algorithm=BASELINE)]
    (explores,) = claim(scorecard(declared(tmp_path, stored, 50)), "explores thoroughly").readings
    assert (explores.state, explores.reason) == ("supported", "")


def test_a_competent_variant_that_covers_less_than_a_uniform_policy_does_not_explore_thoroughly(tmp_path: Path) -> None:
    stored = [exploring(run, 0.75) for run in runs(curves(1, 0.7, 50))]
    stored += [exploring(run, 0.4) for run in runs(curves(2, 0.8, 50), algorithm=BASELINE)]
    (explores,) = claim(scorecard(declared(tmp_path, stored, 50)), "explores thoroughly").readings
    assert explores.state == "not assessable"
    assert "not shown to be above a uniform policy's 0.50 less 0.1" in explores.reason


def test_the_first_success_decides_where_there_is_one(tmp_path: Path) -> None:
    """Budget 100: found after 25 steps leaves 0.75; a uniform policy, which needs 200, leaves 1 - 2 (1 - exp(-1/2))."""
    stored = [exploring(run, 0.5, 25.0) for run in runs(curves(1, 0.7, 50))]
    stored += [
        exploring(run, 1.0, None if run.seed % 2 else 60.0) for run in runs(curves(2, 0.8, 50), algorithm=BASELINE)
    ]
    store = declared(tmp_path / "declared", stored, 50, uniform_success=200.0)
    (explores,) = claim(scorecard(store), "explores thoroughly").readings
    (found,) = explores.comparisons
    assert (found.candidate, found.against) == pytest.approx((0.75, 0.2))
    assert explores.state == "supported"
    # Never because of what the runs did: where the plan declares no success, half the relative coverage decides.
    (other,) = claim(scorecard(declared(tmp_path / "not", stored, 50)), "explores thoroughly").readings
    assert (other.comparisons[0].candidate, other.comparisons[0].against) == pytest.approx((0.25, 0.5))
    table = measured_table(select(store), 0.9)
    assert table["bandit/10-arm", READING].uniform == {"exploration": pytest.approx(1 - 2 * (1 - np.exp(-0.5)))}
