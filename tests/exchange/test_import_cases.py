"""`haepo-bench import` of files that once gave wrong numbers or were refused: each stands for its kind."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import Outcome
from import_support import stored, write_csv, write_curve, write_evaluations, write_monitor

TASK = "gym/X-v0"
SAID = ("--suite", "s", "--task", TASK, "--algorithm", "a")

Take = Callable[..., Outcome]


def runs(tmp_path: Path) -> dict[int, dict[str, Any]]:
    return {seed: run for (_, seed), run in stored(tmp_path / "results", "s").items()}


def curve(tmp_path: Path, name: str = "eval_return") -> list[Any]:
    (run,) = runs(tmp_path).values()
    assert run["status"] == "done"
    return run["curve"][name]  # type: ignore[no-any-return]


# Values beyond the budget


def beyond(folder: Path, form: str) -> Path:
    """A run of which the first return is known at 110 env steps."""
    if form == "csv":
        return write_curve(folder / "f.csv", [(110, 7), (120, 9)])
    if form == "jsonl":
        path = folder / "f.jsonl"
        path.write_text('{"step": 110, "eval_return": 7}\n{"step": 120, "eval_return": 9}\n')
        return path
    if form == "trainer-state":
        path = folder / "trainer_state.json"
        path.write_text(json.dumps({"log_history": [{"step": 110, "reward": 7}, {"step": 120, "reward": 9}]}))
        return path
    if form == "monitor":
        return write_monitor(folder / "monitor.csv", [110, 10], [7.0, 9.0])
    if form == "evaluations":
        return write_evaluations(folder / "evaluations.npz", [110, 120], [[7.0], [9.0]])
    if form == "progress":
        path = folder / "progress.txt"
        path.write_text("TotalEnvInteracts\tAverageEpRet\n110\t7\n120\t9\n")
        return path
    path = folder / "result.json"
    path.write_text(
        '{"timesteps_total": 110, "episode_reward_mean": 7}\n{"timesteps_total": 120, "episode_reward_mean": 9}\n'
    )
    return path


@pytest.mark.parametrize("form", ["csv", "jsonl", "trainer-state", "monitor", "evaluations", "progress", "rllib"])
@pytest.mark.parametrize("start", ["random", "first"])
def test_a_run_that_logged_nothing_within_the_budget_has_no_result(
    tmp_path: Path, take: Take, form: str, start: str
) -> None:
    path = beyond(tmp_path, form)
    said = (path, *SAID, "--seed", 0, "--budget", 100, "--every", 50, "--start", start)
    done = take(*said)
    assert done.code == 0, done.err
    assert "logged nothing within the budget of 100 env steps: its first return is at 110" in done.err
    assert (runs(tmp_path)[0]["status"], runs(tmp_path)[0]["curve"]) == ("interrupted", {})
    for short in ("hold", "error"):
        refused = take(*said, "--short", short, "--results", tmp_path / "other")
        assert refused.code == 4
        assert "logged nothing within the budget" in refused.err


def test_the_seed_of_such_a_run_from_a_column(tmp_path: Path, take: Take) -> None:
    write_csv(tmp_path / "f.csv", [["seed", "env_steps", "eval_return"], [0, 110, 7], [0, 120, 9]])
    assert take(tmp_path / "f.csv", *SAID, "--budget", 100, "--every", 50).code == 0
    assert runs(tmp_path)[0]["status"] == "interrupted"


# Files of Monitor


def seeds_in_a_folder(folder: Path) -> None:
    for seed in range(3):
        write_monitor(folder / f"seed_{seed}.monitor.csv", [5, 5], [float(seed)] * 2, start=1.0)


def test_monitor_files_that_name_seeds_are_runs(tmp_path: Path, take: Take) -> None:
    seeds_in_a_folder(tmp_path / "seeds")
    done = take(tmp_path / "seeds", *SAID)
    assert done.code == 0, done.err
    assert {seed: run["final"]["eval_return"] for seed, run in runs(tmp_path).items()} == {0: 0.0, 1: 1.0, 2: 2.0}
    # One seed for all of them is a mistake.
    done = take(tmp_path / "seeds", *SAID, "--seed", 0)
    assert done.code == 4
    assert "a seed counts once" in done.err


def test_monitor_files_that_name_seeds_in_a_mapping(tmp_path: Path, take: Take) -> None:
    seeds_in_a_folder(tmp_path / "seeds")
    mapping = tmp_path / "m.yaml"
    mapping.write_text(f"suite: s\nsources:\n  - files: seeds/*.monitor.csv\n    task: {TASK}\n    algorithm: a\n")
    assert take(mapping).code == 0
    assert {seed: run["final"]["eval_return"] for seed, run in runs(tmp_path).items()} == {0: 0.0, 1: 1.0, 2: 2.0}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("0", "1"), 0),
        (("env_0", "env_1"), 0),
        (("0.0", "0.1"), 0),
        (("ppo_0", "ppo_1"), 4),
        (("train", "eval"), 4),
        (("0", "eval"), 4),
    ],
)
def test_monitor_files_are_environments_only_where_they_are_called_so(
    tmp_path: Path, take: Take, names: tuple[str, str], code: int
) -> None:
    for name in names:
        write_monitor(tmp_path / "seed_4" / f"{name}.monitor.csv", [5, 5], [1.0, 2.0])
    done = take(tmp_path / "seed_4", *SAID, "--budget", 20, "--every", 10)
    assert done.code == code, done.err
    assert code == 0 or "environments of one run, or runs?" in done.err
    # Whoever says the seed says that files that differ in a number are its environments.
    said = take(tmp_path / "seed_4", *SAID, "--budget", 20, "--every", 10, "--seed", 4)
    assert said.code == (4 if "eval" in names else 0), said.err


def monitor_text(*sessions: tuple[float | None, list[tuple[float, float, float]]]) -> str:
    """Sessions of Monitor files below each other: when the clock began (None without a header) and r, l, t."""
    lines = []
    for start, episodes in sessions:
        if start is not None:
            lines += [json.dumps({"t_start": start, "env_id": "X"}).join(["#", ""]), "r,l,t"]
        lines += [f"{r},{n},{t}" for r, n, t in episodes]
    return "\n".join(lines) + "\n"


FIRST = [(float(i), 10, 100.0 * i) for i in range(1, 6)]
SECOND = [(float(i), 10, 90.0 * (i - 5)) for i in range(6, 11)]


@pytest.mark.parametrize(
    ("second_header", "clock"),
    [(None, 500.0), (1_000_700.0, 700.0), (0.0, 500.0)],
    ids=["no header", "a later header", "a header without a time"],
)
def test_a_resumed_monitor_file_is_in_the_order_of_the_file(
    tmp_path: Path, take: Take, second_header: float | None, clock: float
) -> None:
    path = tmp_path / "monitor.csv"
    path.write_text(monitor_text((1_000_000.0, FIRST), (second_header, SECOND)))
    done = take(path, *SAID, "--seed", 0, "--window", 1, "--budget", 100, "--every", 10)
    assert done.code == 0, done.err
    assert curve(tmp_path)[1:] == [float(i) for i in range(1, 11)]
    seconds = [t for _, _, t in FIRST] + [clock + t for _, _, t in SECOND]
    assert curve(tmp_path, "wall_seconds") == [0.0, *seconds]
    assert curve(tmp_path, "episodes") == list(range(11))


def test_environments_that_were_resumed_together(tmp_path: Path, take: Take) -> None:
    for name, shift in (("0", 0.0), ("1", 5.0)):
        sessions = [[(r + shift, n, t + shift) for r, n, t in episodes] for episodes in (FIRST, SECOND)]
        (tmp_path / f"{name}.monitor.csv").write_text(monitor_text((1000.0, sessions[0]), (None, sessions[1])))
    done = take(tmp_path, *SAID, "--seed", 0, "--window", 1, "--budget", 200, "--every", 10)
    assert done.code == 0, done.err
    # Within each session by time, and no episode of the second before one of the first.
    assert curve(tmp_path)[1:] == [value for i in range(1, 11) for value in (float(i), i + 5.0)]


def test_environments_of_which_only_one_was_resumed_have_no_order(tmp_path: Path, take: Take) -> None:
    (tmp_path / "0.monitor.csv").write_text(monitor_text((1000.0, FIRST), (None, SECOND)))
    (tmp_path / "1.monitor.csv").write_text(monitor_text((1000.0, FIRST)))
    done = take(tmp_path, *SAID, "--seed", 0)
    assert done.code == 4
    assert "resumed 0 times here and 1 times in" in done.err


def test_an_episode_that_is_missing_spoils_no_window(tmp_path: Path, take: Take) -> None:
    returns = [float("nan"), *map(float, range(1, 150))]
    write_monitor(tmp_path / "monitor.csv", [10] * 150, returns)
    said = (tmp_path / "monitor.csv", *SAID, "--seed", 0, "--budget", 1500, "--every", 100)
    assert take(*said, "--nan", "missing").code == 0
    found = curve(tmp_path)
    expected = [np.mean(returns[1 : 10 * mark][-100:]) for mark in range(1, 16)]
    assert found[1:] == pytest.approx(expected, abs=1e-12)
    assert found[1] == 5.0
    # It took place all the same.
    assert curve(tmp_path, "episodes") == [10 * mark for mark in range(16)]
    assert "a return of nan at 10 env steps" in take(*said).err


def test_an_evaluation_with_a_missing_episode_is_that_of_the_others(tmp_path: Path, take: Take) -> None:
    results = [[1.0, float("nan")], [2.0, 4.0], [float("nan"), float("inf")]]
    write_evaluations(tmp_path / "evaluations.npz", [0, 10, 20], results)
    assert take(tmp_path, *SAID, "--seed", 0, "--nan", "missing", "--budget", 20, "--every", 10).code == 0
    run = runs(tmp_path)[0]
    assert (run["status"], run["error"]["message"]) == ("interrupted", "ends at 10 of 20 env steps")
    done = take(*(tmp_path, *SAID, "--seed", 0, "--nan", "missing", "--short", "hold", "--budget", 30, "--every", 10))
    assert done.code == 0, done.err
    held = next(run for run in stored(tmp_path / "results", "s").values() if run["status"] == "done")
    assert held["curve"]["eval_return"] == [1.0, 3.0, 3.0, 3.0]


# Names that stand for two values


@pytest.mark.parametrize(
    "line",
    [
        '{"env_steps": 10, "eval.r": 1, "eval": {"r": 9}}',
        '{"env_steps": 10, "eval": {"r": 9}, "eval.r": 1}',
        '{"env_steps": 10, "eval.r": 1, "eval.r": 9}',
        '{"env_steps": 10, "eval": {"r": 1, "r": 9}}',
        '{"env_steps": 10, "eval.r": 1, "eval": {"r": NaN}}',
    ],
)
def test_a_name_with_two_values_is_refused(tmp_path: Path, take: Take, line: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(f'{{"env_steps": 5, "eval.r": 3}}\n{line}\n')
    done = take(path, *SAID, "--seed", 0, "--column", "return=eval.r")
    assert done.code == 4
    assert f"{path}:2: has two values of the name 'eval.r'" in done.err
    # What is not read may be ambiguous.
    path.write_text(line.replace("env_steps", "eval_return").replace("{", '{"env_steps": 3, ', 1) + "\n")
    assert take(path, *SAID, "--seed", 0).code == 0


# Valid files


def test_results_with_a_last_axis_of_one(tmp_path: Path, take: Take) -> None:
    results = np.arange(6.0).reshape(2, 3, 1)
    write_evaluations(tmp_path / "evaluations.npz", [10, 20], results)
    assert take(tmp_path / "evaluations.npz", *SAID, "--seed", 0).code == 0
    assert curve(tmp_path)[1:] == [1.0, 4.0]
    assert curve(tmp_path, "eval_return_std")[1:] == pytest.approx([np.std([0, 1, 2]), np.std([3, 4, 5])])


@pytest.mark.parametrize("text", ['#{"t_start": 1.0, "env_id": "X"}\nr,l,t\n', '#{"t_start": 1.0}\n', ""])
def test_an_environment_that_finished_no_episode(tmp_path: Path, take: Take, text: str) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [5, 5], [1.0, 3.0])
    (tmp_path / "1.monitor.csv").write_text(text)
    done = take(tmp_path, *SAID, "--seed", 0)
    assert done.code == 0, done.err
    assert runs(tmp_path)[0]["final"]["eval_return"] == 2.0
    (tmp_path / "0.monitor.csv").write_text(text)
    assert "it has no finished episode" in take(tmp_path, *SAID, "--seed", 0).err


@pytest.mark.parametrize("header", ['# {"t_start": 1.0, "env_id": "X"} ', '\ufeff#{"t_start": 1.0}', "#\t{}"])
def test_headers_of_monitor_files(tmp_path: Path, take: Take, header: str) -> None:
    (tmp_path / "0.monitor.csv").write_text(f"{header}\nr,l,t\n1.0,5,1.0\n2.0,5,2.0")
    done = take(tmp_path / "0.monitor.csv", *SAID, "--seed", 0)
    assert done.code == 0, done.err
    assert runs(tmp_path)[0]["final"]["eval_return"] == 1.5


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\u00a0"])
def test_json_lines_end_where_json_says(tmp_path: Path, take: Take, character: str) -> None:
    lines = [f'{{"env_steps": {step}, "eval_return": {step / 10}, "note": "a{character}b"}}' for step in (10, 20)]
    (tmp_path / "f.jsonl").write_text("\r\n".join(lines), encoding="utf-8", newline="")
    done = take(tmp_path / "f.jsonl", *SAID, "--seed", 0)
    assert done.code == 0, done.err
    assert curve(tmp_path)[1:] == [1.0, 2.0]


def test_a_cell_of_any_size(tmp_path: Path, take: Take) -> None:
    weights = ",".join(str(i) for i in range(40_000))
    (tmp_path / "f.csv").write_text(f'env_steps,eval_return,weights\n10,1,"{weights}"\n20,2,""\n')
    assert take(tmp_path / "f.csv", *SAID, "--seed", 0).code == 0
    assert curve(tmp_path)[1:] == [1.0, 2.0]


def test_rows_that_are_nan_throughout(tmp_path: Path, take: Take) -> None:
    path = tmp_path / "f.jsonl"
    good = [f'{{"seed": 3, "global_step": {step}, "eval_return": {step / 10}, "loss": 1.0}}' for step in (10, 20)]
    path.write_text("\n".join(['{"global_step": NaN, "eval_return": NaN, "loss": 0.5, "seed": NaN}', *good]))
    done = take(path, *SAID, "--nan", "missing")
    assert done.code == 0, done.err
    assert curve(tmp_path)[1:] == [1.0, 2.0]
    assert set(runs(tmp_path)) == {3}
    path.write_text("\n".join(['{"global_step": NaN, "eval_return": NaN, "seed": 3}', *good]))
    refused = take(path, *SAID)
    assert refused.code == 4
    assert "nan cannot be a number of env steps" in refused.err
    assert "nan: missing" in refused.err


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63 - 1, 0])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_large_seeds_are_kept_to_the_last_digit(tmp_path: Path, take: Take, seed: int, form: str) -> None:
    path = tmp_path / f"f.{form}"
    lines = [f"{seed},{step},{step / 10}" for step in (10, 20)]
    objects = [f'{{"seed": {seed}, "env_steps": {step}, "eval_return": 1}}' for step in (10, 20)]
    path.write_text("\n".join(["seed,env_steps,eval_return", *lines] if form == "csv" else objects))
    done = take(path, *SAID)
    assert done.code == 0, done.err
    assert set(runs(tmp_path)) == {seed}


@pytest.mark.parametrize("text", ["9223372036854775808", "-1", "1.5", "nan", "1e400000000", "x"])
def test_seeds_that_are_none(tmp_path: Path, take: Take, text: str) -> None:
    write_csv(tmp_path / "f.csv", [["seed", "env_steps", "eval_return"], [text, 10, 1]])
    done = take(tmp_path / "f.csv", *SAID)
    assert done.code == 4
    assert f"'{text}' is not a seed" in done.err


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ('"Step","run;lr=1;b=2 - eval_return"', "{0},{1}"),
        ('"Step","run\tlr=1\tb=2 - eval_return"', "{0},{1}"),
        ('"Step";"run, lr=1, b=""2"", c - eval_return"', "{0};{1}"),
        ('"Step","run\n;;; - eval_return"', "{0},{1}"),
        ('"Step","run - eval_return","run - eval_return__MIN"', "{0},{1},9"),
        ('5" gun,6;7;8,env_steps,eval_return', "0,0,{0},{1}"),
    ],
)
def test_separators_within_quotes_are_none(tmp_path: Path, take: Take, header: str, row: str) -> None:
    lines = [header, *(row.format(step, step / 10) for step in (10, 20))]
    (tmp_path / "f.csv").write_text("\n" + "\n".join(lines))
    done = take(tmp_path / "f.csv", *SAID, "--seed", 0)
    assert done.code == 0, done.err
    assert curve(tmp_path)[1:] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("env_steps,eval_return,,", "{0},{1},,"),
        ("env_steps,eval_return,,", "{0},{1}"),
        ("env_steps,eval_return", "{0},{1},"),
        (",env_steps,eval_return", "7,{0},{1}"),
        (",env_steps,,eval_return", "7,{0},8,{1}"),
    ],
)
def test_columns_without_a_name(tmp_path: Path, take: Take, header: str, row: str) -> None:
    lines = [header, *(row.format(step, step / 10) for step in (10, 20))]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    done = take(tmp_path / "f.csv", *SAID, "--seed", 0)
    assert done.code == 0, done.err
    assert curve(tmp_path)[1:] == [1.0, 2.0]


@pytest.mark.parametrize("text", ["env_steps,eval_return\n10,1,5\n", "env_steps,,eval_return\n10,5\n", ",,\n1,2,3\n"])
def test_rows_that_do_not_fit_the_header(tmp_path: Path, take: Take, text: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    assert take(tmp_path / "f.csv", *SAID, "--seed", 0).code == 4


def test_a_large_window_needs_little_memory() -> None:
    from haepo_bench.exchange import sb3

    values = np.random.default_rng(0).normal(size=1000)
    whole = sb3.trailing_mean(values, 300)
    before, sb3._BLOCK = sb3._BLOCK, 4 * 300
    try:
        assert np.array_equal(sb3.trailing_mean(values, 300), whole)
    finally:
        sb3._BLOCK = before
    assert whole[-1] == pytest.approx(values[-300:].mean())


def test_npz_bytes_are_read_from_memory_alone(tmp_path: Path, take: Take) -> None:
    file = io.BytesIO()
    np.savez(file, timesteps=[10, 20], results=np.zeros((2, 0)))
    (tmp_path / "evaluations.npz").write_bytes(file.getvalue())
    assert "holds no evaluation" in take(tmp_path / "evaluations.npz", *SAID, "--seed", 0).err


@pytest.mark.parametrize("name", ["f.csv", "f.json", "evaluations.npz", "monitor.csv", "events.out.tfevents.1"])
def test_a_named_pipe_is_no_file(tmp_path: Path, take: Take, name: str) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x" / name)
    for path in (tmp_path / "x", tmp_path / "x" / name):
        done = take(path, *SAID, "--seed", 0)
        assert done.code == 4
        assert "regular file" in done.err
