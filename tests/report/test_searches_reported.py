"""Searches in the report: numbers recomputed from the runs, tables, figures and the real program."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from cli_support import run_apart
from search_support import new_store, noise, play

from haepo_bench.report.document_searches import SearchSummary
from haepo_bench.report.figures.suite import suite_pictures
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.numbers.searches import sensitivity_interval
from haepo_bench.report.tables.claim_words import how_to_declare
from haepo_bench.report.tables.searches import search_tables
from haepo_bench.results.searches import tuning_seeds
from haepo_bench.results.store import Store
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: two
seeds: 5
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: mine}, {use: grpo, params: {epochs: 2}}, uniform]
claims: {candidate: mine, baselines: [grpo], made: [converges fast]}
search:
  trials: 6
  seeds: 3
  replicates: 6
  spaces: {mine: {learning_rate: {log: [1e-4, 1e-2]}}, grpo: {learning_rate: {log: [1e-4, 1e-2]}}}
"""
TASKS = ("random-walk/4", "corridor/8")


def score(cell: Cell, seed: int) -> float:
    """Of grpo by chance alone; of mine by the learning rate, best at the high end of its space."""
    if cell.algorithm == "uniform":
        return 0.0
    rate = float(np.log10(cell.parameters["learning_rate"]))
    value = 0.5 if cell.uses == "grpo" else 0.9 + 0.4 * (rate + 2)
    return float(np.clip(value + 0.02 * noise(cell, seed), 0.0, 1.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("searched")
    (folder / "suite.yaml").write_text(SUITE)
    return play(Tuning(load_plan(folder / "suite.yaml", tune=True), new_store(folder, "s")), score).store


def trial_scores(store: Store, algorithm: str) -> np.ndarray:
    """[replicate, trial, task, seed], read from the files: curves are flat, so any point is the area."""
    found = {}
    for path in store.root.glob("*--*/seed-*.json"):
        record = json.loads(path.read_text())
        random, solved = record["references"]["random"], record["references"]["solved"]
        key = record["algorithm"], record["task"], record["seed"]
        found[key] = (record["curve"]["eval_return"][0] - random) / (solved - random)
    return np.array(
        [
            [
                [[found[f"{algorithm}.{r}.{t}", task, seed] for seed in tuning_seeds(r, 3)] for task in TASKS]
                for t in range(6)
            ]
            for r in range(6)
        ]
    )


def test_numbers_are_those_of_the_runs(store: Store) -> None:
    search = build_report(store.root).suites[0].search
    assert isinstance(search, SearchSummary)
    assert (search.measure, search.trials, search.seeds, search.replicates) == ("area", 6, 3, 6)
    assert [own.algorithm for own in search.algorithms] == ["mine", "grpo"]
    for own in search.algorithms:
        scores = trial_scores(store, own.algorithm)
        means = scores.mean(axis=2)  # two families weigh alike
        for m, found in enumerate(own.best_of, 1):
            every = [
                np.delete(each, j, axis=1).mean(axis=1)[max(subset, key=lambda t, e=each, s=j: e[t, s])]
                for each in means
                for j in range(3)
                for subset in combinations(range(6), m)
            ]
            assert found.score.mean == pytest.approx(fmean(every), abs=1e-9)
            assert (found.trials, found.score.n) == (m, 6)
        # Made-up runs cost 2 CPU seconds each, on 2 tasks and 3 seeds.
        assert [each.cpu_seconds for each in own.best_of] == pytest.approx([12, 24, 36, 48, 60, 72])
        assert own.replicates == 6
        assert len(own.trials) == 36
        assert all(point.score is not None for point in own.trials)
    mine, grpo = search.algorithms
    rising = [each.score.mean for each in mine.best_of]
    assert rising == sorted(rising)
    # The best of mine have the highest learning rates: some replicate chose one in the last twentieth of the range.
    chosen = trial_scores(store, "mine").mean(axis=(2, 3)).argmax(axis=1)
    rates = {(point.replicate, point.number): float(point.parameters["learning_rate"] or 0) for point in mine.trials}
    high = int(sum(np.log10(rates[r, int(t)]) >= -2 - 0.05 * 2 for r, t in enumerate(chosen)))
    assert [(each.parameter, each.low, each.high) for each in mine.edges] == [("learning_rate", 0, high)]
    assert high
    assert abs(grpo.sensitivity.mean or 0.0) < 0.5


def test_sensitivity_of_few_replicates_has_no_interval() -> None:
    assert sensitivity_interval(np.array([0.1, 0.2, 0.3, 0.2, 0.4])).low < 0.2
    assert np.isnan(sensitivity_interval(np.array([0.1, 0.2, 0.3, 0.2])).low)
    assert np.isnan(sensitivity_interval(np.zeros(9)).high)


def test_tables_and_figures(store: Store) -> None:
    suite = build_report(store.root).suites[0]
    best, tuning = search_tables(suite)
    assert best.columns[:2] == ["Algorithm", "Searches n/N"]
    assert [column for column in best.columns if column.startswith("m = ")] == ["m = 1", "m = 2", "m = 4", "m = 6"]
    assert "learning_rate" in [row[-1].text for row in tuning.rows]
    names = {picture.name for picture in suite_pictures(suite)[""]}
    assert {"search-trials", "search-seconds", "tried-mine", "tried-grpo"} <= names


def test_the_program_shows_them(store: Store, tmp_path: Path) -> None:
    text = run_apart("report", str(store.root), "--format", "md").out
    assert "Best of m configurations: area under the score curve" in text
    assert "Sensitivity to tuning" in text
    done = run_apart("report", str(store.root), "--out", str(tmp_path))
    assert (done.code, done.err) == (0, "")
    page = (tmp_path / "report.html").read_text()
    assert "Expected score of the best of m configurations" in page


def test_importance_is_there_where_it_is_asked_for(store: Store) -> None:
    pytest.importorskip("sklearn", reason="the extra `importance` is not installed")
    document = json.loads(run_apart("report", str(store.root), "--format", "json", "--importance").out)
    mine, grpo = document["suites"][0]["search"]["algorithms"]
    assert mine["importance"]["explained"] > 0.8
    (rate,) = mine["importance"]["parameters"]
    assert rate["parameter"] == "learning_rate"
    assert rate["importance"] > 1
    # The best rate is the same on both tasks.
    assert mine["importance"]["dimension"] == 0
    assert grpo["importance"]["explained"] < 0.2
    printed = run_apart("report", str(store.root), "--format", "md", "--importance").out
    assert "Which hyper-parameters matter (exploratory)" in printed
    plain = build_report(store.root).suites[0].search
    assert plain is not None
    assert [own.importance for own in plain.algorithms] == [None, None]


def test_only_names_that_the_suite_has_are_advised_for_claims(tmp_path: Path) -> None:
    text = SUITE.replace("claims: {candidate: mine, baselines: [grpo], made: [converges fast]}\n", "")
    path = tmp_path / "suite.yaml"
    path.write_text(text.replace("replicates: 6", "replicates: 1").replace("trials: 6", "trials: 2"))
    tuning = play(Tuning(load_plan(path, tune=True), new_store(tmp_path, "s")), score)
    (suite,) = build_report(tuning.store.root).suites
    assert "mine.default" in {result.algorithm for task in suite.tasks for result in task.algorithms}
    (advice,) = how_to_declare(suite)
    claims = advice.partition("before the runs: ")[2].removesuffix(".")
    assert claims == "claims: {candidate: mine, baselines: [grpo, uniform]}"
    path.write_text(f"{path.read_text()}{claims}\n")
    assert load_plan(path, tune=True).claims is not None


def test_a_failed_run_ends_a_search_whatever_the_least_score(tmp_path: Path) -> None:
    """One run fails on a task without a least score: what may have chosen it has no number, the rest has."""
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("replicates: 6", "replicates: 5"))
    plan = replace(load_plan(path, tune=True), bounds={})

    def ranked(cell: Cell, seed: int) -> float | None:
        """The number of a trial ranks it; the last but one fails on one seed of one replicate."""
        number = cell.algorithm.rpartition(".")[2]
        if (cell.algorithm, cell.task, seed) == ("mine.2.4", TASKS[0], tuning_seeds(2, 3)[1]):
            return None
        return 0.1 * int(number) if number.isdecimal() else 0.3

    tuning = play(Tuning(plan, new_store(tmp_path, "s")), ranked)
    document = json.loads(run_apart("report", str(tuning.store.root), "--format", "json").out)
    mine, grpo = document["suites"][0]["search"]["algorithms"]
    assert (mine["replicates"], mine["failed"], grpo["replicates"], grpo["failed"]) == (5, 1, 5, 0)
    # Of all six the last is the best on every seed; of five the failed one may be.
    assert [each["score"]["mean"] is None for each in mine["best_of"]] == [True] * 5 + [False]
    assert mine["best_of"][-1]["score"]["mean"] == pytest.approx(0.5)
    # The greatest of m of 1, ..., 6 is expected to be 7 m / (m + 1).
    expected = [0.1 * (7 * m / (m + 1) - 1) for m in range(1, 7)]
    assert [each["score"]["mean"] for each in grpo["best_of"]] == pytest.approx(expected)
    assert mine["sensitivity"]["mean"] == pytest.approx(0.0)
    points = {(point["replicate"], point["number"]): point for point in mine["trials"]}
    assert {key for key, point in points.items() if point["score"] is None} == {(2, 4)}
    assert all(point["ended"] for point in points.values())
    assert "counts as less than any number" in run_apart("report", str(tuning.store.root), "--format", "md").out
    next(tuning.store.root.glob(f"*--mine.2.4--*/seed-{tuning_seeds(2, 3)[0]}.json")).unlink()
    search = build_report(tuning.store.root).suites[0].search
    assert search is not None
    assert (search.algorithms[0].replicates, [p.number for p in search.algorithms[0].trials if not p.ended]) == (4, [4])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder of a small search, to be damaged."""
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("trials: 6\n  seeds: 3\n  replicates: 6", "trials: 3\n  seeds: 2\n  replicates: 4"))
    return play(Tuning(load_plan(path, tune=True), new_store(tmp_path, "s")), score).store.root


def test_a_damaged_search_is_no_readable_plan(small: Path) -> None:
    plan = json.loads((small / "plan.json").read_text())
    plan["search"]["spaces"]["mine"]["learning_rate"] = {"log": [1]}
    (small / "plan.json").write_text(json.dumps(plan))
    done = run_apart("report", str(small), "--format", "json", "--importance")
    assert done.code == 0
    assert (
        "two: damaged: plan.json: search.spaces: mine.learning_rate: a range is [least, greatest], two numbers, not [1]"
        in done.err
    )
    (suite,) = json.loads(done.out)["suites"]
    assert (suite["plan"], suite["search"]) == (False, None)


def test_values_outside_their_space_are_left_out(small: Path) -> None:
    """Stored ones of any kind, a hyper-parameter that no run has, and an algorithm without a planned cell."""
    pytest.importorskip("sklearn", reason="the extra `importance` is not installed")
    stored = [[1], {"a": 1}, "x", True, None, -1.0, 0, 10**30]
    for place, path in enumerate(sorted(small.glob("*--mine.[0-9]*/seed-*.json"))):
        run = json.loads(path.read_text())
        run["parameters"]["learning_rate"] = stored[place % len(stored)]
        path.write_text(json.dumps(run))
    plan = json.loads((small / "plan.json").read_text())
    plan["search"]["spaces"]["grpo"]["beta"] = {"log": [0.1, 1.0]}
    plan["search"]["spaces"]["absent"] = {"beta": {"choices": [1, 2]}}
    (small / "plan.json").write_text(json.dumps(plan))
    done = run_apart("report", str(small), "--format", "json", "--importance")
    assert (done.code, done.err) == (0, "")
    mine, grpo, absent = json.loads(done.out)["suites"][0]["search"]["algorithms"]
    assert (mine["edges"], mine["replicates"], grpo["replicates"], absent["replicates"]) == ([], 4, 4, 0)
    for own in (mine, grpo, absent):
        assert {each["importance"] for each in own["importance"]["parameters"]} == {None}
    # Without any algorithm that is planned there is nothing to judge.
    plan["search"]["spaces"] = {"absent": {}}
    (small / "plan.json").write_text(json.dumps(plan))
    assert run_apart("report", str(small), "--format", "json").code == 0
