"""The store that the benchmark of reports makes up is one that a report shows whole."""

from pathlib import Path

import benchmark_scripts

from haepo_bench.report.numbers.build import build_report


def test_the_made_up_store_is_what_it_says(tmp_path: Path) -> None:
    benchmark = benchmark_scripts.load("report")
    written = benchmark.make_store(tmp_path / "large", 400, 5)
    (suite,) = build_report(tmp_path / "large").suites
    assert (suite.runs_planned, suite.runs_shown, written) == (400, 396, 396)
    assert suite.damaged == []
    assert (len(suite.tasks), len(suite.tasks[0].algorithms)) == (20, 10)
    assert sum(len(each.seeds.diverged) for task in suite.tasks for each in task.algorithms) == 4
    assert suite.scorecard is not None


def test_targets_are_judged_by_the_worst() -> None:
    benchmark = benchmark_scripts.load("report")
    measured = {"json": [benchmark.Measured(19.0, 9.0, 2**29), benchmark.Measured(21.0, 9.0, 2**31)]}
    assert [met for _, _, met in benchmark.targets(measured)] == [False, False]
    measured = {"json": [benchmark.Measured(19.0, 9.0, 2**29)], "html": [benchmark.Measured(59.0, 30.0, 2**31)]}
    assert [met for _, _, met in benchmark.targets(measured)] == [True, True, True, True]
