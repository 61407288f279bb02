"""`tune`, `run --tuned` and the report on a search, in processes of their own."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from cli_support import Outcome, run_apart, run_here

SUITE = """\
name: trial
seeds: 2
budget: {env_steps: 64}
evaluation: {every: 32, episodes: 2}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: mine}, {use: grpo, params: {epochs: 1}}, uniform]
claims: {candidate: mine, baselines: [grpo], made: [converges fast]}
search:
  trials: 2
  seeds: 1
  replicates: 2
  spaces: {rloo: {learning_rate: {log: [1e-3, 1e-2]}}, grpo: {learning_rate: {log: [1e-3, 1e-2]}}}
execution: {workers: 1, device: cpu}
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("tune")
    (folder / "suite.yaml").write_text(SUITE)
    return folder, run_apart("tune", "suite.yaml", cwd=folder)


def test_it_writes_what_it_found_and_says_what_comes_next(tuned: tuple[Path, Outcome]) -> None:
    folder, outcome = tuned
    assert outcome.code == 0, outcome.err
    assert "mine: 2 of 2 replicates have chosen, settings found" in outcome.out
    assert "settings found: trial.tuned.yaml (written); review and commit it" in outcome.out
    assert "next: haepo-bench run suite.yaml --tuned trial.tuned.yaml" in outcome.out
    found = yaml.safe_load((folder / "trial.tuned.yaml").read_text())
    assert set(found["algorithms"]) == {"mine", "grpo"}
    for algorithm in found["algorithms"].values():
        assert set(algorithm["settings"]) == {"learning_rate"}
        assert set(algorithm["per_task"]) == {"random-walk/4", "corridor/8"}
    # All is there: the same command runs nothing, and writes nothing.
    before = (folder / "trial.tuned.yaml").stat().st_mtime_ns
    again = run_apart("tune", "suite.yaml", cwd=folder)
    assert again.code == 0
    assert "(unchanged)" in again.out
    assert "next;" not in again.err
    assert (folder / "trial.tuned.yaml").stat().st_mtime_ns == before


def test_the_report_on_a_search_has_replicates_as_seeds(
    tuned: tuple[Path, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = tuned
    code, out, _ = run_here(capsys, "report", str(folder / "results/trial/search"), "--format", "json")
    assert code == 0
    (suite,) = json.loads(out)["suites"]
    assert suite["scorecard"]["status"] == "at equal search"
    assert (suite["scorecard"]["declaration"], suite["scorecard"]["exploratory"]) == (1, "")
    rows = {each["algorithm"]: each for each in suite["tasks"][0]["algorithms"]}
    assert set(rows) == {*("mine", "mine.per-task", "mine.default", "grpo", "grpo.per-task", "grpo.default", "uniform")}
    assert all(row["seeds"]["shown"] == [0, 1] for row in rows.values())


def test_rows_have_one_name_whoever_shows_them(
    tuned: tuple[Path, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = str(tuned[0] / "results/trial/search")
    (suite,) = json.loads(run_here(capsys, "report", search, "--format", "json").out)["suites"]
    finals = {
        (task["task"], row["algorithm"]): row["final_score"]["mean"]
        for task in suite["tasks"]
        for row in task["algorithms"]
    }
    tasks = ("random-walk/4", "corridor/8")
    for pair in (("mine", "grpo"), ("mine.default", "mine")):
        done = run_here(capsys, "compare", search, "--algorithms", *pair, "--format", "json")
        assert done.code == 0, done.err
        overall = json.loads(done.out)["suites"][0]["overall"][0]
        one, two = (sum(finals[task, name] for task in tasks) / 2 for name in pair)
        assert overall["difference"] == pytest.approx(one - two)
    assert run_here(capsys, "export", search, "--out", str(tmp_path)).code == 0
    with (tmp_path / "runs.csv").open() as file:
        names = {row["algorithm"] for row in csv.DictReader(file)}
    assert {"mine.default", "mine.0.0", "grpo.default", "uniform"} <= names
    assert not {"mine", "grpo"} & names
    cells = json.loads(run_here(capsys, "compare", search, search, "--format", "json").out)["suites"][0]["cells"]
    assert {cell["algorithm"] for cell in cells} == {name for _, name in finals}


def test_the_settings_found_are_run_apart(tuned: tuple[Path, Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = tuned
    outcome = run_apart("run", "suite.yaml", "--tuned", "trial.tuned.yaml", "--per-task", cwd=folder)
    assert outcome.code == 0, outcome.err
    assert "note:" not in outcome.err
    longer = run_apart(
        "run", "suite.yaml", "--tuned", "trial.tuned.yaml", "--set", "budget.env_steps=96", "--dry-run", cwd=folder
    )
    assert "note: corridor/8 was searched with 64 env steps, and is run with 96" in longer.err
    found = yaml.safe_load((folder / "trial.tuned.yaml").read_text())["algorithms"]
    results = folder / "results" / "trial-tuned"
    for name in ("mine", "grpo"):
        for record in results.glob(f"*--{name}--*/seed-0.json"):
            rate = json.loads(record.read_text())["parameters"]["learning_rate"]
            assert rate == found[name]["settings"]["learning_rate"]
        for record in results.glob(f"corridor*--{name}.per-task--*/seed-0.json"):
            rate = json.loads(record.read_text())["parameters"]["learning_rate"]
            assert rate == found[name]["per_task"]["corridor/8"]["settings"]["learning_rate"]
    assert len(list(results.glob("*/seed-*.json"))) == 2 * 2 * 5
    code, out, _ = run_here(capsys, "report", str(results), "--format", "json")
    assert code == 0
    assert json.loads(out)["suites"][0]["scorecard"]["status"] == "settings found by tuning"
    run_here(capsys, "report", str(results), "--publish", str(folder / "site"))
    assert (folder / "site/suites/trial.tuned.yaml").read_bytes() == (folder / "trial.tuned.yaml").read_bytes()


def test_a_dry_run_says_what_it_costs(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    outcome = run_apart("tune", "suite.yaml", "--dry-run", "--replicates", "3", cwd=tmp_path)
    assert outcome.code == 0
    assert not (tmp_path / "results").exists()
    line = next(line for line in outcome.out.splitlines() if line.strip().startswith("mine  "))
    # Per task: 3 times 2 trials, the default, two choices; 6 finalists on 8 seeds, over tasks and for the task.
    runs = 2 * (3 * (2 + 1 + 2) + 6 * 8 * 2)
    assert line.split()[1:5] == ["6", str(runs), "0", f"{runs * 64:,}"]
    assert "uniform: nothing to search" in outcome.out


def test_nothing_is_replaced_by_what_was_found(tmp_path: Path) -> None:
    suite = tmp_path / "trial.tuned.yaml"  # where the settings of `trial` would go
    suite.write_text(SUITE)
    outcome = run_apart("tune", suite.name, cwd=tmp_path)
    assert outcome.code == 4
    assert "is not a file of settings found for the suite 'trial', and would be replaced by one" in outcome.err
    assert suite.read_text() == SUITE
    assert not (tmp_path / "results").exists()


def test_a_dry_run_of_a_search_that_has_ended_leaves_nothing(tuned: tuple[Path, Outcome]) -> None:
    outcome = run_apart("tune", "suite.yaml", "--dry-run", cwd=tuned[0])
    assert outcome.code == 0
    assert "nothing is left to run" in outcome.out
    assert "?" not in outcome.out


def test_replicates_are_the_first_of_those_declared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    listed = ["tune", str(tmp_path / "suite.yaml"), "--set", "search.replicates=[3, 7]", "--dry-run", "--replicates"]
    code, out, _ = run_here(capsys, *listed, "1")
    assert (code, "1 replicate of" in out) == (0, True)
    assert "is decided from" in out
    assert "replicates on" in out
    code, _, err = run_here(capsys, *listed, "4")
    assert (code, "the suite declares 2 replicates, [3, 7]" in err) == (4, True)


def test_a_report_says_who_was_not_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    one = ["--set", "search.replicates=1", "--set", "search.trials=1", "--set", "search.spaces.grpo={}"]
    assert run_apart("tune", "suite.yaml", *one, "--quiet", cwd=tmp_path).code == 0
    code, out, _ = run_here(capsys, "report", str(tmp_path / "results/trial/search"), "--format", "md")
    assert code == 0
    assert "Not searched: grpo." in out
    assert "what it calls a seed is a replicate of the whole search" in out
    assert "It speaks of new searches of this size" in out
    assert "of new seeds of these settings" not in out


def test_an_option_without_the_one_that_it_needs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_here(capsys, "run", str(tmp_path / "suite.yaml"), "--per-task")
    assert (code, "--per-task: needs --tuned FILE" in err) == (4, True)
