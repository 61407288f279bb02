"""The claims scorecard: known truths, numbers recomputed, what is left out or exploratory, and the real program."""

import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from synthetic_runs import FOOTNOTE, KINDS, declaration_of, put, put_plan, record

from haepo_bench.report.document_scorecard import ClaimResult, Comparison, Scorecard
from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.numbers.claims import CLAIMS
from haepo_bench.report.page.html import to_html
from haepo_bench.report.tables.verdicts import MEASURE_TITLES, scorecard_lines, scorecard_tables
from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store
from haepo_bench.text import plain
from haepo_bench.verdicts.measured import family, innermost, weights_of, wrappers

NASTY = "<script>alert(1)</script> $x$ & 50% | _u_ *b* `c`"

READING, BASELINE = "haepo-weighted", "grpo"


def runs(scores: list[list[float]], task: str = "bandit/10-arm", algorithm: str = READING, **changes: Any) -> list:
    """One run a curve of scores; references 0 and 2, so that a return is twice the score."""
    return [
        record(task, algorithm, seed, returns=[2 * score for score in curve], **changes)
        for seed, curve in enumerate(scores)
    ]


def curves(seed: int, mean: float, n: int = 30, sd: float = 0.05) -> list[list[float]]:
    """[seed][mark]: flat curves whose means over seeds are exactly this."""
    values = np.random.default_rng(seed).normal(size=n)
    values = mean + sd * (values - values.mean()) / values.std(ddof=1)
    return [[float(value)] * 5 for value in values]


def declared(folder: Path, stored: list[RunRecord], seeds: int, **claims: Any) -> Store:
    """A store in which the claims had been declared before the runs were made."""
    names = list(dict.fromkeys(run.algorithm for run in stored))
    candidates = [name for name in names if name.startswith("haepo")]
    settings = {"margin": 0.1, "threshold": 0.9, "candidates": candidates}
    settings["baselines"] = [name for name in names if name not in candidates]
    document = DeclaredClaims(**{**settings, **claims})
    digest = declaration_of(stored, range(seeds), document)
    stored = [run.model_copy(update={"provenance": {**run.provenance, "declaration": digest}}) for run in stored]
    store = Store(folder)
    put_plan(store, stored, list(range(seeds)), claims=document.model_dump(), declaration=digest)
    put(store, *stored)
    return store


def scorecard(store: Store) -> Scorecard:
    card = build_report(store.root).suites[0].scorecard
    assert card is not None
    return card


def claim(card: Scorecard, name: str) -> ClaimResult:
    return next(each for each in card.claims if each.claim == name)


def only(card: Scorecard, name: str) -> Comparison:
    (reading,) = claim(card, name).readings
    (comparison,) = reading.overall
    return comparison


@pytest.mark.parametrize(
    ("difference", "fast", "par", "is_better"),
    [
        (0.2, "supported", "supported", True),
        (0.0, "not supported", "supported", False),
        (-0.2, "not supported", "not supported", None),
    ],
)
def test_known_truths(tmp_path: Path, difference: float, fast: str, par: str, is_better: bool | None) -> None:
    """Better, equal, worse: 30 seeds show differences of 0.02."""
    stored = [*runs(curves(1, 0.5 + difference)), *runs(curves(2, 0.5), algorithm=BASELINE)]
    card = scorecard(declared(tmp_path, stored, 30))
    assert (card.status, card.exploratory) == ("untuned", "")
    for name, verdict in {"converges fast": fast, "robust": fast, "better or at par": par}.items():
        found = claim(card, name)
        assert found.readings[0].verdict == verdict, name
        assert (found.supported, found.tested) == (int(verdict == "supported"), 1)
    assert only(card, "better or at par").better == is_better
    for name in ("explores thoroughly", "aligns with true rewards"):
        found = claim(card, name)
        assert (found.readings[0].verdict, found.tested, [left.task for left in found.left_out]) == (
            None, 0, ["bandit/10-arm"],
        )  # fmt: skip


def test_numbers_recomputed(tmp_path: Path) -> None:
    """Two families, one of two tasks: weights 1/2, 1/4, 1/4; Hall's transformed t written out."""
    tasks = {"bandit/10-arm": 0.5, "gym/CartPole-v1": 0.25, "noise(gym/CartPole-v1,5)": 0.25}
    rng = np.random.default_rng(1)
    scores = {
        (task, name): rng.beta(4, 2, size=(n, 5)).tolist()
        for task in tasks
        for name, n in ((READING, 12), (BASELINE, 9))
    }
    stored = [run for (task, name), values in scores.items() for run in runs(values, task, name)]
    card = scorecard(declared(tmp_path, stored, 12))
    found = only(card, "better or at par")
    estimate, variance, third, over_degrees = 0.0, 0.0, 0.0, 0.0
    for (task, name), values in scores.items():
        final = [curve[-1] for curve in values]
        c, n = tasks[task] * (1 if name == READING else -1), len(final)
        part = c**2 * statistics.variance(final) / n
        estimate += c * statistics.fmean(final)
        variance += part
        third += c**3 * float(stats.kstat(final, 3)) / n**2
        over_degrees += part**2 / (n - 1)
    error, degrees = math.sqrt(variance), variance**2 / over_degrees
    a = third / error**3

    def g(t: float) -> float:
        return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6

    assert found.difference == pytest.approx(estimate)
    bound = stats.t.ppf(0.95, degrees)
    low, high = (estimate - error * optimize.brentq(lambda t, end=end: g(t) - end, -99, 99) for end in (bound, -bound))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_supported == pytest.approx(stats.t.sf(g((estimate + 0.1) / error), degrees))
    assert found.p_not_supported == pytest.approx(stats.t.cdf(g((estimate + 0.1) / error), degrees))
    assert (found.candidate_runs.shown, found.baseline_runs.shown, found.baseline_runs.planned) == (36, 27, 36)
    (look,) = only(card, "aligns with true rewards").looks
    assert look.measure == "clean_score_under_noise_and_proxy"
    final = {name: [curve[-1] for curve in scores["noise(gym/CartPole-v1,5)", name]] for name in (READING, BASELINE)}
    assert (look.candidate, look.baseline) == pytest.approx(tuple(map(statistics.fmean, final.values())))
    (by_task,) = [each for each in claim(card, "converges fast").readings[0].by_task if each.tasks == ["bandit/10-arm"]]
    areas = [[statistics.fmean(curve[:-1]) for curve in scores["bandit/10-arm", name]] for name in (READING, BASELINE)]
    assert (by_task.candidate, by_task.against) == pytest.approx(tuple(map(statistics.fmean, areas)))


def test_a_collapse_that_the_mean_forgives(tmp_path: Path) -> None:
    """10 of 30 seeds fall from 1 to 0.1; the mean, 0.7, equals the baseline's, its worst fifth does not."""
    good, bad = [0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 0.1]
    noise = np.linspace(-0.01, 0.01, 30)
    stored = runs([[*(bad if i < 10 else good)[:-1], (0.1 if i < 10 else 1.0) + float(noise[i])] for i in range(30)])
    stored += runs(curves(2, 0.7, sd=0.02), algorithm=BASELINE)
    card = scorecard(declared(tmp_path, stored, 30))
    robust = only(card, "robust")
    assert robust.verdict == "not supported"
    # Six of thirty are the worst fifth.
    assert robust.candidate == pytest.approx(0.1 + float(noise[:6].mean()))
    rates = {look.measure: (look.candidate, look.baseline) for look in robust.looks}
    assert rates == {"collapse_rate": (pytest.approx(1 / 3), 0.0)}
    (look,) = only(card, "converges fast").looks
    # Held at the second and third of the marks 0, 25, ..., 100; the baseline never arrives.
    assert (look.candidate, look.baseline) == (pytest.approx(0.25), 1.0)


def test_few_seeds_are_undecided_and_say_how_many_would_do(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.53, n=3, sd=0.1)), *runs(curves(2, 0.5, n=3, sd=0.1), algorithm=BASELINE)]
    store = declared(tmp_path, stored, 3)
    card = scorecard(store)
    fast = only(card, "converges fast")
    assert fast.verdict == "undecided"
    # 0.07 below the margin: (1.645 + 0.842)^2 * 2 * 0.1^2 / 0.07^2 = 25.2, and Student's t a little more.
    assert fast.seeds_needed in (26, 27)
    assert (only(card, "robust").verdict, only(card, "robust").low) == ("undecided", None)
    text = render(build_report(store.root), "md")
    assert f"about {fast.seeds_needed} seeds would be needed" in text
    assert "at least 20 seeds would be needed" in text


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
    assert explores.verdict == "supported"
    assert explores.candidate == pytest.approx((sum(0.9 + 0.01 * i for i in range(6)) + (0.7 + 0.7 + 0.8) / 3) / 7)
    assert aligns.candidate == pytest.approx(sum(0.5 + 0.01 * i for i in range(6)) / 7)
    looks = {look.measure: (look.candidate, look.baseline) for look in explores.looks}
    assert looks == {
        "goals_retained": (pytest.approx(aligns.candidate), pytest.approx(0.1)),
        "first_success_sooner_than_uniform": (pytest.approx(5 / 7), 0.0),
    }


def test_readings_are_tested_together(tmp_path: Path) -> None:
    """Two readings and two baselines: four p-values, adjusted by Holm; a reading must beat both baselines."""
    stored = [*runs(curves(1, 0.9)), *runs(curves(2, 0.7), algorithm="haepo-listwise")]
    stored += [*runs(curves(3, 0.5), algorithm=BASELINE), *runs(curves(4, 0.8), algorithm="ppo")]
    card = scorecard(declared(tmp_path, stored, 30))
    fast = claim(card, "converges fast")
    assert [reading.verdict for reading in fast.readings] == ["supported", "not supported"]
    verdicts = {(r.algorithm, each.baseline): each.verdict for r in fast.readings for each in r.overall}
    assert verdicts["haepo-listwise", "grpo"] == "supported"
    text = "\n".join(" ".join(line) for line in scorecard_lines(card))
    assert "Converges fast: supported in 1 of 2 variants, untuned." in text
    assert "Supported: haepo-weighted (against all 2 baselines)." in text
    assert "Not supported: haepo-listwise (against 1 of 2 baselines)." in text


def test_p_values_are_holms_of_welchs(tmp_path: Path) -> None:
    """Four seeds, too few for a correction for skewness: scipy's Welch test, and Holm's steps written out."""
    means = {READING: 0.7, "haepo-listwise": 0.6, BASELINE: 0.5, "ppo": 0.58}
    values = {name: curves(i, mean, n=4) for i, (name, mean) in enumerate(means.items())}
    card = scorecard(declared(tmp_path, [run for name in means for run in runs(values[name], algorithm=name)], 4))
    found = {
        (reading.algorithm, each.baseline): each.p_supported
        for reading in claim(card, "converges fast").readings
        for each in reading.overall
    }
    raw = {
        (x, y): stats.ttest_ind(
            [curve[0] for curve in values[x]], [curve[0] for curve in values[y]], equal_var=False, alternative="greater"
        ).pvalue
        for x in (READING, "haepo-listwise")
        for y in (BASELINE, "ppo")
    }
    expected, so_far = {}, 0.0
    for rank, pair in enumerate(sorted(raw, key=lambda pair: raw[pair])):
        so_far = max(so_far, min(1.0, (4 - rank) * raw[pair]))
        expected[pair] = so_far
    assert found == pytest.approx(expected)
    assert len(set(expected.values())) > 2


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """A task without references, a task that the baseline has no run on, and runs that failed."""
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.5)[:28], algorithm=BASELINE)]
    stored += runs(curves(3, 0.5), "gym/Pendulum-v1", references=None)
    stored += runs(curves(3, 0.5), "gym/Pendulum-v1", BASELINE, references=None)
    stored += [*runs(curves(1, 0.8), "corridor/4"), record("corridor/4", BASELINE, status="failed", error="boom")]
    store = declared(tmp_path, stored, 30)
    card = scorecard(store)
    fast = claim(card, "converges fast")
    assert only(card, "converges fast").tasks == ["bandit/10-arm"]
    assert {left.task: left.reason for left in fast.left_out} == {
        "gym/Pendulum-v1": "it has no reference returns, so no score",
        "corridor/4": "no baseline has a result there",
    }
    text = render(build_report(store.root), "md")
    assert "runs: 30/30 and 28/30" in text
    assert "Left out: corridor/4: no baseline has a result there." in text


@pytest.mark.parametrize("short", [READING, BASELINE])
def test_how_far_missing_runs_could_move_a_verdict(tmp_path: Path, short: str) -> None:
    """As if the missing runs were there, with the worst and the best score that the task has seen."""
    scores = {READING: curves(1, 0.53), BASELINE: curves(2, 0.5)}
    there = {**scores, short: scores[short][:24]}
    seen = [curve[0] for values in there.values() for curve in values]

    def card(folder: str, values: dict[str, list[list[float]]]) -> Scorecard:
        stored = [run for name, of_name in values.items() for run in runs(of_name, algorithm=name)]
        return scorecard(declared(tmp_path / folder, stored, 30))

    found = card("missing", there)
    for case, score in {"worst": min(seen), "best": max(seen)}.items():
        if short == BASELINE:
            score = min(seen) + max(seen) - score
        full = card(case, {**there, short: [*there[short], *[[score] * 5] * 6]})
        for name in ("converges fast", "robust", "better or at par"):
            assert getattr(only(found, name), f"if_missing_{case}") == only(full, name).verdict, name
            assert getattr(only(full, name), f"if_missing_{case}") is None
    assert only(found, "better or at par").if_missing_worst == "supported"
    assert only(found, "converges fast").if_missing_worst != only(found, "converges fast").if_missing_best
    text = render(build_report(tmp_path / "missing"), "md")
    assert re.search(
        r"runs: (24/30 and 30/30|30/30 and 24/30); [+-]?0\.\d\d to [+-]?0\.\d\d had none been missing; "
        r"(not supported|undecided) if the missing were the worst",
        text,
    )


def test_a_pair_may_lack_a_task_that_others_have(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.8)), *runs(curves(2, 0.5), algorithm=BASELINE), *runs(curves(2, 0.5), algorithm="ppo")]
    stored += [*runs(curves(1, 0.8), "corridor/4"), *runs(curves(2, 0.5), "corridor/4", BASELINE)]
    store = declared(tmp_path, stored, 30)
    found = {each.baseline: each.tasks for each in claim(scorecard(store), "converges fast").readings[0].overall}
    assert found == {"grpo": ["bandit/10-arm", "corridor/4"], "ppo": ["bandit/10-arm"]}
    assert "haepo-weighted against ppo: without corridor/4." in render(build_report(store.root), "md")


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
    changed = declaration_of(stored, range(3), DeclaredClaims(**other))
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
    assert only(scorecard(store), "better or at par").verdict == "undecided"
    assert "Better or at par: supported in 0 of 1 variant" in render(build_report(store.root), "md")


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
    assert len(tables) == 8  # three claims that are measured, each task by task, and two second looks
    for table in tables:
        assert any(FOOTNOTE in note for note in table.notes)
        assert "untuned" in table.title or "second look" in table.title
        assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
    page = to_html(document, [{}])
    assert page.index("Claims</h2>") < page.index("Final score, sampled")


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
