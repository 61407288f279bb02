"""`haepo-bench check` on made-up stores: every mark, exit code and format."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_support import Outcome, run_here
from scipy import stats
from synthetic_runs import put, put_plan, record
from test_regression_baseline import TASK, baseline, results, runs

from haepo_bench.regression.check import DEFAULT_RULE, CellVerdict, Explanation, Verdict
from haepo_bench.regression.present import details
from haepo_bench.regression.verdict import Mark
from haepo_bench.results.identity import CellKey
from haepo_bench.results.record import References, RunRecord
from haepo_bench.results.store import Store

SEEDS = 12
#: Beyond the baseline's seeds, as fresh runs have them.
FRESH = 100


def renumbered(cell: list[RunRecord], by: int = FRESH) -> list[RunRecord]:
    return [run.model_copy(update={"seed": run.seed + by}) for run in cell]


@pytest.fixture
def recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A baseline of two cells with twelve seeds each."""
    out = tmp_path / "b.json"
    done = baseline(capsys, results(tmp_path / "before", runs(seeds=SEEDS), runs("grpo", seeds=SEEDS)), out)
    assert done.code == 0, done.err
    return out


def checked(capsys: pytest.CaptureFixture[str], folder: Path, recorded: Path, *more: str) -> Outcome:
    return run_here(capsys, "check", str(folder), "--baseline", str(recorded), *more)


def document(
    capsys: pytest.CaptureFixture[str], folder: Path, recorded: Path, *more: str
) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Exit code, cells by algorithm, all of the JSON."""
    done = checked(capsys, folder, recorded, "--format", "json", *more)
    loaded = json.loads(done.out)
    assert loaded["exit_code"] == done.code
    return done.code, {cell["algorithm"]: cell for cell in loaded["cells"]}, loaded


def test_the_same_runs_are_identical_whatever_the_clocks_say(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = []
    for run in runs(seeds=SEEDS):
        clocks = {name: [value + 9 for value in run.curve[name]] for name in ("wall_seconds", "cpu_seconds")}
        cost = {**run.cost, "wall_seconds": 99.0, "cpu_seconds": 98.0, "peak_memory_bytes": 5}
        cell.append(run.model_copy(update={"curve": {**run.curve, **clocks}, "cost": cost, "code_hash": "d" * 64}))
    # Some of the baseline's seeds are enough.
    folder = results(tmp_path / "now", cell[:2], runs("grpo", seeds=SEEDS)[:2])
    code, cells, _ = document(capsys, folder, recorded)
    assert code == 0
    assert {cell["mark"] for cell in cells.values()} == {"="}
    assert cells["grpo"]["test"] is None


@pytest.mark.parametrize("column", ["eval_return", "eval_return_greedy", "gradient_steps"])
def test_one_bit_makes_a_run_another_one(
    column: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = runs(seeds=SEEDS)
    values = list(cell[3].curve[column])
    values[2] = float(np.nextafter(values[2], np.inf))
    cell[3] = cell[3].model_copy(update={"curve": {**cell[3].curve, column: values}})
    code, cells, _ = document(capsys, results(tmp_path / "now", cell, runs("grpo", seeds=SEEDS)), recorded)
    assert (code, cells["reinforce"]["mark"], cells["grpo"]["mark"]) == (0, "~", "=")
    assert cells["reinforce"]["test"]["effect"] == 0


def with_columns(cell: list[RunRecord], drop: tuple[str, ...] = (), **add: float) -> list[RunRecord]:
    """Other diagnostics: some fewer, some more."""
    changed = []
    for run in cell:
        curve = {name: column for name, column in run.curve.items() if name not in drop}
        curve |= {name: [value] * len(curve["env_steps"]) for name, value in add.items()}
        final = {name: value for name, value in run.final.items() if name not in drop}
        changed.append(run.model_copy(update={"curve": curve, "final": {**final, **add}}))
    return changed


def test_runs_are_compared_in_the_columns_that_both_sides_have(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A diagnostic more or less makes no run another one; a bit of a column that both have does."""
    more, fewer = (
        with_columns(runs(seeds=SEEDS), value_loss=0.5),
        with_columns(runs("grpo", seeds=SEEDS), ("eval_return_greedy",)),
    )
    assert "eval_return_greedy" in runs("grpo")[0].curve
    code, cells, _ = document(capsys, results(tmp_path / "now", more, fewer), recorded)
    assert code == 0
    assert (cells["reinforce"]["mark"], cells["reinforce"]["remark"]) == ("=", f"{SEEDS} seeds; new: value_loss")
    assert (cells["grpo"]["mark"], cells["grpo"]["remark"]) == (
        "=",
        f"{SEEDS} seeds; no longer there: eval_return_greedy",
    )
    for column in ("eval_return", "gradient_steps"):
        values = list(more[3].curve[column])
        values[2] = float(np.nextafter(values[2], np.inf))
        moved = [*more[:3], more[3].model_copy(update={"curve": {**more[3].curve, column: values}}), *more[4:]]
        _, cells, _ = document(capsys, results(tmp_path / column, moved, fewer), recorded)
        assert (cells["reinforce"]["mark"], cells["grpo"]["mark"]) == ("~", "=")
    counted = [run.model_copy(update={"cost": {**run.cost, "episodes": 7}}) for run in more]
    _, cells, _ = document(capsys, results(tmp_path / "counts", counted, fewer), recorded)
    assert cells["reinforce"]["mark"] == "~"


def test_without_returns_in_common_nothing_is_identical(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = json.loads(recorded.read_text())
    for cell in loaded["cells"]:
        at = cell["columns"].index("eval_return")
        del cell["columns"][at]
        for run in cell["runs"]:
            run["column_digests"] = run["column_digests"][: 6 * at] + run["column_digests"][6 * at + 6 :]
    recorded.write_text(json.dumps(loaded))
    _, cells, _ = document(capsys, results(tmp_path / "now", runs(seeds=SEEDS), runs("grpo", seeds=SEEDS)), recorded)
    assert {cell["mark"] for cell in cells.values()} == {"~"}


def test_a_baseline_of_the_first_format_is_compared_in_all_columns(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = json.loads(recorded.read_text())
    assert loaded["format_version"] == 2
    loaded["format_version"] = 1
    for cell in loaded["cells"]:
        del cell["columns"]
        for run in cell["runs"]:
            del run["column_digests"]
    recorded.write_text(json.dumps(loaded))
    folder = results(tmp_path / "now", runs(seeds=SEEDS), with_columns(runs("grpo", seeds=SEEDS), value_loss=0.5))
    code, cells, _ = document(capsys, folder, recorded)
    assert (code, cells["reinforce"]["mark"], cells["grpo"]["mark"]) == (0, "=", "~")


def test_a_drop_is_a_regression_and_the_numbers_are_right(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = renumbered(runs(shift=-0.5, seeds=6))
    gain = renumbered(runs("grpo", shift=0.6, seeds=6))
    code, cells, whole = document(capsys, results(tmp_path / "now", now, gain), recorded)
    assert (code, cells["reinforce"]["mark"], cells["grpo"]["mark"]) == (1, "-", "+")
    assert whole["verdict"] == "regression: 1 worse, 1 better"

    def areas(cell: list[RunRecord]) -> np.ndarray:
        return np.array([np.mean(run.curve["eval_return"][:-1]) / 2 for run in cell])

    before, after = areas(runs(seeds=SEEDS)), areas(now)
    test = cells["reinforce"]["test"]
    assert test["effect"] == pytest.approx(after.mean() - before.mean(), abs=1e-7)
    expected = stats.permutation_test(
        (after, before),
        lambda x, y, axis: stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic,
        alternative="less",
        n_resamples=np.inf,
    ).pvalue
    assert test["p_worse"] == pytest.approx(expected)
    # Two cells: Holm's first step doubles the smaller p.
    assert test["adjusted_p_worse"] == pytest.approx(2 * expected)
    assert test["low"] < test["effect"] < test["high"]
    explained = cells["reinforce"]["explanation"]
    assert explained["current_final"] == pytest.approx(np.mean([run.curve["eval_return"][-1] for run in now]) / 2)
    assert explained["baseline_time"] == 100  # never at 0.9, counted with the budget
    assert (explained["baseline_reached"], explained["baseline_runs"]) == (0, len(before))
    assert (explained["current_reached"], explained["current_runs"]) == (0, len(now))
    assert explained["worst_drop_at"] == 50
    text = checked(capsys, tmp_path / "now", recorded)
    assert text.code == 1
    assert "env steps to 0.9: not reached by 100" in text.out
    assert text.out.splitlines()[2].split()[:2] == ["Task", "Algorithm"]
    assert text.out.splitlines()[3].startswith(f"-  {TASK}")  # what is bad comes first
    assert text.out.splitlines()[-1] == "regression: 1 worse, 1 better"


@pytest.mark.parametrize(
    ("reached", "text"),
    [
        ((10, 10), "524 -> 2,000"),
        ((10, 4), "524 -> 2,000 (4 of 10 seeds reached it by 2,000)"),
        ((10, 0), "524 -> not reached by 2,000"),
        ((0, 10), "not reached by 2,000 -> 2,000"),
        ((0, 0), "not reached by 2,000"),
    ],
)
def test_times_to_a_threshold_say_who_never_got_there(reached: tuple[int, int], text: str) -> None:
    found = Explanation(
        baseline_final=1.0,
        current_final=0.5,
        baseline_time=524.0,
        current_time=2000.0,
        baseline_reached=reached[0],
        baseline_runs=10,
        current_reached=reached[1],
        current_runs=10,
        budget=2000,
        worst_drop=0.5,
        worst_drop_at=2000,
    )
    cell = CellVerdict(CellKey(TASK, "grpo"), Mark.WORSE, explanation=found)
    verdict = Verdict("s", DEFAULT_RULE, "", (cell,))
    assert details(cell, verdict)[0].startswith(f"final 1.000 -> 0.500; env steps to 0.9: {text}; worst drop")


def test_a_significant_drop_that_is_too_small_is_no_regression(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = renumbered(runs(shift=-0.2, seeds=6))
    folder = results(tmp_path / "now", now, runs("grpo", seeds=SEEDS))
    code, cells, _ = document(capsys, folder, recorded)
    assert (code, cells["reinforce"]["mark"]) == (0, "~")
    assert cells["reinforce"]["test"]["adjusted_p_worse"] <= 0.01
    assert document(capsys, folder, recorded, "--min-effect", "0.05")[0] == 1
    # Beside an identical cell no correction is made.
    assert cells["reinforce"]["test"]["adjusted_p_worse"] == cells["reinforce"]["test"]["p_worse"]
    # A drop of 0.10 is not ruled out by these few, and that is asked for.
    code, cells, _ = document(capsys, folder, recorded, "--require", "noninferiority", "--min-effect", "0.06")
    assert (code, cells["reinforce"]["mark"]) == (2, "?")
    assert "is not ruled out by 6 seeds against 12" in cells["reinforce"]["remark"]
    assert document(capsys, folder, recorded, "--require", "noninferiority", "--min-effect", "0.2")[0] == 0


def test_too_few_seeds_cannot_decide(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = renumbered(runs(shift=-1.0, seeds=1))
    code, cells, _ = document(capsys, results(tmp_path / "now", now, runs("grpo", seeds=SEEDS)[:1]), recorded)
    assert (code, cells["reinforce"]["mark"], cells["grpo"]["mark"]) == (2, "?", "=")
    assert cells["reinforce"]["remark"] == "1 seed against 12 cannot show anything at alpha 0.01: run at least 3"
    assert cells["reinforce"]["test"]["smallest_drop"] is None
    folder = results(tmp_path / "many", renumbered(runs(shift=-1.0, seeds=SEEDS)), runs("grpo", seeds=SEEDS))
    code, cells, _ = document(capsys, folder, recorded, "--alpha", "0.000001")
    assert (code, cells["reinforce"]["mark"]) == (2, "?")
    assert "no number of seeds can show anything at alpha 1e-06" in cells["reinforce"]["remark"]
    assert "change with 99.8% interval" in checked(capsys, folder, recorded, "--alpha", "0.001").out


def test_failed_and_missing_runs_and_cells(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = runs(seeds=SEEDS)
    cell[1] = record(TASK, "reinforce", 1, status="failed", error="the <disk> | went\x1b[31m away")
    folder = results(tmp_path / "now", cell, runs("grpo", seeds=SEEDS))
    next(folder.glob("*--grpo--*/seed-3.json")).unlink()
    code, cells, _ = document(capsys, folder, recorded)
    assert code == 2
    assert {cell["mark"] for cell in cells.values()} == {"!"}
    assert cells["grpo"]["remark"] == "seed 3 missing: no file; the others are identical"
    assert "\x1b" not in checked(capsys, folder, recorded).out
    assert r"\<disk" not in checked(capsys, folder, recorded, "--format", "markdown").out
    assert "&lt;disk&gt; \\|" in checked(capsys, folder, recorded, "--format", "markdown").out
    lacking = results(tmp_path / "lacking", runs(seeds=SEEDS))
    code, cells, _ = document(capsys, lacking, recorded)
    assert (code, cells["reinforce"]["mark"], cells["grpo"]["mark"]) == (2, "=", "!")
    assert "no such cell" in cells["grpo"]["remark"]


def test_a_drop_counts_although_other_runs_failed(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = renumbered(runs(shift=-0.8, seeds=8))
    cell[0] = record(TASK, "reinforce", FRESH, status="failed", error="unwell")
    store = Store(tmp_path / "now")
    put_plan(store, cell, [run.seed for run in cell])
    put(store, *cell)
    code, cells, _ = document(capsys, store.root, recorded)
    assert (code, cells["reinforce"]["mark"]) == (1, "-")
    assert "seed 100 failed" in cells["reinforce"]["remark"]


def test_other_settings_are_not_comparable_and_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = runs(seeds=SEEDS, settings_hash="6" * 64, settings={"task": TASK, "algorithm": {"learning_rate": 0.1}})
    code, cells, _ = document(capsys, results(tmp_path / "now", other, runs("grpo", seeds=SEEDS)), recorded)
    assert (code, cells["reinforce"]["mark"]) == (3, "x")
    assert cells["reinforce"]["remark"] == "algorithm.learning_rate: (none) -> 0.1"
    moved = [
        run.model_copy(update={"references": References(random=0.0, solved=4.0, source="new")})
        for run in runs(seeds=SEEDS)
    ]
    code, cells, _ = document(capsys, results(tmp_path / "moved", moved, runs("grpo", seeds=SEEDS)), recorded)
    assert (code, cells["reinforce"]["mark"]) == (3, "x")
    assert "solved 2.0 -> 4.0" in cells["reinforce"]["remark"]


def test_what_is_worst_decides_the_exit_code(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 before 2 before 3, and nothing measured is never green."""
    other = {"settings_hash": "6" * 64}
    worse = runs("grpo", shift=-0.8, seeds=SEEDS)
    not_comparable = runs(seeds=SEEDS, **other)
    failed = [record(TASK, "grpo", 0, status="failed", error="unwell")]
    assert document(capsys, results(tmp_path / "0", not_comparable, worse), recorded)[0] == 1
    store = Store(tmp_path / "1")
    put(store, *not_comparable, *failed)
    assert document(capsys, store.root, recorded)[0] == 2
    assert document(capsys, results(tmp_path / "2", not_comparable, runs("grpo", seeds=SEEDS)), recorded)[0] == 3
    store = Store(tmp_path / "3" / "made-up")
    put_plan(store, runs(seeds=SEEDS), list(range(SEEDS)))
    (tmp_path / "4").mkdir()
    for nothing in (store.root, tmp_path / "4"):
        done = checked(capsys, nothing, recorded)
        assert (done.code, done.out) == (2, "")
        assert "nothing to check: no run here has a result" in done.err
    assert checked(capsys, tmp_path / "5", recorded).code == 4


def test_new_cells_are_listed_and_change_nothing(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path / "now", runs(seeds=SEEDS), runs("grpo", seeds=SEEDS), runs("dpo", seeds=SEEDS))
    code, cells, whole = document(capsys, folder, recorded)
    assert code == 0
    assert whole["new"] == [{"task": TASK, "algorithm": "dpo"}]
    assert "dpo" not in cells
    assert f"new, not in the baseline: dpo on {TASK}" in checked(capsys, folder, recorded).out


def test_a_renamed_cell_is_missing_and_pointed_out(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = runs("renamed", seeds=SEEDS), runs("another", seeds=SEEDS, settings_hash="6" * 64)
    folder = results(tmp_path / "now", runs(seeds=SEEDS), *other)
    code, cells, _ = document(capsys, folder, recorded)
    assert (code, cells["grpo"]["mark"]) == (2, "!")
    assert f"renamed on {TASK} has its settings" in cells["grpo"]["remark"]


def test_a_baseline_that_has_not_sunk_is_not_said_to_have(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path / "now", runs(seeds=SEEDS), runs("grpo", seeds=SEEDS))
    done = checked(capsys, folder, recorded, "--min-effect", "0")
    assert done.code == 0
    assert "first recording" not in done.out


def test_of_several_suites_that_of_the_baseline_is_taken(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results(tmp_path / "now", runs(seeds=SEEDS), runs("grpo", seeds=SEEDS))
    store = Store(tmp_path / "now" / "another")
    put_plan(store, runs(shift=-1.0), list(range(6)), suite="another")
    put(store, *runs(shift=-1.0, suite="another"))
    assert checked(capsys, tmp_path / "now", recorded).code == 0
    done = checked(capsys, tmp_path / "now" / "another", recorded)
    assert done.code == 3
    assert "the baseline is of the suite 'made-up', this is 'another'" in done.err
    done = checked(capsys, tmp_path / "before", recorded)
    assert done.code == 0
    results(tmp_path / "before" / "stages" / "one", runs(seeds=SEEDS))
    results(tmp_path / "before" / "stages" / "two", runs(seeds=SEEDS))
    for stage in ("one", "two"):
        (tmp_path / "before" / "stages" / stage / "made-up").rename(tmp_path / "before" / "stages" / f"stage-{stage}")
    done = checked(capsys, tmp_path / "before" / "stages", recorded)
    assert done.code == 4
    assert "holds 2 folders of the suite 'made-up'" in done.err


def test_formats_for_programs(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"settings_hash": "6" * 64, "settings": {"a,b:c": "100%\n"}}
    folder = results(tmp_path / "now", runs(shift=-0.8, seeds=SEEDS), runs("grpo", seeds=SEEDS, **other))
    files = [tmp_path / f"v{suffix}" for suffix in (".txt", ".md", ".json", ".xml")]
    more = [text for file in files for text in ("--write", str(file))]
    done = checked(capsys, folder, recorded, "--format", "github", *more)
    assert done.code == 1
    commands = done.out.splitlines()
    assert commands[0].startswith(f"::error title=worse%3A reinforce on {TASK}::- worse: ")
    assert "%0Afinal 0." in commands[0]
    assert commands[1].startswith(f"::error title=not comparable%3A grpo on {TASK}::")
    assert '"100%25\\n"' in commands[1]
    assert commands[-1].startswith("::error title=haepo-bench made-up::regression: 1 worse, 1 not comparable")
    xml = ElementTree.parse(files[3]).getroot()[0]
    assert (xml.get("tests"), xml.get("failures"), xml.get("errors")) == ("2", "1", "1")
    assert {case.get("name"): [child.tag for child in case] for case in xml} == {
        "reinforce": ["failure"],
        "grpo": ["error"],
    }
    assert json.loads(files[2].read_text())["exit_code"] == 1
    assert files[0].read_text() == checked(capsys, folder, recorded).out
    assert files[1].read_text() == checked(capsys, folder, recorded, "--format", "markdown").out
    assert files[1].read_text().startswith("### regression: 1 worse, 1 not comparable\n")
    (tmp_path / "folder.md").mkdir()
    for impossible in ("v.yaml", str(tmp_path / "folder.md"), str(files[0] / "v.md")):
        done = checked(capsys, folder, recorded, "--write", impossible)
        assert (done.code, done.out) == (4, "")


def test_the_training_cost_is_relative_to_the_reference_job(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of 2 s beside a reference job of 0.01 s in the baseline: 200."""

    def costing(seconds: float, reference: float | None, jobs: int = SEEDS) -> Path:
        made = []
        for run in (*runs(seeds=SEEDS), *runs("grpo", seeds=SEEDS)):
            provenance = {**run.provenance, "reference_seconds": reference, "seeds": list(range(jobs))}
            made.append(run.model_copy(update={"cost": {**run.cost, "cpu_seconds": seconds}, "provenance": provenance}))
        return results(tmp_path / f"{seconds}-{reference}-{jobs}", made[:SEEDS], made[SEEDS:])

    slow = ("--max-slowdown", "1.5")
    # A machine half as fast needs twice the time for both.
    code, cells, _ = document(capsys, costing(4.0, 0.02), recorded, *slow)
    assert (code, cells["grpo"]["slowdown"]) == (0, pytest.approx(1.0))
    code, cells, _ = document(capsys, costing(4.0, 0.01), recorded, *slow)
    assert (code, cells["grpo"]["slowdown"], cells["grpo"]["mark"]) == (1, pytest.approx(2.0), "=")
    assert "2 slower" in checked(capsys, costing(4.0, 0.01), recorded, *slow).out
    assert checked(capsys, costing(4.0, 0.01), recorded).code == 0
    code, cells, _ = document(capsys, costing(2.0, None), recorded, *slow)
    assert code == 3
    assert "no time of the reference job" in cells["grpo"]["cost"]
    code, cells, _ = document(capsys, costing(2.0, 0.01, jobs=2), recorded, *slow)
    assert code == 3
    assert "jobs of 2 seeds here, of 12 in the baseline" in cells["grpo"]["cost"]


@pytest.mark.parametrize(
    "arguments", [("--alpha", "0"), ("--alpha", "x"), ("--min-effect", "-1"), ("--require", "luck"), ("--format", "y")]
)
def test_wrong_options(arguments: tuple[str, str], recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = checked(capsys, recorded.parent, recorded, *arguments)
    assert done.code == 4
    assert arguments[0] in done.err


def test_returns_that_overflow_are_not_green(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = [record(TASK, "reinforce", seed, returns=[-1.7e308] * 5) for seed in range(SEEDS)]
    code, cells, _ = document(capsys, results(tmp_path / "now", cell, runs("grpo", seeds=SEEDS)), recorded)
    assert (code, cells["reinforce"]["mark"]) == (2, "?")
