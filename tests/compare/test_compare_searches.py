"""Searches beside each other, beside default settings, and where they are not what is asked for."""

from pathlib import Path

import numpy as np
import pytest
from search_support import new_store, noise, play

from haepo_bench.api import read_runs
from haepo_bench.compare.algorithms import compare_algorithms, render_algorithms
from haepo_bench.compare.build import compare_results
from haepo_bench.compare.tables import settings_summary
from haepo_bench.errors import UserError
from haepo_bench.execution.session import Options, run_plan
from haepo_bench.regression.folder import runs_in
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.store import Store
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: two
seeds: 4
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: mine}, {use: grpo, params: {epochs: 2}}]
claims: {candidate: mine, baselines: [grpo], made: [converges fast]}
search:
  trials: 3
  replicates: 4
  spaces: {mine: {learning_rate: {log: [1e-4, 1e-2]}}, grpo: {learning_rate: {log: [1e-4, 1e-2]}}}
"""
REPLICATE = "each seed is a replicate of the whole search"


def score(cell: Cell, seed: int) -> float:
    return float(np.clip(0.5 + 0.1 * noise(cell, seed), 0.0, 1.0))


def searched(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_text(text)
    return play(Tuning(load_plan(folder / "suite.yaml", tune=True), new_store(folder, "s")), score).store.root


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched(tmp_path_factory.mktemp("searched"), SUITE)


def test_searches_of_other_extent_are_other_settings(search: Path, tmp_path: Path) -> None:
    other = searched(tmp_path, SUITE.replace("trials: 3", "trials: 2"))
    document = compare_results(search, other)
    cells = {(cell.task, cell.algorithm): cell for suite in document.suites for cell in suite.cells}
    mine, default = cells["corridor/8", "mine"], cells["corridor/8", "mine.default"]
    assert [(change.key, change.a, change.b) for change in mine.settings_changes] == [("search.trials", "3", "2")]
    assert (mine.settings_same, default.settings_same) == (False, True)
    assert mine.warnings == [f"at equal search on either side: {REPLICATE}"]
    assert default.warnings == []
    # mine and grpo, as chosen for all tasks and for each, on two tasks; their defaults are the same.
    assert "Settings: different in 8 of 12 cells" in settings_summary(document)
    assert "Settings: the same everywhere" in settings_summary(compare_results(search, search))


def test_what_was_chosen_is_not_the_default_of_a_run(search: Path, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    store = Store(tmp_path / "two")
    assert run_plan(load_plan(tmp_path / "suite.yaml"), store, Options(quiet=True)).exit_code == 0
    (suite,) = compare_results(search, store.root).suites
    assert {cell.algorithm for cell in suite.cells} == {"mine", "grpo"}
    for cell in suite.cells:
        assert not cell.settings_same
        assert {change.key for change in cell.settings_changes} >= {"search.trials", "search.measure"}
        assert cell.warnings[0] == f"A is what a search chose ({REPLICATE}), and the other side was not searched"


def test_two_algorithms_at_equal_search_are_said_to_be(search: Path) -> None:
    text = render_algorithms(compare_algorithms(search, ("mine", "grpo")), "text")
    assert text.startswith(f"two: mine and grpo, mean final score, at equal search ({REPLICATE})\n")


def test_runs_of_a_search_have_the_names_of_the_report(search: Path) -> None:
    (frames,) = read_runs(search)
    names = set(frames.runs["algorithm"])
    assert {"mine.default", "grpo.default", "mine.0.1"} <= names
    assert not {"mine", "grpo"} & names


@pytest.mark.parametrize("to", ["record", "check"])
def test_no_baseline_and_no_gate_takes_trials_for_algorithms(search: Path, to: str) -> None:
    with pytest.raises(UserError) as error:
        runs_in(search, to=to)
    assert f"holds the runs of a search, whose trials are not algorithms to {to}" in str(error.value)
    assert "run SUITE --tuned FILE" in error.value.remedy


def test_verdicts_against_what_was_not_searched_are_not_at_equal_search(search: Path, tmp_path: Path) -> None:
    half = searched(tmp_path, SUITE.replace("grpo: {learning_rate: {log: [1e-4, 1e-2]}}", "grpo: {}"))
    status = [build_report(each).suites[0].scorecard for each in (search, half)]
    assert [card.status for card in status if card] == ["at equal search", "not all at equal search"]
