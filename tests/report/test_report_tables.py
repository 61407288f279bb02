"""What the tables say beside the numbers: how many runs, which are missing and why, how far that could move things."""

from pathlib import Path

import pytest
from synthetic_runs import declaration_of, put, put_plan, record, showcase

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_numbers import MeanEstimate
from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import to_html
from haepo_bench.report.tables.across import across_tables, improvement_table
from haepo_bench.report.tables.in_short import glance, leaders
from haepo_bench.report.tables.per_task import (
    Table,
    TableCell,
    diagnostics_table,
    estimate_cell,
    heading,
    result_table,
)
from haepo_bench.report.tables.verdicts import scorecard_tables
from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.store import Store
from haepo_bench.wording import fixed


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    root = showcase(tmp_path_factory.mktemp("results") / "made-up", seeds=4, marks=5).root
    (suite,) = build_report(root).suites
    return suite


def every_table(suite: SuiteResult) -> list[Table]:
    tables = [table for overall, details in scorecard_tables(suite) for table in (overall, *details)]
    tables += across_tables(suite)
    for task in suite.tasks:
        tables += [t for t in (result_table(task), improvement_table(task), diagnostics_table(task)) if t]
    return tables


def test_every_table_says_on_how_many_runs_it_rests(suite: SuiteResult) -> None:
    tables = every_table(suite)
    assert len(tables) > 15
    for table in tables:
        says = any("n/N" in column for column in table.columns) or any("runs asked for" in note for note in table.notes)
        assert says, table.title
        assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1, table.title


def test_every_table_names_what_is_missing_and_why(suite: SuiteResult) -> None:
    """dpo failed on CartPole with seed 1: whatever rests on that says so."""
    named = 0
    for table in every_table(suite):
        on_cartpole = "CartPole" in table.title or "/CartPole" in " ".join(map(str, table.rows))
        if table.title.startswith("gym/CartPole") or (
            not table.title.startswith(("bandit", "random", "gym")) and on_cartpole
        ):
            assert any("the environment went away" in note for note in table.notes), table.title
            named += 1
    assert named >= 4


def test_how_far_a_mean_could_move(suite: SuiteResult) -> None:
    """Of three scores on CartPole and one missing: with the lowest and the highest that anybody had."""
    task = next(task for task in suite.tasks if task.task == "gym/CartPole-v1")
    result = next(each for each in task.algorithms if each.algorithm == "dpo")
    own = [run.measures["final_score"] or 0.0 for run in result.runs]
    every = [run.measures["final_score"] or 0.0 for each in task.algorithms for run in each.runs]
    low, high = (fixed((sum(own) + end) / 4, 2) for end in (min(every), max(every)))
    (note,) = [note for note in result_table(task).notes if note.startswith("dpo: had the missing")]
    assert f"final score {low} to {high}" in note
    assert "area" in note


def test_quality_information_and_cost_stand_side_by_side(suite: SuiteResult) -> None:
    task = suite.tasks[0]
    table = result_table(task)
    wanted = "Final score, sampled", "Area under score curve", "Feedback", "Env steps", "Gradient steps", "Wall seconds"
    for column in (*wanted, "CPU seconds", "Peak memory, MiB"):
        assert column in table.columns
    ppo = dict(zip(table.columns, next(row for row in table.rows if row[0].text == "ppo"), strict=True))
    assert ppo["Feedback"] == ("per-step rewards", "critic, discount 0.98")
    assert ppo["Gradient steps"].text == "8"


def test_equal_time_is_the_fastest_algorithms(suite: SuiteResult) -> None:
    """The first algorithm's clock is the fastest: the slower ones are read before their end."""
    task = next(task for task in suite.tasks if task.task == "gym/CartPole-v1")
    ends = {each.algorithm: each.curve.cpu_seconds[-1] for each in task.algorithms if each.curve}
    assert task.common_seconds == pytest.approx(min(end for end in ends.values() if end is not None))
    fast, *_, slow = task.algorithms
    assert slow.score_in_time is not None
    assert slow.final_score is not None
    assert fast.score_in_time is not None
    assert (slow.score_in_time.mean or 0) < (slow.final_score.mean or 0) - 0.05
    assert any("Score after" in column for column in result_table(task).columns)


def test_a_task_that_somebody_lacks_is_left_out_for_all(tmp_path: Path) -> None:
    """Of three tasks grpo has two: aggregates rest on those. Somebody with one of three is left out alone."""
    store = Store(tmp_path / "made-up")
    tasks = ("bandit/10-arm", "random-walk/20", "corridor/4")
    runs = [record(task, "reinforce", seed) for task in tasks for seed in range(2)]
    runs += [record(task, "grpo", seed) for task in tasks[:2] for seed in range(2)]
    runs += [record(tasks[0], "dpo", seed) for seed in range(2)]
    failed = record("corridor/4", "grpo", status="failed", error="boom")
    put_plan(store, [*runs, failed], [0, 1])
    put(store, *runs, failed)
    document = build_report(store.root)
    basis = document.suites[0].basis
    assert basis is not None
    assert (basis.tasks, basis.algorithms) == ([*tasks[:2]], ["reinforce", "grpo"])
    assert [(left.name, left.reason) for left in basis.tasks_left_out] == [("corridor/4", "no result of grpo")]
    assert [left.name for left in basis.algorithms_left_out] == ["dpo"]
    text = render(document, "md")
    assert "Task left out: corridor/4: no result of grpo." in text
    assert "Algorithm left out: dpo: results on only 1 of 3 tasks with references." in text


def test_without_scores_there_are_no_aggregates(tmp_path: Path) -> None:
    put(Store(tmp_path), *(record(seed=seed, references=None) for seed in range(2)))
    (suite,) = build_report(tmp_path).suites
    assert (suite.basis, suite.aggregates, suite.profiles) == (None, [], [])
    assert across_tables(suite) == []


def test_what_several_runs_say_is_said_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "said")
    notes = {"grpo": ["tiny", "held"], "dpo": ["tiny", "held", "oracle"], "reinforce": ["tiny"]}
    put(store, *(record("bandit/10-arm", name, 0, notes=said) for name, said in notes.items()))
    (suite,) = build_report(store.root).suites
    found = result_table(suite.tasks[0]).notes
    assert [note for note in found if note.endswith(("tiny", "held", "oracle"))] == [
        "all algorithms: tiny",
        "dpo, grpo: held",
        "dpo: oracle",
    ]


def test_a_control_is_shown_and_is_in_no_number_over_tasks(tmp_path: Path) -> None:
    """A suite with controls, however high they score there, says over all tasks what the suite without them says."""
    tasks = ("bandit/10-arm", "corridor/4")
    controls = ("random-reward(corridor/4)", "noise(random-reward(corridor/4),1)")
    declared = {"candidates": ["reinforce"], "baselines": ["grpo"], "margin": 0.05, "threshold": 0.95}
    found = {}
    for name, own in {"with": (*tasks, *controls), "without": tasks}.items():
        store = Store(tmp_path / name / "made-up")
        cells = [(task, uses) for task in own for uses in ("reinforce", "grpo")]
        declaration = declaration_of((record(*cell) for cell in cells), range(4), DeclaredClaims(**declared))
        runs = []
        for task, uses in cells:
            end = 0.8 if task in controls else 0.6 if uses == "reinforce" else 0.4
            runs += [
                record(
                    task,
                    uses,
                    seed,
                    returns=[0.0, end / 2, end + 0.02 * seed],
                    marks=[0, 50, 100],
                    provenance={"declaration": declaration},
                )
                for seed in range(4)
            ]
        put_plan(store, runs, list(range(4)), claims=declared, declaration=declaration)
        put(store, *runs)
        found[name] = build_report(store.root)
    suite, clean = (found[name].suites[0] for name in ("with", "without"))
    assert suite.basis is not None
    assert clean.basis is not None
    assert suite.basis.tasks == clean.basis.tasks == [*tasks]
    assert [left.name for left in suite.basis.tasks_left_out] == [*controls]
    for part in ("aggregates", "profiles", "improvement"):
        assert getattr(suite, part) == getattr(clean, part) != []
    assert suite.scorecard is not None
    assert clean.scorecard is not None
    for claim, other in zip(suite.scorecard.claims, clean.scorecard.claims, strict=True):
        assert claim.model_copy(update={"left_out": []}) == other.model_copy(update={"left_out": []})
        assert {*controls} <= {left.task for left in claim.left_out if "control" in left.reason}
    assert leaders(suite) == leaders(clean)
    assert [task.task for task in suite.tasks] == [*tasks, *controls]
    assert all(result.final_score is not None for result in suite.tasks[2].algorithms)
    for text in (render(found["with"], "md"), render(found["with"], "latex")):
        assert "Task left out: random-reward(corridor/4): a control" in text


def test_a_suite_of_controls_alone_says_nothing_over_tasks(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    runs = [record("random-reward(corridor/4)", uses, seed) for uses in ("reinforce", "grpo") for seed in range(2)]
    put_plan(store, runs, [0, 1])
    put(store, *runs)
    suite = build_report(store.root).suites[0]
    assert (suite.basis, suite.aggregates, suite.profiles, len(suite.tasks)) == (None, [], [], 1)


def test_what_to_do_about_a_failed_run_stands_with_its_reason(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    failed = record("bandit/10-arm", "grpo", 1, status="failed", error="no number")
    assert failed.error is not None
    mended = failed.error.model_copy(update={"type": "TaskError", "remedy": "fix the reward"})
    runs = [record("bandit/10-arm", "grpo", 0), failed.model_copy(update={"error": mended})]
    put_plan(store, runs, [0, 1])
    put(store, *runs)
    document = build_report(store.root)
    wanted = "TaskError: no number; fix the reward"
    assert document.suites[0].tasks[0].algorithms[0].seeds.missing[0].reason == wanted
    assert f"grpo, seed 1: failed ({wanted})" in result_table(document.suites[0].tasks[0]).notes


def test_what_a_tiny_model_learnt_says_so_in_its_heading(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    notes = {"lm/arithmetic": ["a tiny model made here", "k3"], "lm/arithmetic@a/b": ["the model a/b", "k3"]}
    runs = [record(task, "grpo", seed, notes=said) for task, said in notes.items() for seed in (0, 1)]
    put_plan(store, runs, [0, 1])
    put(store, *runs)
    document = build_report(store.root)
    tiny, named = document.suites[0].tasks
    assert (heading(tiny), heading(named)) == ("lm/arithmetic (a tiny model made here)", "lm/arithmetic@a/b")
    assert [note for note in result_table(tiny).notes if "model" in note or "k3" in note] == ["grpo: k3"]
    assert "## lm/arithmetic (a tiny model made here)\n" in render(document, "md")
    assert r"\caption{lm/arithmetic (a tiny model made here) (suite" in render(document, "latex")
    page = to_html(document, [{}])
    assert ">lm/arithmetic (a tiny model made here)</h3>" in page
    assert ">lm/arithmetic@a/b</h3>" in page
    assert glance(document.suites[0]).tasks == [heading(tiny), heading(named)]


@pytest.mark.parametrize(("n", "detail"), [(1, "[n = 1]"), (4, "[n = 4]"), (30, "[all alike]")])
def test_a_mean_without_an_interval_says_why(n: int, detail: str) -> None:
    assert estimate_cell(MeanEstimate(mean=1.0, low=None, high=None, n=n), 2) == TableCell("1.00", detail)
