"""The compact table of a search: every run once, under what it was made for."""

from pathlib import Path

import pandas as pd
import pytest
from benchmark_scripts import ROOT, load
from search_support import new_store, noise, play

from haepo_bench.execution.session import Options, run_plan
from haepo_bench.results.frames import frames
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: suite
seeds: 5
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms: [ppo-batched, {use: rloo, name: mine}, uniform]
claims: {candidate: mine, made: [converges fast]}
search: {trials: 3, seeds: 2, replicates: 4}
"""


def test_it_holds_every_run_once_under_what_it_was_made_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    store = new_store(tmp_path, "whole")
    play(Tuning(load_plan(path, tune=True), store), lambda cell, seed: 0.5 + 0.1 * noise(cell, seed))

    selection = select(store)
    assert selection.search is not None
    search_table = load("search_table")
    found = search_table.table(frames(selection.cells).runs, selection.search)

    assert list(dict.fromkeys(found["algorithm"])) == ["ppo-batched", "mine", "uniform"]
    roles = found.groupby(["algorithm", "role"]).size().to_dict()
    for name in ("mine", "ppo-batched"):
        assert roles[name, "trial"] == 4 * 3 * 2 * 2  # replicates, trials, tuning seeds, tasks
        assert roles[name, "choice"] == 4 * 2
        assert roles[name, "choice per task"] == 4 * 2
        assert roles[name, "default"] == 4 * 2
        assert roles[name, "finalist"] % 8 == 0
    assert roles["uniform", "control"] == 4 * 2
    assert len(found) == len(list(store.root.rglob("seed-*.json*")))

    # What was chosen is the best trial on the tuning seeds, by the table alone.
    tried = found[(found["role"] == "trial") & (found["algorithm"] == "mine") & (found["replicate"] == 2)]
    best = tried.groupby("trial")["area"].mean().idxmax()
    choice = found[(found["role"] == "choice") & (found["algorithm"] == "mine") & (found["replicate"] == 2)]
    assert set(choice["trial"]) == {best}

    first, second = tmp_path / "first.csv.gz", tmp_path / "second.csv.gz"
    for out in (first, second):
        monkeypatch.setattr("sys.argv", ["search_table.py", str(store.root), "--out", str(out)])
        search_table.main()
    assert first.read_bytes() == second.read_bytes()
    assert f"({len(found):,} runs)" in capsys.readouterr().out


def made_up_table() -> pd.DataFrame:
    """Three replicates, 0.1 apart, of two configurations that differ by 0.5; chosen, default and per task."""
    rows = []
    for replicate in range(3):
        for task, shift in (("random-walk/4", 0.0), ("corridor/8", 0.2)):
            common = {"algorithm": "mine", "replicate": replicate, "task": task}
            for trial in range(2):
                scored = [(seed, 0.1 * replicate + 0.5 * trial + shift) for seed in (10, 11)]
                rows += [{**common, "trial": trial, "role": "trial", "seed": seed, "area": a} for seed, a in scored]
            chosen = {"choice": 0.5, "default": 0.3, "choice per task": 0.6}
            for role, area in chosen.items():
                rows.append({**common, "role": role, "seed": 20, "area": area + 0.1 * replicate + shift})
            rows.append({**common, "algorithm": "uniform", "role": "control", "seed": 20, "area": 0.0})
    return pd.DataFrame(rows)


def test_findings_are_made_of_the_table_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv.gz"
    made_up_table().to_csv(path, index=False)
    monkeypatch.setattr("sys.argv", ["search_findings.py", str(path)])
    monkeypatch.syspath_prepend(ROOT / "studies")
    load("search_findings").main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    # 0.1 apart over three replicates: a standard error of 0.1 / sqrt 3.
    assert lines[0] == "| `mine` | 0.60 ± 0.06; 0.40; 0.70 | 0.80 ± 0.06; 0.60; 0.90 |"
    assert lines[1] == "| `uniform` | 0.00 ± 0.00 | 0.00 ± 0.00 |"
    # Two families, so the mean of both tasks; chosen above default by 0.2 in each replicate.
    assert lines[2] == "| `mine` | 3 | 0.70 ± 0.06 | 0.50 ± 0.06 | 0.80 ± 0.06 | 0.20 ± 0.00 |"
    # Of two configurations that differ by 0.5 the mean is 0.25 below the better one.
    assert lines[3] == "| `mine` | 0.45 ± 0.06 | 0.70 ± 0.06 |"


def test_one_task_has_no_choice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "studies")
    runs = made_up_table()
    alone = runs[(runs["task"] == runs["task"][0]) & (runs["role"] != "choice per task")]
    header, _, row = load("search_findings").overall(alone).splitlines()
    assert header == "| algorithm | replicates | chosen | default | chosen above default |"
    assert row == "| `mine` | 3 | 0.60 ± 0.06 | 0.40 ± 0.06 | 0.20 ± 0.00 |"


def test_the_figure_shows_the_same_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "studies")
    figure = load("search_figure")
    assert all((figure.TABLES / table).is_file() for table in figure.SEARCHED.values())
    (line,) = figure.panel("suite", made_up_table()).lines
    assert (line.algorithm, line.x) == ("mine", {"trials": [1.0, 2.0]})
    band = line.y["area"]
    error = 0.1 / 3**0.5
    assert band.mean == pytest.approx([0.45, 0.70])
    assert band.high == pytest.approx([0.45 + error, 0.70 + error])
    assert band.low == pytest.approx([0.45 - error, 0.70 - error])


def test_runs_with_the_settings_found_have_a_role_of_their_own(tmp_path: Path) -> None:
    search_table = load("search_table")
    (tmp_path / "suite.yaml").write_text(SUITE.replace("seeds: 5", "seeds: 2"))
    store = Store(tmp_path / "results" / "suite")
    assert run_plan(load_plan(tmp_path / "suite.yaml"), store, Options(quiet=True)).exit_code == 0
    found = search_table.table(frames(select(store).cells).runs, None)
    assert set(found["role"]) == {"settings found"}
    assert len(found) == 3 * 2 * 2  # algorithms, tasks, seeds
    text = load("search_findings").with_settings_found(found)
    assert text.count("\n") == 1 + 3
