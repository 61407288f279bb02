"""`tune`: what is proposed, what is chosen, and that it follows from the results alone.

Scores are made up: they depend on a run's settings, cell and seed. Fixed seeds: nothing is left to chance.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from search_support import made_up, new_store, noise, play
from synthetic_runs import put

from haepo_bench.cli.tune import _leave
from haepo_bench.errors import UserError
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.tables.searches import search_tables
from haepo_bench.results.merging import merge
from haepo_bench.results.searches import deciding_seeds, final_seed, own_seed, tuning_seeds
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.search.tuned_file import render, tuned_file
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.shards import Shard
from haepo_bench.suite.tuned import read_tuned
from haepo_bench.verdicts.equal_search import equal_search
from haepo_bench.verdicts.judging import judge, measured_table

TASKS = ("random-walk/4", "corridor/8")
SUITE = """\
name: suite
seeds: 5
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: mine}, {use: grpo, params: {epochs: 2}}, uniform]
claims: {candidate: mine, baselines: [grpo], made: [converges fast]}
search: {trials: 4, seeds: 2, replicates: 5}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("suite") / "suite.yaml"
    path.write_text(SUITE)
    return load_plan(path, tune=True)


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """A search that has ended; its store is only read."""
    return play(Tuning(plan, new_store(tmp_path_factory.mktemp("whole"), "whole")), score)


@pytest.fixture
def copy(whole: Tuning, tmp_path: Path) -> Store:
    """Its store, to be changed."""
    root = new_store(tmp_path, "copy").root
    shutil.copytree(whole.store.root, root)
    return Store(root)


def score(cell: Cell, seed: int) -> float:
    """Best at a learning rate of 1e-3, on one task at 1e-2; the same settings differ by chance."""
    if cell.algorithm == "uniform":
        return 0.0
    best = -3 if cell.task == TASKS[0] else -2
    rate = np.log10(cell.parameters["learning_rate"])
    return float(np.clip(0.8 - 0.2 * abs(rate - best) + 0.1 * noise(cell, seed), 0.0, 1.0))


def by_name(plan: Plan) -> dict[tuple[str, str], Cell]:
    return {(cell.algorithm, cell.task): cell for cell in plan.cells}


def chosen_by_hand(plan: Plan, algorithm: str, replicate: int, tasks: tuple[str, ...], scores: Any = score) -> int:
    cells, means = by_name(plan), []
    for number in range(4):
        own = [
            scores(cells[f"{algorithm}.{replicate}.{number}", task], seed)
            for task in tasks
            for seed in tuning_seeds(replicate, 2)
        ]
        means.append(fmean(own))
    return means.index(max(means))


def test_each_replicate_trains_again_what_it_chose(plan: Plan, whole: Tuning) -> None:
    cells = by_name(plan)
    rows = equal_search(select(whole.store), ("tuned", "per task", "default"))
    shown = {(cell.algorithm, cell.task): cell for cell in rows.cells}
    for algorithm in ("mine", "grpo"):
        for task in TASKS:
            values = measured_table(rows, 0.9)
            for replicate in range(5):
                number = chosen_by_hand(plan, algorithm, replicate, TASKS)
                own = chosen_by_hand(plan, algorithm, replicate, (task,))
                expected = {
                    algorithm: score(cells[f"{algorithm}.{replicate}.{number}", task], final_seed(replicate)),
                    f"{algorithm}.per-task": score(cells[f"{algorithm}.{replicate}.{own}", task], own_seed(replicate)),
                    f"{algorithm}.default": score(cells[algorithm, task], final_seed(replicate)),
                }
                for name, value in expected.items():
                    found = values[task, name]
                    assert found.seeds == (0, 1, 2, 3, 4)
                    assert found.values["area"][replicate] == pytest.approx(value, abs=1e-12)
    assert ("uniform", TASKS[0]) in shown
    assert ("uniform.default", TASKS[0]) not in shown
    # No claim is about the rows beside, and every seed of the claim is a replicate.
    (claim,) = judge(rows)
    assert [path.baseline for path in claim.overall[0].paths] == ["grpo"]
    assert claim.overall[0].paths[0].seeds == (0, 1, 2, 3, 4)
    assert rows.exploratory == ""
    assert rows.declaration_number == 1
    assert [each.found for each in whole.progress] == [True, True]


def test_what_is_run_is_what_the_search_says_and_no_more(whole: Tuning) -> None:
    store = whole.store
    seeds: dict[str, set[int]] = {}
    for path in store.root.rglob("seed-*.json"):
        seeds.setdefault(path.parent.name.split("--")[1], set()).add(int(path.stem[5:]))
    for name, own in seeds.items():
        if name.count(".") < 2:
            assert own == {final_seed(replicate) for replicate in range(5)}
            continue
        replicate = int(name.split(".")[1])
        allowed = {*tuning_seeds(replicate, 2), final_seed(replicate), own_seed(replicate), *deciding_seeds()}
        assert set(tuning_seeds(replicate, 2)) <= own <= allowed
    runs = sum(1 for _ in store.root.rglob("seed-*.json"))
    assert runs <= sum(whole.at_most().values())
    # All seeds of two replicates, of tuning and of the suite's own runs differ.
    every = [{*tuning_seeds(r, 100), final_seed(r), own_seed(r)} for r in (0, 1, 999_999)] + [set(deciding_seeds())]
    assert sum(map(len, every)) == len(set.union(*every))
    assert min(set.union(*every)) >= 10**9


def test_a_task_at_one_end_of_the_scale_has_no_say_in_the_choice_for_all(plan: Plan, tmp_path: Path) -> None:
    def floor(cell: Cell, seed: int) -> float:
        """A floor on the second task, where one run in a search is lucky, and lucky with bad settings."""
        if cell.task == TASKS[0] or cell.algorithm.count(".") < 2:
            return score(cell, seed)
        return float(cell.algorithm.endswith(".3"))

    tuning = play(Tuning(plan, new_store(tmp_path, "floor")), floor)
    assert tuning.chooser is not None
    for algorithm in ("mine", "grpo"):
        found = tuning.chooser.found(algorithm, TASKS)
        assert found is not None
        assert found == tuning.chooser.found(algorithm, TASKS[:1])
        for replicate in range(5):
            best = tuning.chooser.best(algorithm, replicate, TASKS)
            assert best is not None
            assert best.trial.number == chosen_by_hand(plan, algorithm, replicate, TASKS[:1], floor)
            alone = tuning.chooser.best(algorithm, replicate, TASKS[1:])
            assert alone is not None
            assert alone.trial.number == 3
            assert tuning.chooser.no_assay(algorithm, replicate) == [TASKS[1]]
    (suite,) = build_report(tuning.store.root).suites
    assert suite.search is not None
    left_out = {
        own.algorithm: [(each.task, each.replicates) for each in own.no_assay] for own in suite.search.algorithms
    }
    assert left_out == {"mine": [(TASKS[1], 5)], "grpo": [(TASKS[1], 5)]}
    (table,) = [each for each in search_tables(suite) if each.title == "Sensitivity to tuning"]
    assert f"{TASKS[1]} (mine: 5 of 5 searches); {TASKS[1]} (grpo: 5 of 5 searches)" in " ".join(table.notes)


def test_the_settings_found_are_the_best_finalist_on_fresh_seeds(plan: Plan, whole: Tuning, tmp_path: Path) -> None:
    assert whole.chooser is not None
    tuned = tuned_file(plan, whole.chooser)
    cells = by_name(plan)
    for algorithm in ("mine", "grpo"):
        for tasks in (TASKS, (TASKS[0],), (TASKS[1],)):
            draws = [(replicate, number) for replicate in range(5) for number in range(4)]

            def mean(draw: tuple[int, int], seeds: Any, algorithm: str = algorithm, tasks: Any = tasks) -> float:
                name = f"{algorithm}.{draw[0]}.{draw[1]}"
                return fmean(score(cells[name, task], seed) for task in tasks for seed in seeds)

            finalists = sorted(draws, key=lambda draw: -mean(draw, tuning_seeds(draw[0], 2)))[:8]
            best = max(finalists, key=lambda draw: mean(draw, deciding_seeds()))
            of_all = tuned.algorithms[algorithm]
            found = of_all if len(tasks) > 1 else of_all.per_task[tasks[0]]
            assert (found.replicate, found.trial) == best
            assert found.score == pytest.approx(mean(best, deciding_seeds()), abs=1e-12)
            for name, value in found.settings.items():
                assert cells[f"{algorithm}.{best[0]}.{best[1]}", TASKS[0]].parameters[name] == value
    assert "uniform" not in tuned.algorithms
    # What is written is read again as it was, and used for the runs of the suite.
    path = tmp_path / "suite.tuned.yaml"
    path.write_text(render(tuned))
    assert read_tuned(path, "suite").file == tuned


def test_equal_settings_go_to_those_that_were_drawn_first(tmp_path: Path) -> None:
    """Tuning seeds rank the finalists against the order of their drawing; on the seeds that decide, all are equal."""
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("trials: 4, seeds: 2, replicates: 5", "trials: 2, seeds: 1, replicates: [3, 1]"))
    drawn = [(3, 0), (3, 1), (1, 0), (1, 1)]

    def rising(cell: Cell, seed: int) -> float:
        if seed in deciding_seeds() or cell.algorithm.count(".") < 2:
            return 0.5
        _, replicate, number = cell.algorithm.split(".")
        return 0.2 + 0.1 * drawn.index((int(replicate), int(number)))

    chooser = play(Tuning(load_plan(path, tune=True), new_store(tmp_path, "tied")), rising).chooser
    assert chooser is not None
    for tasks in (TASKS, TASKS[:1]):
        assert [(each.replicate, each.number) for each in chooser.finalists("mine", tasks)] == drawn[::-1]
        found = chooser.found("mine", tasks)
        assert found is not None
        assert (found.trial.replicate, found.trial.number) == (3, 0)


def test_kills_shards_and_merging_change_nothing(plan: Plan, whole: Tuning, tmp_path: Path) -> None:
    assert whole.chooser is not None
    expected = render(tuned_file(plan, whole.chooser))
    killed = play(Tuning(plan, new_store(tmp_path, "killed")), score, np.random.default_rng(3), most=10)
    assert killed.chooser is not None
    assert render(tuned_file(plan, killed.chooser)) == expected
    # Nothing was chosen too early, and trained in vain.
    runs = [
        {path.relative_to(each.root) for path in each.root.rglob("seed-*.json")} for each in (killed.store, whole.store)
    ]
    assert runs[0] == runs[1]
    root = new_store(tmp_path, "sharded").root
    units = []
    for number in range(1, 5):
        shard = Shard(number, 4)
        part = play(Tuning(plan, Store(root / shard.folder), shard), score)
        assert all(each.chosen == each.replicates and not each.found for each in part.progress)
        units += sorted(part._mine)
        assert select(part.store).declaration_number == 1
    assert len(units) == len(set(units)) == 15
    merge([root / "shards"], root)
    before = {path.relative_to(root) for path in root.glob("*/seed-*.json")}
    merged = play(Tuning(plan, Store(root)), score)
    assert merged.chooser is not None
    assert render(tuned_file(plan, merged.chooser)) == expected
    # Only the seeds that decide on the settings found were left.
    new = {path.relative_to(root) for path in root.glob("*/seed-*.json")} - before
    assert new
    assert all(int(path.stem[5:]) in deciding_seeds() for path in new)


def test_runs_that_fail_count_with_the_least_score(plan: Plan, tmp_path: Path) -> None:
    """The best configuration of replicate 0 fails once, so it is not chosen; its whole replicate does not wait."""
    best = chosen_by_hand(plan, "mine", 0, TASKS)

    def broken(cell: Cell, seed: int) -> float | None:
        fails = cell.algorithm == f"mine.0.{best}" and seed == tuning_seeds(0, 2)[0]
        return None if fails else score(cell, seed)

    def counted(cell: Cell, seed: int) -> float:
        value = broken(cell, seed)
        return plan.bounds[cell.task].low if value is None else value

    store = new_store(tmp_path, "failing")
    tuning = play(Tuning(plan, store), broken)
    assert tuning.chooser is not None
    choice = tuning.chooser.best("mine", 0, TASKS)
    assert choice is not None
    assert choice.trial.number == chosen_by_hand(plan, "mine", 0, TASKS, counted) != best
    assert tuning.chooser.failed("mine") == 2
    scores = tuning.chooser.scores("mine")
    assert scores.scores[0, best, :, 0].tolist() == [plan.bounds[task].low for task in scores.tasks]
    # Where what was chosen fails when it is trained again, the replicate counts as failed.
    final = next(tmp_path.glob(f"failing/suite/search/*--mine.0.{choice.trial.number}--*/seed-{final_seed(0)}.json"))
    cell = next(c for c in plan.cells if c.algorithm == choice.trial.name and final.parent.name == c.folder)
    final.unlink()
    put(store, made_up(plan, cell, final_seed(0), None))
    row = next(c for c in equal_search(select(store)).cells if (c.algorithm, c.task) == ("mine", cell.task))
    assert [run.record.seed for run in row.unfinished] == [0]
    assert [(run.seed, run.status) for run in row.absent] == [(0, "failed")]
    (claim,) = judge(equal_search(select(store)))
    assert claim.overall[0].paths[0].pairs.failed == 1
    assert len(claim.overall[0].paths[0].pairs.candidate) == 5


def test_a_search_by_scores_needs_a_task_that_has_them(plan: Plan, tmp_path: Path) -> None:
    def without(*tasks: str) -> Plan:
        cells = (replace(cell, references=None if cell.task in tasks else cell.references) for cell in plan.cells)
        return replace(plan, cells=tuple(cells))

    Tuning(without(TASKS[0]), new_store(tmp_path, "one"))
    with pytest.raises(
        UserError, match=r"mine is searched for area, a score, and none of its tasks \(random-walk/4, cor"
    ):
        Tuning(without(*TASKS), new_store(tmp_path, "none"))


def test_a_search_by_what_no_run_has_says_so_instead_of_having_found_nothing(plan: Plan, tmp_path: Path) -> None:
    assert plan.search is not None
    by_alignment = replace(plan, search=plan.search.model_copy(update={"measure": "reward_alignment"}))
    with pytest.raises(UserError, match="mine is searched for reward_alignment, which the runs of none of its tasks"):
        play(Tuning(by_alignment, new_store(tmp_path, "none")), score)


def test_a_missing_run_keeps_its_replicate_from_choosing(plan: Plan, copy: Store) -> None:
    store = copy
    for path in store.root.glob(f"*--grpo.2.1--*/seed-{tuning_seeds(2, 2)[1]}.json"):
        path.unlink()
    tuning = Tuning(plan, store)
    proposal = tuning.next()
    assert proposal is not None
    assert {cell.algorithm for cell in proposal.cells} == {"grpo.2.1"}
    progress = {each.algorithm: each for each in tuning.progress}
    assert (progress["grpo"].chosen, progress["grpo"].found) == (4, False)
    row = next(cell for cell in equal_search(select(store)).cells if cell.algorithm == "grpo")
    assert [run.record.seed for run in row.runs] == [0, 1, 3, 4]
    assert [(run.seed, run.reason) for run in row.absent] == [(2, "its search has not ended")]


@pytest.mark.parametrize("measure", ["area", "not_collapsed"])
def test_nothing_is_chosen_while_a_task_has_not_begun(plan: Plan, tmp_path: Path, measure: str) -> None:
    """Runs are made task by task, and a task without any looks like one that has no score."""
    assert plan.search is not None
    plan = replace(plan, search=plan.search.model_copy(update={"measure": measure}))
    store = new_store(tmp_path, "begun")
    first = Tuning(plan, store).next()
    assert first is not None
    put(store, *(made_up(plan, c, seed, score(c, seed)) for c in first.cells if c.task == TASKS[0] for seed in c.seeds))
    tuning = Tuning(plan, store)
    proposal = tuning.next()
    assert proposal is not None
    assert {cell.task for cell in proposal.cells} == {*TASKS} - {TASKS[0]}
    asked = {seed for cell in proposal.cells for seed in cell.seeds if cell.algorithm.count(".") == 2}
    assert asked == {seed for replicate in range(5) for seed in tuning_seeds(replicate, 2)}
    assert [(each.chosen, each.found) for each in tuning.progress] == [(0, False), (0, False)]


def test_the_settings_found_come_last(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stopping early still leaves the verdicts, which rest on the searches."""
    store, asked = new_store(tmp_path, "staged"), []
    tuning = Tuning(plan, store)
    while (proposal := tuning.next()) is not None:
        asked.append({seed for cell in proposal.cells for seed in cell.seeds})
        _leave(tuning, store, "suite.yaml", tmp_path / "suite.tuned.yaml")
        put(store, *(made_up(plan, cell, seed, score(cell, seed)) for cell in proposal.cells for seed in cell.seeds))
    deciding = set(deciding_seeds())
    assert [bool(seeds & deciding) for seeds in asked] == [False] * (len(asked) - 1) + [True]
    assert asked[-1] <= deciding
    assert {final_seed(0), own_seed(0)} <= asked[-2]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    assert len(said) == len([seeds for seeds in asked if not seeds & set(tuning_seeds(0, 2))])
    assert all(line.startswith(f"next: haepo-bench report {store.root}, which has all") for line in said)
    assert not (tmp_path / "suite.tuned.yaml").exists()


def test_what_failed_is_run_again_once_whenever_its_turn_comes(plan: Plan, copy: Store) -> None:
    """A trial and a finalist failed; the trial is asked for first, and the finalist is not forgotten."""
    cells = {cell.folder: cell for cell in plan.cells}
    trial = next(copy.root.glob(f"*--mine.2.1--*/seed-{tuning_seeds(2, 2)[0]}.json"))
    finalist = next(copy.root.glob(f"*--grpo.*--*/seed-{deciding_seeds()[3]}.json"))
    for path in (trial, finalist):
        path.unlink()
        put(copy, made_up(plan, cells[path.parent.name], int(path.stem[5:]), None))
    tuning = Tuning(plan, copy, retry_failed=True)
    asked = []
    while (proposal := tuning.next()) is not None:
        runs = [(cell, seed) for cell in proposal.cells for seed in cell.seeds]
        asked.append([(cell.folder, seed) for cell, seed in runs])
        for cell, seed in runs:
            copy.path(cell.folder, seed).unlink(missing_ok=True)
            put(copy, made_up(plan, cell, seed, score(cell, seed)))
    assert asked == [[(path.parent.name, int(path.stem[5:]))] for path in (trial, finalist)]


def test_runs_from_before_the_declaration_confirm_nothing(plan: Plan, copy: Store) -> None:
    store = copy
    cell = next(c for c in plan.cells if c.algorithm == "mine.1.0")
    early = made_up(plan, cell, tuning_seeds(1, 2)[0], score(cell, tuning_seeds(1, 2)[0]))
    path = store.path(cell.folder, early.seed)
    path.write_text(early.model_copy(update={"provenance": {"started": "2025"}}).to_json())
    rows = equal_search(select(store))
    assert {c.algorithm: c.preceding for c in rows.cells if c.task == cell.task and c.preceding} == {"mine": (1,)}
    assert rows.exploratory


def test_a_longer_search_draws_the_same_first(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("trials: 4, seeds: 2, replicates: 5", "trials: 6, seeds: 3, replicates: [4, 1]"))
    longer = by_name(load_plan(path, tune=True))
    for (name, task), cell in by_name(plan).items():
        if (name, task) in longer and name.count(".") == 2:
            assert longer[name, task].overrides == cell.overrides
            assert longer[name, task].settings_hash == cell.settings_hash
            assert longer[name, task].seeds[:2] == cell.seeds
    assert load_plan(path, tune=True).declaration != plan.declaration
    path.write_text(SUITE.replace("replicates: 5", "replicates: 9"))
    assert load_plan(path, tune=True).declaration == plan.declaration
