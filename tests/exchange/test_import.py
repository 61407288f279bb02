"""`haepo-bench import`: other people's files become runs, or say what is wrong with them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_support import Outcome, run_apart, run_here
from hypothesis import given
from hypothesis import strategies as st
from import_support import (
    REFERENCES,
    TASK,
    stored,
    write_csv,
    write_curve,
    write_evaluations,
    write_mapping,
    write_monitor,
)

from haepo_bench.exchange.alignment import at_marks, regular_marks
from haepo_bench.exchange.sb3 import trailing_mean

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "import_curves"


@pytest.fixture
def take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Imports with given arguments into a results folder of the test."""

    def run(*arguments: object) -> Outcome:
        return run_here(capsys, "import", *map(str, arguments), "--results", str(tmp_path / "results"))

    return run


@given(
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True).map(sorted),
    every=st.integers(1, 30),
    budget=st.integers(1, 70),
)
def test_curves_are_step_functions(steps: list[int], every: int, budget: int) -> None:
    values = [float(10 * step + 1) for step in steps]
    marks = regular_marks(every, budget)
    assert marks[0] == 0
    assert marks[-1] == budget
    assert all(mark % every == 0 for mark in marks[:-1])
    for mark, found in zip(marks, at_marks(np.array(steps), np.array(values), marks), strict=True):
        # Walk along the run: the last value that was there by then.
        expected = None
        for step, value in zip(steps, values, strict=True):
            if step <= mark:
                expected = value
        assert np.isnan(found) if expected is None else found == expected


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(1, 25))
def test_means_of_the_last_episodes(values: list[float], window: int) -> None:
    for i, mean in enumerate(trailing_mean(np.array(values), window)):
        last = values[max(0, i + 1 - window) : i + 1]
        assert mean == pytest.approx(sum(last) / len(last), abs=1e-9)


def test_tidy_csv(tmp_path: Path, take: Any) -> None:
    rows: list[list[Any]] = [["run", "steps", "ret", "loss", "time"]]
    for seed in (4, 7):
        rows += [[seed, 10 * i, 20 + seed + 10 * i, None if i == 0 else 1 / (i + 1), 0.5 * i] for i in range(11)]
    write_csv(tmp_path / "runs.csv", rows)
    columns = {"seed": "run", "env_steps": "steps", "eval_return": "ret", "wall_seconds": "time"}
    done = take(write_mapping(tmp_path, {"files": "runs.csv", "columns": columns}))
    assert (done.code, done.err) == (0, "")
    assert "imported 2 runs" in done.out
    assert f"theirs on {TASK}: seeds 4, 7" in done.out
    run = stored(tmp_path / "results")["theirs", 7]
    assert run["curve"] == {
        "env_steps": [0, 25, 50, 75, 100],
        # Of the steps 0, 20, 50, 70 and 100: what was known by then.
        "eval_return": [27.0, 47.0, 77.0, 97.0, 127.0],
        "loss": [None, 1 / 3, 1 / 6, 1 / 8, 1 / 11],
        "wall_seconds": [0.0, 1.0, 2.5, 3.5, 5.0],
    }
    assert run["final"] == {"eval_return": 127.0, "score": 1.07}
    assert run["cost"] == {"env_steps_collected": 100, "wall_seconds": 5.0}
    assert run["references"] == REFERENCES
    assert run["information"]["footnote"] == "imported: not run by haepo-bench"
    imported = run["provenance"]["imported"]
    import hashlib

    assert imported["sha256"] == hashlib.sha256((tmp_path / "runs.csv").read_bytes()).hexdigest()
    assert imported["file"] == str(tmp_path / "runs.csv")
    assert imported["importer_version"] == 1


def test_monitor_files_of_one_run_are_merged_by_time(tmp_path: Path, take: Any) -> None:
    write_monitor(tmp_path / "ppo_3" / "0.monitor.csv", [20, 20, 20], [1.0, 3.0, 5.0], start=1000.0)
    write_monitor(tmp_path / "ppo_3" / "1.monitor.csv", [15, 25], [2.0, 4.0], start=1000.1)
    mapping = write_mapping(tmp_path, {"files": "{algorithm}_{seed}/*.monitor.csv", "algorithm": None, "window": 2})
    text = yaml.safe_load(mapping.read_text())
    text["sources"][0].pop("algorithm")
    mapping.write_text(yaml.safe_dump(text))
    done = take(mapping)
    assert done.code == 0, done.err
    run = stored(tmp_path / "results")["ppo", 3]
    # Ends after 1001.6, 1002.0, 1004.0, 1004.1, 1006.0: returns 2 1 3 4 5 after 15 35 55 80 100 steps.
    assert run["curve"]["env_steps"] == [0, 25, 50, 75, 100]
    assert run["curve"]["eval_return"] == [20.0, 2.0, 1.5, 2.0, 4.5]
    assert run["curve"]["episodes"] == [0, 1, 2, 3, 5]
    assert run["curve"]["wall_seconds"][-1] == pytest.approx(6.0)
    assert run["provenance"]["started"] == "1970-01-01T00:16:40+00:00"
    assert any("last 2 episodes" in note for note in run["notes"])
    assert any("random reference" in note for note in run["notes"])


def test_evaluations_are_of_the_greedy_policy(tmp_path: Path, take: Any) -> None:
    results = np.arange(12.0).reshape(4, 3)
    write_evaluations(tmp_path / "seed_1" / "evaluations.npz", [25, 50, 75, 100], results)
    done = take(write_mapping(tmp_path, {"files": "seed_{seed}/evaluations.npz", "start": "first"}))
    assert done.code == 0, done.err
    run = stored(tmp_path / "results")["theirs", 1]
    means = [results[0].mean(), *results.mean(axis=1)]
    assert run["curve"]["eval_return"] == run["curve"]["eval_return_greedy"] == means
    assert run["curve"]["eval_return_std"][1:] == pytest.approx(results.std(axis=1))
    assert run["settings"]["evaluation"]["policy"] == "greedy"
    assert "returns are those of the greedy policy" in run["notes"]


def test_files_that_stable_baselines3_wrote(tmp_path: Path, take: Any) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from stable_baselines3.common.monitor import Monitor, load_results

    path = tmp_path / "ppo" / "seed_0"
    env = Monitor(gymnasium.make("CartPole-v1"), str(path / "monitor.csv"))
    steps = 0
    while steps < 300:
        env.reset(seed=steps)
        over = False
        while not over:
            _, _, terminated, truncated, _ = env.step(steps % 2)
            over, steps = terminated or truncated, steps + 1
    env.close()
    theirs = load_results(str(path))
    done = take(
        path, "--suite", "sb3", "--task", TASK, "--algorithm", "ppo", "--budget", "200", "--every", "50"
    )  # the seed stands in the path
    assert done.code == 0, done.err
    run = stored(tmp_path / "results", "sb3")["ppo", 0]
    ends = theirs["l"].cumsum()
    by_mark = [theirs["r"][ends <= mark].tail(100).mean() for mark in (50, 100, 150, 200)]
    assert run["curve"]["eval_return"][1:] == pytest.approx(by_mark)


def test_tensorboard_event_files(tmp_path: Path, take: Any) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def log(points: list[tuple[int, float]], began: float) -> None:
        writer = EventFileWriter(str(tmp_path / "seed_5"), filename_suffix=f".{began:.0f}")
        for step, value in points:
            values = [Summary.Value(tag="rollout/ep_rew_mean", simple_value=value)]
            values += [Summary.Value(tag="train/loss", simple_value=2 * value)] if step else []
            writer.add_event(Event(step=step, wall_time=began + step, summary=Summary(value=values)))
        writer.close()

    log([(0, 1.0), (25, 2.0), (50, 3.0), (75, 99.0)], 1000.0)
    for path in (tmp_path / "seed_5").iterdir():  # the writer names files by the clock
        path.rename(path.with_name("events.out.tfevents.0001.first"))
    log([(60, 4.0), (100, 5.0)], 2000.0)  # begun again from a checkpoint at step 50
    columns = {"loss": "train/loss"}
    done = take(write_mapping(tmp_path, {"files": "seed_{seed}/events*", "columns": columns}))
    assert done.code == 0, done.err
    run = stored(tmp_path / "results")["theirs", 5]
    assert run["curve"]["eval_return"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert run["curve"]["loss"] == [None, 4.0, 6.0, 8.0, 10.0]
    assert run["provenance"]["imported"]["sha256"].count(",") == 1
    assert done.err == ""
    # A file that was cut off while it was written, and one with a flipped bit in the middle.
    whole = (tmp_path / "seed_5" / "events.out.tfevents.0001.first").read_bytes()
    for number, content in ((6, whole[:-9]), (7, whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])):
        (tmp_path / f"seed_{number}").mkdir()
        (tmp_path / f"seed_{number}" / "events.out.tfevents.1").write_bytes(content)
    said = {"files": "seed_{seed}/events*", "columns": columns, "short": "hold"}
    done = take(write_mapping(tmp_path, said), "--dry-run")
    assert done.code == 0, done.err
    said_of = [line.strip() for line in done.err.splitlines() if "cut off" in line]
    assert len(said_of) == 2
    for number, line in zip((6, 7), said_of, strict=True):
        # One event says which version the file is of.
        assert line.startswith(str(tmp_path / f"seed_{number}"))
        assert line.endswith("cut off or damaged after 4 events: read up to there")


def test_tensorboard_missing_names_the_extra(tmp_path: Path, take: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "seed_0").mkdir()
    (tmp_path / "seed_0" / "events.out.tfevents.1").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_file_loader", None)
    done = take(write_mapping(tmp_path, {"files": "seed_{seed}/events*"}))
    assert done.code == 4
    assert "haepo-bench[tensorboard]" in done.err


def test_trainer_state_as_trl_writes_it(tmp_path: Path, take: Any) -> None:
    history: list[dict[str, Any]] = [
        {"step": 10 * i, "reward": 1.0 + i, "loss": -0.1 * i, "epoch": 0.1 * i, "kl": 0.01 * i} for i in range(1, 6)
    ]
    history.append({"step": 50, "train_runtime": 12.0, "train_loss": 0.1})
    path = tmp_path / "grpo" / "seed_2" / "checkpoint-50" / "trainer_state.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"global_step": 50, "log_history": history}))
    source = {"files": "grpo/seed_{seed}/**/trainer_state.json", "step_size": 2, "columns": {"kl_previous": "kl"}}
    done = take(write_mapping(tmp_path, {**source, "start": "first"}))
    assert done.code == 0, done.err
    run = stored(tmp_path / "results")["theirs", 2]
    assert run["curve"]["eval_return"] == [2.0, 2.0, 3.0, 4.0, 6.0]
    assert run["curve"]["kl_previous"] == [None, 0.01, 0.02, 0.03, 0.05]
    assert "one logged step counts as 2 env steps" in run["notes"]


def test_json_lines_as_wandb_exports_them(tmp_path: Path, take: Any) -> None:
    lines = [
        {"_step": i, "_runtime": 0.5 * i, "_timestamp": 1e9, "train": {"reward": 3.0 * i}} for i in range(0, 101, 25)
    ]
    lines.insert(2, {"_step": 30, "_runtime": 15.0, "grad_norm": 0.1})
    (tmp_path / "seed-6.jsonl").write_text("\n".join(map(json.dumps, lines)))
    columns = {"eval_return": "train.reward", "gradient_norm": "grad_norm"}
    done = take(write_mapping(tmp_path, {"files": "*.jsonl", "columns": columns}))
    assert done.code == 0, done.err
    run = stored(tmp_path / "results")["theirs", 6]
    assert run["curve"]["eval_return"] == [0.0, 75.0, 150.0, 225.0, 300.0]
    assert run["curve"]["gradient_norm"] == [None, None, 0.1, 0.1, 0.1]
    assert run["curve"]["wall_seconds"] == [0.0, 12.5, 25.0, 37.5, 50.0]


def test_tidy_files_need_no_mapping(tmp_path: Path, take: Any) -> None:
    rows: list[list[Any]] = [["task", "algorithm", "seed", "env_steps", "eval_return"]]
    rows += [[TASK, name, seed, 10 * i, i + seed] for name in ("x", "y") for seed in (0, 1) for i in range(4)]
    done = take(write_csv(tmp_path / "all.csv", rows), "--suite", "mine")
    assert done.code == 0, done.err
    runs = stored(tmp_path / "results", "mine")
    assert set(runs) == {(name, seed) for name in "xy" for seed in (0, 1)}
    # All runs have the same steps: they are the marks.
    assert runs["y", 1]["curve"] == {"env_steps": [0, 10, 20, 30], "eval_return": [1.0, 2.0, 3.0, 4.0]}
    assert runs["y", 1]["references"] is None


def test_the_examples_of_the_documentation(tmp_path: Path) -> None:
    done = run_apart("import", str(EXAMPLE / "mapping.yaml"), cwd=tmp_path)
    assert done.code == 0, done.err
    report = run_apart("report", "results/elsewhere", "--format", "json", cwd=tmp_path)
    assert report.code == 0, report.err
    (task,) = json.loads(report.out)["suites"][0]["tasks"]
    found = {one["algorithm"]: one for one in task["algorithms"]}
    assert found["sb3-ppo"]["information"] == {"told": "per-step rewards", "critic": True, "discount": 0.99}
    assert found["mine"]["information"] == {"told": None, "critic": None, "discount": None}
    assert found["mine"]["final_return"]["mean"] == pytest.approx((290.0 + 335.0) / 2)
    assert found["mine"]["area_return"]["mean"] == pytest.approx(20 + (30 + 35) / 2 * 0.9 * 4.5)
    again = run_apart("import", str(EXAMPLE / "mapping.yaml"), cwd=tmp_path)
    assert "imported 0 runs to results/elsewhere, 4 already there" in again.out
    against = run_apart("compare", "results/elsewhere", "results/elsewhere", cwd=tmp_path)
    assert "2 identical" in against.out


def test_settings_hashes_follow_from_what_moves_numbers(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (50, 2.0), (100, 3.0)])
    source = {"files": "seed_{seed}.csv"}

    def hashes(**changes: Any) -> tuple[str, str]:
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        assert take(write_mapping(tmp_path, {**source, **changes.pop("source", {})}, **changes)).code == 0
        (run,) = stored(tmp_path / "results").values()
        return run["settings_hash"], run["code_hash"]

    first = hashes()
    assert hashes() == first
    assert hashes(description="other words") == first
    assert hashes(every=50)[0] != first[0]
    assert hashes(source={"start": "first"})[0] != first[0]
    assert hashes(algorithms={"theirs": {"parameters": {"lr": 1}}})[0] != first[0]
    other_code = hashes(algorithms={"theirs": {"code": "abc"}})
    assert other_code[0] == first[0]
    assert other_code[1] != first[1]


def test_runs_shorter_than_the_budget(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (50, 2.0), (100, 3.0)])
    write_curve(tmp_path / "seed_1.csv", [(0, 1.0), (50, 2.0), (75, 2.5)])
    write_curve(tmp_path / "seed_2.csv", [(0, 1.0), (50, 2.0), (76, 2.5)])  # a value in the last stretch is enough
    source = {"files": "seed_{seed}.csv"}
    done = take(write_mapping(tmp_path, source))
    assert done.code == 0
    assert "seed 1: interrupted: ends at 75 of 100 env steps" in done.err
    runs = stored(tmp_path / "results")
    assert [runs["theirs", seed]["status"] for seed in range(3)] == ["done", "interrupted", "done"]
    assert runs["theirs", 1]["curve"] == {}
    shutil.rmtree(tmp_path / "results")
    assert take(write_mapping(tmp_path, {**source, "short": "hold"})).code == 0
    held = stored(tmp_path / "results")["theirs", 1]
    assert (held["status"], held["curve"]["eval_return"][-1], held["cost"]["env_steps_collected"]) == ("done", 2.5, 75)
    shutil.rmtree(tmp_path / "results")
    done = take(write_mapping(tmp_path, {**source, "short": "error"}))
    assert done.code == 4
    assert "seed_1.csv: ends at 75 of 100 env steps" in done.err
    assert not (tmp_path / "results").exists()


def test_a_budget_nobody_says_is_where_all_runs_end(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (60, 2.0)])
    write_curve(tmp_path / "seed_1.csv", [(0, 1.0), (30, 1.5), (60, 2.0)])
    source = {"files": "seed_{seed}.csv"}
    assert take(write_mapping(tmp_path, source, budget=None, every=None)).code == 0
    # The steps differ, so a twentieth of the budget it is.
    assert stored(tmp_path / "results")["theirs", 0]["curve"]["env_steps"] == list(range(0, 61, 3))
    write_curve(tmp_path / "seed_1.csv", [(0, 1.0), (90, 2.0)])
    done = take(write_mapping(tmp_path, source, budget=None, every=None))
    assert done.code == 4
    assert "end at different steps" in done.err
    assert "seed_0.csv at 60" in done.err


def test_returns_that_are_not_finite(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (25, 2.0), (50, "nan"), (75, "inf"), (100, 5.0)])
    source = {"files": "seed_{seed}.csv"}
    done = take(write_mapping(tmp_path, source))
    assert done.code == 4
    assert "seed_0.csv:4: a return of nan at 50 env steps" in done.err
    assert "nan: diverged" in done.err
    assert take(write_mapping(tmp_path, {**source, "nan": "diverged"})).code == 0
    run = stored(tmp_path / "results")["theirs", 0]
    assert (run["status"], run["error"]["message"]) == ("diverged", "the return is not finite at 50 env steps")
    assert run["curve"]["eval_return"] == [1.0, 2.0, None, None, None]
    shutil.rmtree(tmp_path / "results")
    assert take(write_mapping(tmp_path, {**source, "nan": "missing"})).code == 0
    assert stored(tmp_path / "results")["theirs", 0]["curve"]["eval_return"] == [1.0, 2.0, 2.0, 2.0, 5.0]


BAD_FILES = {
    "empty": ("", "is empty"),
    "header only": ("env_steps,eval_return\n", "is empty: it has a header and no rows"),
    "unequal columns": ("env_steps,eval_return\n0,1\n5\n", "file.csv:3: has 1 cell, but the header names 2 columns"),
    "no number": ("env_steps,eval_return\n0,1\n5,much\n", "file.csv:3: 'much' in the column 'eval_return'"),
    "steps go back": ("env_steps,eval_return\n0,1\n9,2\n5,3\n", "file.csv:4: steps go back from 9 to 5"),
    "a step twice": ("env_steps,eval_return\n0,1\n5,2\n5,3\n", "file.csv:4: two returns at 5 env steps"),
    "a column twice": ("env_steps,eval_return,eval_return\n0,1,2\n", "names the column 'eval_return' twice"),
    "no return": ("env_steps,reward\n0,1\n", "no column that is known to be eval_return"),
    "which steps": ("step,global_step,eval_return\n0,0,1\n", "several columns that may be env_steps"),
    "negative steps": ("env_steps,eval_return\n-5,1\n", "-5 cannot be a number of env steps"),
    "nothing but gaps": ("env_steps,eval_return\n0,\n5,\n", "no return is known at any step"),
    "not text": ("\udcff\udcfe", "is not UTF-8 text"),
}


@pytest.mark.parametrize(("text", "says"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_named_with_their_line(tmp_path: Path, take: Any, text: str, says: str) -> None:
    (tmp_path / "file.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = take(write_mapping(tmp_path, {"files": "file.csv", "seed": 0}))
    assert (done.code, done.out) == (4, "")
    assert says in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "results").exists()


def test_other_formats_that_are_damaged(tmp_path: Path, take: Any) -> None:
    files: dict[str, bytes] = {
        "a/monitor.csv": b"r,l,t\n1,2,3\n",
        "b/evaluations.npz": b"PK nonsense",
        "c/trainer_state.json": b'{"log_history": [',
        "d/x.jsonl": b'{"step": 1}\n{"step": \n',
        "e/events.out.tfevents.1": b"nonsense and more nonsense",
    }
    formats = {"a": "monitor", "b": "evaluations", "c": "trainer-state", "d": "jsonl", "e": "tensorboard"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
        done = take(write_mapping(tmp_path, {"files": name, "seed": 0, "format": formats[name[0]]}))
        assert (done.code, done.out) == (4, ""), done
        assert str(tmp_path / name[0]) in done.err
        assert "Traceback" not in done.err


def test_the_same_seed_twice(tmp_path: Path, take: Any) -> None:
    for name in ("a", "b"):
        write_curve(tmp_path / name / "seed_0.csv", [(0, 1.0), (100, 3.0)])
    done = take(write_mapping(tmp_path, {"files": "*/seed_{seed}.csv"}))
    assert done.code == 4
    assert "b/seed_0.csv: theirs on gym/CartPole-v1, seed 0 is already in" in done.err
    assert "a/seed_0.csv" in done.err


def test_every_problem_of_a_mapping_with_its_line(tmp_path: Path, take: Any) -> None:
    (tmp_path / "mapping.yaml").write_text(
        "suite: bad name\nbudgett: 5\nsources:\n  - files: x.csv\n    window: 0\n    start: maybe\n"
    )
    done = take(tmp_path / "mapping.yaml")
    assert done.code == 4
    for says in (
        "4 problems in the mapping",
        "mapping.yaml:1: suite: 'bad name' cannot be a name",
        "mapping.yaml:2: budgett: unknown key",
        "did you mean 'budget'?",
        "mapping.yaml:5: sources[0].window: must be at least 1",
        "mapping.yaml:6: sources[0].start: must be",
    ):
        assert says in done.err, says


def test_what_a_mapping_names_must_be_there(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (100, 3.0)])
    good = {"files": "seed_{seed}.csv"}
    for sources, changes, says in [
        ([{"files": "nowhere/*.csv"}], {}, "no file matches 'nowhere/*.csv'"),
        ([{**good, "columns": {"loss": "looss"}}], {}, "has no column 'looss' for loss"),
        ([{**good, "algorithm": "a-{kind}"}], {}, "is called {kind}"),
        ([good], {"algorithms": {"thiers": {"code": "x"}}}, "no run is of 'thiers'"),
        ([{**good, "algorithm": "a b"}], {}, "'a b' cannot be a name"),
        ([{"files": "seed_0.csv", "seed": "1.5"}], {}, "'1.5' is not a seed"),
        ([{"files": "seed_*.csv", "format": "jsonl", "seed": 0}], {}, "is not JSON"),
        ([good], {"tasks": {TASK: {"references": {"random": 1, "solved": 1, "source": "x"}}}}, "no score can be made"),
        ([good], {"every": 1, "budget": 10**9}, "more than 10,000"),
    ]:
        done = take(write_mapping(tmp_path, *sources, **changes))
        assert done.code == 4, says
        assert says in done.err, done.err
        assert "Traceback" not in done.err
    assert not (tmp_path / "results").exists()


def test_command_line_mistakes(tmp_path: Path, take: Any) -> None:
    path = write_curve(tmp_path / "x" / "file.csv", [(0, 1.0), (100, 3.0)])
    write_monitor(tmp_path / "x" / "monitor.csv", [10], [1.0])
    mapping = write_mapping(tmp_path, {"files": "x/file.csv"})
    (tmp_path / "notes.txt").write_text("x")
    for arguments, says in [
        ([path], "--suite, --task and --algorithm"),
        ([path, "--suite", "s"], "the task of these runs is unknown"),
        ([path, "--suite", "s", "--task", TASK, "--algorithm", "a"], "the seed of these runs is unknown"),
        ([path, "--suite", "a/b", "--task", TASK], "--suite"),
        ([tmp_path / "x", "--suite", "s"], "several kinds: csv, monitor"),
        ([tmp_path / "notes.txt"], "cannot tell what kind of file"),
        ([tmp_path / "nowhere"], "no such file"),
        ([mapping, "--suite", "s"], "cannot be combined with --suite"),
        ([mapping, path], "cannot be combined with another path"),
    ]:
        done = take(*arguments)
        assert (done.code, done.out) == (4, ""), (says, done)
        assert says in done.err, done.err


def test_a_dry_run_writes_nothing(tmp_path: Path, take: Any) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (100, 3.0)])
    done = take(write_mapping(tmp_path, {"files": "seed_{seed}.csv"}), "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "would import 1 run" in done.out
    assert not (tmp_path / "results").exists()
