"""Tasks that separate nobody are shown and left out of what is said over all tasks."""

from pathlib import Path

import pytest
from synthetic_runs import put, put_plan, record

from haepo_bench.report.numbers.across import no_assay
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.tables.in_short import leaders
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

NAMES = ("reinforce", "grpo", "dpo", "ppo", "haepo-weighted")


@pytest.mark.parametrize(
    ("means", "says"),
    [
        ([0.0, 0.02, -0.03, 0.01], "4 of 4 algorithms are at the random policy's score"),
        ([1.0, 0.97, 1.06, 0.96, 0.4], "4 of 5 algorithms are at the ceiling"),
        ([1.0, 1.0, 0.0, 0.0], ""),  # nothing separates better
        ([1.0, 1.0, 1.0, 1.0, 0.5, 0.6], ""),  # two thirds are not more than two thirds
        ([0.0, 0.0, 0.0], ""),  # too few to say
        ([-0.5, -0.5, -0.5, -0.5], ""),  # worse than random is a result
        ([], ""),
    ],
)
def test_when_a_task_is_none(means: list[float], says: str) -> None:
    assert says in no_assay(means)
    assert bool(no_assay(means)) == bool(says)


def stored(root: Path, scores: dict[str, list[float]]) -> Store:
    """Scores of each task's algorithms, in the order of `NAMES`, and of a control at 0 everywhere."""
    runs: list[RunRecord] = []
    for task, own in scores.items():
        for name, score in zip((*NAMES, "floor"), (*own, 0.0), strict=True):
            uses = {"uses": "uniform"} if name == "floor" else {}
            runs += [record(task, name, seed, returns=[0.0, 2 * score, 2 * score, 2 * score, 2 * score], **uses)
                     for seed in range(3)]  # fmt: skip
    store = Store(root)
    put(store, *runs)
    put_plan(store, runs, [0, 1, 2])
    return store


def test_floors_and_ceilings_are_left_out_of_aggregates_and_said(tmp_path: Path) -> None:
    store = stored(
        tmp_path / "made-up",
        {"bandit/10-arm": [1.0] * 5, "deep-sea/20": [0.0] * 5, "corridor/64": [0.2, 0.4, 0.6, 0.8, 1.0]},
    )
    (suite,) = build_report(store.root).suites
    assert suite.basis is not None
    assert suite.basis.tasks == ["corridor/64"]
    assert {left.name: left.reason for left in suite.basis.tasks_left_out} == {
        "bandit/10-arm": "no assay: 5 of 5 algorithms are at the ceiling",
        "deep-sea/20": "no assay: 5 of 5 algorithms are at the random policy's score",
    }
    (mean,) = [each for each in suite.aggregates if each.statistic == "mean"]
    found = {value.algorithm: value.value for value in mean.values}
    assert [found[name] for name in NAMES] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [task.task for task in suite.tasks] == ["bandit/10-arm", "deep-sea/20", "corridor/64"]  # all are shown


def test_where_no_task_separates_all_stay(tmp_path: Path) -> None:
    store = stored(tmp_path / "made-up", {"bandit/10-arm": [1.0] * 5, "deep-sea/20": [0.0] * 5})
    (suite,) = build_report(store.root).suites
    assert suite.basis is not None
    assert suite.basis.tasks == ["bandit/10-arm", "deep-sea/20"]


def test_a_control_is_shown_and_ranked_nowhere(tmp_path: Path) -> None:
    store = stored(tmp_path / "made-up", {"corridor/64": [0.2, 0.4, 0.6, 0.8, 1.0]})
    (suite,) = build_report(store.root).suites
    assert "floor" in [result.algorithm for result in suite.tasks[0].algorithms]
    assert suite.pairwise is not None
    assert {each.algorithm for each in suite.pairwise.comparisons} == set(NAMES)
    assert {each.other for each in suite.pairwise.comparisons} == set(NAMES)
    assert suite.scorecard is not None
    assert "floor" not in suite.scorecard.baselines
    assert not [line for line in leaders(suite) if "floor" in line]
