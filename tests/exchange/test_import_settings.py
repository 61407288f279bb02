"""How files are read: the same settings as options of `haepo-bench import` and as keys of a mapping's source."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_support import Outcome, run_here
from import_support import stored, write_csv, write_curve, write_evaluations, write_monitor

from haepo_bench.exchange.mapping import Settings

TASK = "gym/X-v0"
SAID = ("--suite", "s", "--task", TASK, "--algorithm", "a")

Take = Callable[..., Outcome]


def runs(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    return stored(results, "s")


def options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of the command."""
    words: list[str] = []
    for name, value in settings.items():
        pairs = [f"{a}={b}" for a, b in value.items()] if isinstance(value, dict) else [str(value)]
        words += [word for pair in pairs for word in (f"--{name.replace('_', '-').removesuffix('s')}", pair)]
    return words


@pytest.fixture
def both(tmp_path: Path, take: Take) -> Callable[..., dict[tuple[str, int], dict[str, Any]]]:
    """Imports files by options and by a mapping, which must give the same runs, and gives those."""

    def run(files: str, settings: dict[str, Any], *, said: dict[str, Any] | None = None) -> Any:
        said = {"task": TASK, "algorithm": "a", "seed": 0} | (said or {})
        said = {name: value for name, value in said.items() if value is not None}
        paths = sorted(path for path in tmp_path.glob(files) if path.suffix != ".yaml")
        number = len(list(tmp_path.glob("by-*")))
        done = take(
            *paths, "--suite", "s", *options(said), *options(settings), "--results", tmp_path / f"by-options-{number}"
        )
        assert done.code == 0, done.err
        mapping = tmp_path / "m.yaml"
        mapping.write_text(yaml.safe_dump({"suite": "s", "sources": [{"files": files, **said, **settings}]}))
        done = take(mapping, "--results", tmp_path / f"by-mapping-{number}")
        assert done.code == 0, done.err
        found = [runs(tmp_path / f"by-{how}-{number}") for how in ("options", "mapping")]
        for kind in found:
            for record in kind.values():
                record["provenance"]["imported"].pop("file")
        assert found[0] == found[1]
        return found[0]

    return run


def test_every_setting_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_here(capsys, "import", "--help").out
    for name in Settings.model_fields:
        option = {"columns": "column"}.get(name, name).replace("_", "-")
        assert f"--{option} " in shown, option


@pytest.mark.parametrize(("which", "expected"), [("first", [1, 3]), ("last", [2, 8]), ("mean", [1.5, 6])])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_repeated_steps(tmp_path: Path, take: Take, both: Any, which: str, expected: list[float], form: str) -> None:
    points = [(10, 1), (10, 2), (20, 3), (20, 7), (20, 8)]
    if form == "csv":
        write_csv(tmp_path / "f.csv", [["env_steps", "eval_return", "loss"], *[(s, v, v / 2) for s, v in points]])
    else:
        lines = [json.dumps({"env_steps": s, "eval_return": v, "loss": v / 2}) for s, v in points]
        (tmp_path / "f.jsonl").write_text("\n".join(lines))
    (run,) = both(f"f.{form}", {"repeated": which}).values()
    assert run["curve"]["eval_return"][1:] == expected
    assert run["curve"]["loss"][1:] == [value / 2 for value in expected]
    refused = take(tmp_path / f"f.{form}", *SAID, "--seed", 0)
    assert refused.code == 4
    assert "two returns at 10 env steps" in refused.err
    assert "repeated: first" in refused.err


def test_runs_in_several_folders_that_continue(tmp_path: Path, both: Any) -> None:
    """The second part goes on from a checkpoint at step 50; its clock begins again, its count of episodes goes on."""
    header = ["env_steps", "eval_return", "episodes", "wall_seconds"]
    write_csv(tmp_path / "PPO_9" / "f.csv", [header, [25, 1, 2, 10], [50, 2, 4, 20], [75, 99, 9, 30], [90, 99, 9, 36]])
    write_csv(tmp_path / "PPO_10" / "f.csv", [header, [75, 3, 6, 5], [100, 4, 8, 15]])
    (run,) = both("PPO_*/f.csv", {"resumed": "continued", "start": "first"}).values()
    assert run["curve"] == {
        "env_steps": [0, 25, 50, 75, 100],
        "eval_return": [1, 1, 2, 3, 4],
        "episodes": [0, 2, 4, 6, 8],
        "wall_seconds": [0, 10, 20, 25, 35],
    }
    assert run["provenance"]["imported"]["sha256"].count(", ") == 1
    assert "runs that were resumed are one, their steps continued" in run["notes"]


def test_runs_in_several_files_that_restart(tmp_path: Path, both: Any) -> None:
    header = ["env_steps", "eval_return", "episodes"]
    write_csv(tmp_path / "PPO_9.csv", [header, [0, 0, 0], [25, 1, 2], [50, 2, 4]])
    write_csv(tmp_path / "PPO_10.csv", [header, [0, 2.5, 0], [25, 3, 2], [50, 4, 4]])
    (run,) = both("PPO_*.csv", {"resumed": "restarted"}).values()
    assert run["curve"] == {
        "env_steps": [0, 25, 50, 75, 100],
        # The policy at the end of the first part is that at the start of the second.
        "eval_return": [0, 1, 2.5, 3, 4],
        "episodes": [0, 2, 4, 6, 8],
    }


def test_steps_that_go_back_within_a_file(tmp_path: Path, take: Take, both: Any) -> None:
    write_curve(tmp_path / "f.csv", [(0, 0), (10, 1), (20, 9), (15, 2), (25, 3)])
    (run,) = both("f.csv", {"resumed": "continued"}).values()
    assert (run["curve"]["env_steps"], run["curve"]["eval_return"]) == ([0, 10, 15, 25], [0, 1, 2, 3])
    (run,) = both("f.csv", {"resumed": "restarted"}).values()
    assert (run["curve"]["env_steps"], run["curve"]["eval_return"]) == ([0, 10, 20, 35, 45], [0, 1, 9, 2, 3])
    # Steps that begin again leave nothing to continue from.
    write_curve(tmp_path / "g.csv", [(0, 0), (10, 1), (0, 2), (10, 3)])
    done = take(tmp_path / "g.csv", *SAID, "--seed", 0, "--resumed", "continued")
    assert done.code == 4
    assert "g.csv:4: goes on at step 0, before anything that was logged" in done.err
    assert "resumed: restarted" in done.err


@pytest.mark.parametrize("resumed", ["continued", "restarted"])
def test_monitor_files_of_several_folders_add_up(tmp_path: Path, both: Any, resumed: str) -> None:
    write_monitor(tmp_path / "PPO_1" / "monitor.csv", [10, 10], [1.0, 2.0], start=1000.0)
    write_monitor(tmp_path / "PPO_2" / "monitor.csv", [10, 10], [3.0, 4.0], start=5000.0)
    (run,) = both("PPO_*/monitor.csv", {"resumed": resumed, "window": 3, "start": "first"}).values()
    assert run["curve"]["env_steps"] == [0, 10, 20, 30, 40]
    # The window reaches over the parts.
    assert run["curve"]["eval_return"] == [1, 1, 1.5, 2, 3]
    assert run["curve"]["episodes"] == [0, 1, 2, 3, 4]
    assert run["curve"]["wall_seconds"] == [0, 1, 2, 3, 4]


def test_parts_are_those_of_their_own_seed(tmp_path: Path, both: Any) -> None:
    for part in (1, 2):
        rows = [[seed, step, 100 * part + 10 * seed + step] for seed in (0, 1) for step in (5, 10)]
        write_csv(tmp_path / f"part{part}.csv", [["seed", "env_steps", "eval_return"], *rows])
    found = both("part*.csv", {"resumed": "restarted"}, said={"seed": None})
    assert {seed: run["curve"]["eval_return"][1:] for (_, seed), run in found.items()} == {
        0: [105, 110, 205, 210],
        1: [115, 120, 215, 220],
    }


def test_other_names_for_algorithms_and_tasks(tmp_path: Path, take: Take, both: Any) -> None:
    rows = [["CartPole 1", name, 0, step, step] for name in ("DQN (Nature)", "lr=1", "c51") for step in (5, 10)]
    path = write_csv(tmp_path / "f.csv", [["task", "algorithm", "seed", "env_steps", "eval_return"], *rows])
    rename = {"DQN (Nature)": "dqn", "lr=1": "fast", "CartPole 1": "gym/CartPole-v1"}
    found = both("f.csv", {"rename": rename}, said={"task": None, "algorithm": None, "seed": None})
    assert {(name, run["task"]) for (name, _), run in found.items()} == {
        (name, "gym/CartPole-v1") for name in ("dqn", "fast", "c51")
    }
    for pairs, says in [
        ({**rename, "DQN": "x"}, "no algorithm or task is called 'DQN'"),
        ({**rename, "c51": "dqn"}, "'DQN (Nature)' and 'c51' are the same algorithm here"),
        ({**rename, "c51": "a b"}, "'a b' cannot be a name of an algorithm"),
        ({"lr=1": "fast"}, "'CartPole 1' cannot be an address of a task"),
    ]:
        done = take(path, "--suite", "s", *options({"rename": pairs}))
        assert done.code == 4, says
        assert says in done.err, done.err
    mapping = tmp_path / "m.yaml"
    renames = {**rename, "x": "y"}
    mapping.write_text(f"suite: s\nsources:\n  - files: f.csv\n    rename: {json.dumps(renames)}\n")
    assert "m.yaml:4: sources[0].rename: no algorithm or task is called 'x'" in take(mapping).err


def test_names_that_are_none_here_are_changed_and_said(tmp_path: Path, take: Take) -> None:
    names = {"DQN (Nature)": "DQN-Nature", "org/model-7b": "org-model-7b", "PPO + λ": "PPO", "c51": "c51"}
    rows = [[name, 0, step, step] for name in names for step in (5, 10)]
    path = write_csv(tmp_path / "f.csv", [["algorithm", "seed", "env_steps", "eval_return"], *rows])
    done = take(path, "--suite", "s", "--task", TASK)
    assert done.code == 0
    found = runs(tmp_path / "results")
    assert {run["information"]["label"]: name for (name, _), run in found.items()} == names
    for theirs, ours in names.items():
        assert (f"'{theirs}' is called {ours}" in done.err) == (theirs != "c51")
    # Two that would be called alike, in one file or in two, are told apart by hand.
    (tmp_path / "g.csv").write_text(path.read_text().replace("c51", "DQN [Nature]"))
    assert "are the same algorithm here" in take(tmp_path / "g.csv", "--suite", "s", "--task", TASK).err
    (tmp_path / "g.csv").write_text(path.read_text().replace("DQN (Nature),0", "DQN-Nature,1"))
    write_csv(tmp_path / "g.csv", [["algorithm", "seed", "env_steps", "eval_return"], ["DQN-Nature", 1, 10, 1]])
    done = take(path, tmp_path / "g.csv", "--suite", "s", "--task", TASK, "--budget", 10)
    assert done.code == 4
    assert "would be called DQN-Nature" in done.err
    # A name of nothing but other letters is left to the user, and so is what the user says.
    write_csv(tmp_path / "h.csv", [["algorithm", "seed", "env_steps", "eval_return"], ["強化", 1, 10, 1]])
    assert "--rename '強化=a-name'" in take(tmp_path / "h.csv", "--suite", "s", "--task", TASK).err


def test_columns_on_the_command_line(tmp_path: Path, take: Take, both: Any) -> None:
    write_csv(tmp_path / "f.csv", [["t", "mean_return", "l"], [10, 1, 0.5], [20, 2, 0.25]])
    (run,) = both("f.csv", {"columns": {"return": "mean_return", "steps": "t", "loss": "l"}}).values()
    assert run["curve"]["eval_return"][1:] == [1, 2]
    assert run["curve"]["loss"] == [None, 0.5, 0.25]
    said = (tmp_path / "f.csv", *SAID, "--seed", 0)
    for words, says in [
        (["--column", "return"], "--column: 'return' is not two names"),
        (["--column", "=x"], "--column: '=x' is not two names"),
        (["--column", "return=t", "--column", "return=l"], "--column: 'return' comes twice"),
        (["--column", "return=t", "--column", "eval_return=l"], "--column: "),
        (["--column", "Return=t"], "--column: "),
        (["--column", "return=x"], "has no column 'x' for eval_return"),
        (["--window", "0"], "--window: must be at least 1"),
        (["--nan", "ignore"], "--nan: must be 'error', 'diverged' or 'missing'"),
        (["--format", "xlsx"], "--format: must be"),
        (["--step-size", "0"], "--step-size: must be more than 0"),
        (["--rename", "x"], "--rename: 'x' is not two names"),
    ]:
        done = take(*said, *words)
        assert (done.code, done.out) == (4, ""), words
        assert says in done.err, done.err
    mapping = tmp_path / "m.yaml"
    assert "cannot be combined with --window" in take(mapping, "--window", 3).err


NUMBERS = {
    ",": [("1.000", "0,5", 1000, 0.5), ("2.000", "-1.234,5", 2000, -1234.5), ("3 000,0", "1,5e-3", 3000, 0.0015)],
    ".": [("1,000", "0.5", 1000, 0.5), ("2,000", "-1,234.5", 2000, -1234.5), ("3'000", ".25", 3000, 0.25)],
}


@pytest.mark.parametrize("decimal", NUMBERS)
def test_decimal_signs(tmp_path: Path, take: Take, both: Any, decimal: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text("env_steps;eval_return\n" + "".join(f"{step};{value}\n" for step, value, _, _ in NUMBERS[decimal]))
    (run,) = both("f.csv", {"decimal": decimal}).values()
    assert run["curve"]["env_steps"][1:] == [step for _, _, step, _ in NUMBERS[decimal]]
    assert run["curve"]["eval_return"][1:] == [value for _, _, _, value in NUMBERS[decimal]]
    done = take(path, *SAID, "--seed", 0)
    assert done.code == 4
    assert "is not a number" in done.err
    assert "--decimal" in done.err


@pytest.mark.parametrize(
    ("decimal", "text"), [(",", "1.5"), (",", "1.23.456"), (".", "1,5"), (".", "1,2345"), (",", "x")]
)
def test_numbers_that_are_none(tmp_path: Path, take: Take, decimal: str, text: str) -> None:
    (tmp_path / "f.csv").write_text(f"env_steps;eval_return\n10;{text}\n")
    done = take(tmp_path / "f.csv", *SAID, "--seed", 0, "--decimal", decimal)
    assert done.code == 4
    assert f"'{text}' in the column 'eval_return' is not a number" in done.err


@pytest.mark.parametrize("folder", ["runs [ppo]", "[ab]", "a]b", "x [1] [2]"])
def test_brackets_in_the_name_of_a_folder(tmp_path: Path, take: Take, folder: str) -> None:
    for seed in (0, 1):
        write_curve(tmp_path / folder / f"seed_{seed}.csv", [(10, seed), (20, seed)])
    mapping = tmp_path / "m.yaml"
    source = {"files": f"{folder}/seed_{{seed}}.csv", "task": TASK, "algorithm": "a"}
    mapping.write_text(yaml.safe_dump({"suite": "s", "sources": [source]}))
    done = take(mapping)
    assert done.code == 0, done.err
    assert {seed for _, seed in runs(tmp_path / "results")} == {0, 1}
    assert take(tmp_path / folder, *SAID, "--results", tmp_path / "other").code == 0


def test_brackets_are_classes_where_nothing_is_called_so(tmp_path: Path, take: Take) -> None:
    for name in ("run1", "run2", "run3"):
        write_curve(tmp_path / name / f"seed_{name[-1]}.csv", [(10, 1), (20, 2)])
    mapping = tmp_path / "m.yaml"
    source = {"files": "run[12]/seed_{seed}.csv", "task": TASK, "algorithm": "a"}
    mapping.write_text(yaml.safe_dump({"suite": "s", "sources": [source]}))
    assert take(mapping).code == 0
    assert {seed for _, seed in runs(tmp_path / "results")} == {1, 2}
    write_curve(tmp_path / "run[12]" / "seed_9.csv", [(10, 1), (20, 2)])
    done = take(mapping)
    assert done.code == 4
    assert "mean two things: run[12]/seed_9.csv and run1/seed_1.csv" in done.err
    mapping.write_text(mapping.read_text().replace("run[12]", "run[[]12]"))
    assert take(mapping, "--results", tmp_path / "other").code == 0
    assert {seed for _, seed in runs(tmp_path / "other")} == {9}


@pytest.mark.parametrize("window", [1, 3, 100])
def test_curves_of_single_episodes_are_smoothed(tmp_path: Path, both: Any, window: int) -> None:
    values = np.random.default_rng(0).normal(size=20)
    write_curve(tmp_path / "f.csv", [(10 * (i + 1), float(value)) for i, value in enumerate(values)])
    (run,) = both("f.csv", {"window": window}).values()
    expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(20)]
    assert run["curve"]["eval_return"][1:] == pytest.approx(expected, abs=1e-12)
    assert f"returns are means over the last {window} that were logged" in run["notes"]


def test_a_window_counts_every_episode_of_a_step(tmp_path: Path, both: Any) -> None:
    write_curve(tmp_path / "f.csv", [(10, 1), (10, 2), (20, 6), (20, 10)])
    (run,) = both("f.csv", {"window": 3, "repeated": "last"}).values()
    assert run["curve"]["eval_return"][1:] == [1.5, 6]


def test_a_format_said_of_a_folder_takes_its_files_alone(tmp_path: Path, take: Take) -> None:
    write_curve(tmp_path / "x" / "f.csv", [(10, 1), (20, 2)])
    write_evaluations(tmp_path / "x" / "evaluations.npz", [10, 20], [[5.0], [6.0]])
    said = (tmp_path / "x", *SAID, "--seed", 0)
    assert "several kinds: csv, evaluations" in take(*said).err
    assert take(*said, "--format", "evaluations").code == 0
    assert runs(tmp_path / "results")["a", 0]["final"]["eval_return"] == 6.0
    (tmp_path / "curve.log").write_text("env_steps,eval_return\n10,1\n")
    assert take(tmp_path / "curve.log", *SAID, "--seed", 1, "--format", "csv").code == 0
