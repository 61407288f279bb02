"""Suite files that are wrong: each gives exit code 4 and says what, where and what to do, without a traceback."""

import time
from pathlib import Path

import pytest
from cli_support import GOOD, run_apart, run_here, write_plugin


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


#: name: (text of the file, what the message must hold)
BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["bad.yaml: is empty", "haepo-bench init"]),
    "only a comment": ("# nothing\n", ["is empty"]),
    "a list": ("- name: x\n", ["a suite is a mapping"]),
    "a word": ("quickstart\n", ["a suite is a mapping"]),
    "YAML syntax": (GOOD + "execution: {workers: 1\n", ["bad.yaml:9", "not valid YAML"]),
    "tabs": (changed("  - bandit", "\t- bandit"), ["bad.yaml:5", "indent with spaces"]),
    "two documents": (GOOD + "---\n" + GOOD, ["bad.yaml:8", "single document"]),
    "a python tag": (
        changed("name: good", "name: !!python/object/apply:os.system [id]"),
        ["bad.yaml:1", "!!python/object/apply:os.system"],
    ),
    "a bomb of aliases": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ["50,000 entries", "aliases"],
    ),
    "an alias in itself": (changed("seeds: 2", "seeds: &s [*s]"), ["levels deep"]),
    "deep nesting": ("[" * 50_000, ["levels deep"]),
    "a merge key": (changed("seeds: 2", "seeds: 2\n<<: {a: 1}"), ["bad.yaml:3: [<<]: unknown key"]),
    "a binary file": (b"\x7fELF\x02\x01\x01\x00\xff\xfe" * 50, ["bad.yaml: is not UTF-8 text"]),
    "NUL characters": (b"name: good\0", ["not a text file"]),
    "UTF-16": (GOOD.encode("utf-16"), ["is not UTF-8 text"]),
    "a control character": (changed("good", "go\x01od"), ["bad.yaml:1", "U+0001"]),
    "too large": ("# " + "x" * 2_000_000, ["larger than 256 KiB"]),
    "a duplicate key": (GOOD + "seeds: 3\n", ["bad.yaml:8: seeds: the key is there twice, first on line 2"]),
    "an unknown key": (changed("seeds: 2", "seeds: 2\nseed: 3"), ["bad.yaml:3: seed: unknown key", "'seeds'"]),
    "a key that is a number": (changed("seeds: 2", "seeds: 2\n5: 3"), ["bad.yaml:3: '5' as a key"]),
    "an unknown key of a task": (
        changed("- bandit/10-arm", "- {id: bandit/10-arm, budgets: {env_steps: 5}}"),
        ["bad.yaml:5: tasks[0].budgets: unknown key", "did you mean 'budget'"],
    ),
    "no name": (changed("name: good\n", ""), ["bad.yaml: name: is missing"]),
    "no seeds": (changed("seeds: 2\n", ""), ["bad.yaml: seeds: is missing"]),
    "no tasks": (changed("tasks:\n  - bandit/10-arm\n", ""), ["tasks: is missing"]),
    "nothing behind tasks": (changed("  - bandit/10-arm\n", ""), ["tasks: is missing"]),
    "empty tasks": (changed("tasks:\n  - bandit/10-arm", "tasks: []"), ["bad.yaml:4: tasks: must not be empty"]),
    "empty algorithms": (changed("algorithms:\n  - reinforce", "algorithms: []"), ["algorithms: must not be empty"]),
    "empty seeds": (changed("seeds: 2", "seeds: []"), ["bad.yaml:2: seeds: must not be empty"]),
    "a name with a path in it": (changed("name: good", "name: ../../etc/x"), ["bad.yaml:1: name: '../../etc/x'"]),
    "a name that is a folder": (changed("name: good", "name: .."), ["bad.yaml:1: name: '..' is a folder"]),
    "a name that is a number": (changed("name: good", "name: 2026"), ["name: must be text, got 2026", "quotes"]),
    "a name with a line break": (changed("name: good", 'name: "a\\nb"'), ["cannot be a name"]),
    "a name too long": (changed("name: good", f"name: {'x' * 65}"), ["longer than 64 characters"]),
    "an algorithm's name with a path in it": (
        changed("- reinforce", "- {use: reinforce, name: a/b}"),
        ["bad.yaml:7: algorithms[0].name: 'a/b' cannot be a name"],
    ),
    "no budget": (
        changed("budget: {env_steps: 100}\n", ""),
        ["bad.yaml:4: tasks[0]: the task has no budget", "env_steps"],
    ),
    "an empty budget": (changed("{env_steps: 100}", "{}"), ["bad.yaml:3: budget.env_steps: is missing"]),
    "a budget that is a number": (changed("{env_steps: 100}", "100"), ["bad.yaml:3: budget: must be a mapping"]),
    "a negative budget": (changed("100", "-100"), ["budget.env_steps: must be at least 1, got -100"]),
    "no steps": (changed("100", "0"), ["must be at least 1, got 0"]),
    "half a step": (changed("100", "100.5"), ["must be a whole number, got 100.5"]),
    "a huge budget": (changed("100", "1" + "0" * 30), ["must be at most 1000000000000"]),
    "an absurd number": (changed("100", "9" * 5000), ["bad.yaml:3: budget.env_steps: a number of 5000 characters"]),
    "an infinite budget": (changed("100", ".inf"), [".inf is not a finite number"]),
    "a budget of NaN": (changed("100", ".nan"), ["bad.yaml:3: budget.env_steps: .nan is not a finite number"]),
    "text for a number": (changed("100", "many"), ["must be a whole number, got 'many'"]),
    "a number in quotes": (changed("100", "'100'"), ["must be a whole number, got '100'"]),
    "a boolean for a number": (changed("100", "true"), ["must be a whole number, got true"]),
    "a boolean for seeds": (changed("seeds: 2", "seeds: true"), ["bad.yaml:2: seeds: must be a number of seeds"]),
    "no seed at all": (changed("seeds: 2", "seeds: 0"), ["between 1 and 10,000 seeds, got 0"]),
    "a negative seed": (changed("seeds: 2", "seeds: [-1]"), ["bad.yaml:2: seeds[0]: must be at least 0, got -1"]),
    "a seed twice": (
        changed("seeds: 2", "seeds: [1, 2, 1]"),
        ["bad.yaml:2: seeds: the seed 1 is named more than once"],
    ),
    "a seed of 33 bits": (changed("seeds: 2", "seeds: [4294967296]"), ["seeds[0]: must be at most 4294967295"]),
    "text among seeds": (changed("seeds: 2", "seeds: [a]"), ["seeds[0]: must be a whole number, got 'a'"]),
    "too many evaluations": (
        changed("{env_steps: 100}", "{env_steps: 1e9}") + "evaluation: {every: 1}\n",
        ["bad.yaml:8: evaluation.every", "more than 10,000 evaluations"],
    ),
    "no evaluation episodes": (GOOD + "evaluation: {episodes: 0}\n", ["evaluation.episodes: must be at least 1"]),
    "a task twice": (
        changed("- bandit/10-arm", "- bandit/10-arm\n  - {id: bandit/10-arm, time_limit: 5}"),
        ["bad.yaml:6: tasks[1].id: the task 'bandit/10-arm' is already tasks[0]"],
    ),
    "one task under two addresses": (
        changed("- bandit/10-arm", "- random-walk/20\n  - random-walk/020"),
        ["bad.yaml:6", "random-walk/020"],
    ),
    "a task that is a number": (changed("- bandit/10-arm", "- 5"), ["tasks[0]: must be a mapping"]),
    "an unknown family of tasks": (changed("bandit/", "bandits/"), ["bad.yaml:5: tasks[0]", "'bandits/10-arm'"]),
    "an unknown variant": (changed("10-arm", "11-arm"), ["bad.yaml:5: tasks[0]", "11-arm"]),
    "a family without a variant": (changed("bandit/10-arm", "bandit"), ["without a variant", "bandit/10-arm"]),
    "an unknown gymnasium id": (
        changed("bandit/10-arm", "gym/CartPole-v9"),
        ["bad.yaml:5: tasks[0]", "CartPole-v9"],
    ),
    "an environment without a time limit": (
        changed("bandit/10-arm", "gym/Blackjack-v1"),
        ["bad.yaml:5: tasks[0]", "time_limit"],
    ),
    "a misspelt algorithm": (changed("- reinforce", "- renforce"), ["bad.yaml:7: algorithms[0]", "'reinforce'"]),
    "an algorithm twice": (
        changed("- reinforce", "- reinforce\n  - use: reinforce"),
        ["bad.yaml:8: algorithms[1].use: the name 'reinforce' is already that of algorithms[0]"],
    ),
    "a member beside its family": (
        changed("- reinforce", "- haepo\n  - haepo-weighted"),
        ["bad.yaml:8: algorithms[1]: the name 'haepo-weighted'"],
    ),
    "an algorithm without use": (changed("- reinforce", "- {name: mine}"), ["algorithms[0].use: is missing"]),
    "an unknown hyper-parameter": (
        changed("- reinforce", "- {use: reinforce, params: {learning_rat: 1e-3}}"),
        ["bad.yaml:7: algorithms[0].params.learning_rat", "did you mean 'learning_rate'?"],
    ),
    "a hyper-parameter out of range": (
        changed("- reinforce", "- use: reinforce\n    params:\n      learning_rate: -1"),
        ["bad.yaml:9: algorithms[0].params.learning_rate"],
    ),
    "a hyper-parameter of the wrong type": (
        changed("- reinforce", "- {use: reinforce, params: {trajectories: [1]}}"),
        ["algorithms[0].params.trajectories"],
    ),
    "groups of one where trajectories are compared": (
        changed("- reinforce", "- {use: grpo, params: {trajectories: 1}}"),
        ["bad.yaml:7: algorithms[0].params.trajectories: grpo compares", "set trajectories to 2 or more"],
    ),
    "a search that begins above its end": (
        changed("- reinforce", "- {use: bapo, params: {low: 0.9}}"),
        ["bad.yaml:7: algorithms[0].params.low: ", "low 0.9, which is above low_max 0.8", "must be at most low_max"],
    ),
    "a search that ends below its start": (
        changed("- reinforce", "- {use: bapo, params: {high_max: 1.1}}"),
        ["bad.yaml:7: algorithms[0].params.high_max: ", "high 1.2, which is above high_max 1.1"],
    ),
    "params that are a list": (
        changed("- reinforce", "- {use: reinforce, params: [1]}"),
        ["algorithms[0].params: must be a mapping"],
    ),
    "per_task for a task that is not there": (
        changed("- reinforce", "- {use: reinforce, per_task: {bandit/10-arms: {params: {}}}}"),
        ["algorithms[0].per_task.bandit/10-arms: the suite has no task", "did you mean 'bandit/10-arm'?"],
    ),
    "an algorithm on a task that is not there": (
        changed("- reinforce", "- {use: reinforce, tasks: [bandit/10-arms]}"),
        ["algorithms[0].tasks[0]: the suite has no task", "did you mean 'bandit/10-arm'?"],
    ),
    "an algorithm on a task twice": (
        changed("- reinforce", "- {use: reinforce, tasks: [bandit/10-arm, bandit/10-arm]}"),
        ["algorithms[0].tasks: the task bandit/10-arm is named more than once"],
    ),
    "a bad hyper-parameter for one task": (
        changed("- reinforce", "- use: reinforce\n    per_task:\n      bandit/10-arm: {params: {epochs: 0}}"),
        ["bad.yaml:9: algorithms[0].per_task.bandit/10-arm.params.epochs"],
    ),
    "a time limit of nothing": (
        changed("- bandit/10-arm", "- {id: gym/CartPole-v1, time_limit: 0}"),
        ["tasks[0].time_limit: must be at least 1"],
    ),
    "no workers": (GOOD + "execution: {workers: 0}\n", ["bad.yaml:8: execution.workers: must be at least 1"]),
    "workers in words": (GOOD + "execution: {workers: two}\n", ["execution.workers: must be 'auto' or a number"]),
    "an unknown device": (GOOD + "execution: {device: gpu}\n", ["execution.device", "'auto', 'cpu' or 'cuda'"]),
    "a timeout in words": (GOOD + "execution: {timeout: long}\n", ["execution.timeout: 'long' is not a duration"]),
    "no time at all": (GOOD + "execution: {timeout: 0}\n", ["execution.timeout: must be between one second"]),
    "no space behind a colon within braces": (
        changed("{env_steps: 100}", "{env_steps:100}"),
        [
            "error: bad.yaml:3: budget.env_steps: 'env_steps:100' is one word",
            "missing behind the colon",
            "env_steps: 100",
        ],
    ),
    "claims with nobody to make them of": (
        GOOD + "claims: {margin: 0.2}\n",
        [
            "bad.yaml:8: claims: the suite has no algorithm 'haepo', the candidate where none is named",
            "claims.candidate",
        ],
    ),
    "claims against nobody": (
        GOOD + "claims: {candidate: reinforce}\n",
        [
            "bad.yaml:8: claims: 'reinforce' is compared with nothing",
            "no other algorithm that learns",
            "claims.baselines",
        ],
    ),
    "claims that leave all others out": (
        changed("- reinforce", "- reinforce\n  - grpo") + "claims: {candidate: reinforce, left_out: [grpo]}\n",
        ["bad.yaml:9: claims: 'reinforce' is compared with nothing", "that learns that is not left out"],
    ),
    "no spaces in claims": (
        GOOD + "claims: {candidate:median, margin:0.1}\n",
        ["2 problems", "bad.yaml:8: claims.candidate: ", "write candidate: median", "write margin: 0.1"],
    ),
    "no space behind a colon on a line of its own": (
        changed("budget: {env_steps: 100}", "budget:\n  env_steps:100"),
        ["bad.yaml:3: budget: must be a mapping", "a space is missing behind the colon: write env_steps: 100"],
    ),
    "no space behind the first colon": (changed("name: good", "name:good"), ["bad.yaml:2", "write name: good"]),
    "no space behind a later colon": (changed("seeds: 2", "seeds:2"), ["bad.yaml:3", "write seeds: 2"]),
    "no space in an entry of a list": (
        changed("- reinforce", "- use:reinforce"),
        ["bad.yaml:7: algorithms[0]: a space is missing behind the colon", "write use: reinforce"],
    ),
    "no space among hyper-parameters": (
        changed("- reinforce", "- {use: reinforce, params: {epochs:2}}"),
        ["bad.yaml:7: algorithms[0].params.epochs: 'epochs:2' is one word"],
    ),
    "a description that is a list": (GOOD + "description: [a]\n", ["description: must be text, got a list"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, fragments = BAD[name]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    started = time.monotonic()
    code, out, err = run_here(capsys, "validate", str(path))
    assert code == 4, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("error: ") == 1
    assert all(fragment in err for fragment in fragments), err
    assert "Traceback" not in err
    assert len(err) < 2000
    assert time.monotonic() - started < 20


def test_the_file_they_all_change_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    code, out, err = run_here(capsys, "validate", str(path))
    assert (code, err) == (0, "")
    assert "1 cell, 2 runs, 200 training steps" in out


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, fragment in (
        (str(tmp_path / "none.yaml"), "neither a file nor the name of a suite"),
        (str(tmp_path), "is a folder, not a suite file"),
        ("/dev/null", "it is a device, not a regular file"),
        ("", "is a folder"),
        ("x" * 5000, "neither a file nor"),
    ):
        code, out, err = run_here(capsys, "validate", path)
        assert (code, out) == (4, ""), err
        assert fragment in err


def test_all_problems_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: a/b\nseeds: [1, 1]\nseed: 3\ntasks: []\nalgorithms: [ppo]\nalgorithms: [dpo]\n")
    code, _, err = run_here(capsys, "validate", str(path))
    assert code == 4
    assert "5 problems" in err
    places = (
        "bad.yaml:1: name",
        "bad.yaml:2: seeds",
        "bad.yaml:3: seed:",
        "bad.yaml:4: tasks",
        "bad.yaml:6: algorithms",
    )
    assert all(place in err for place in places), err


def test_names_and_parameters_are_all_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: x\nseeds: 1\nbudget: {env_steps: 10}\ntasks: [bandit/10-arm, gym/None-v0, random-walk/20]\n"
        "algorithms:\n  - {use: reinforce, params: {epochs: -1}}\n  - rienforce\n"
    )
    code, _, err = run_here(capsys, "validate", str(path))
    assert code == 4
    # The bad value of a hyper-parameter is one problem, not one a task.
    assert "3 problems" in err
    for place in ("bad.yaml:4: tasks[1]", "bad.yaml:6: algorithms[0].params.epochs", "bad.yaml:7: algorithms[1]"):
        assert err.count(place) == 1, err


def test_many_problems_are_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + "".join(f"key{n}: 1\n" for n in range(1000)))
    _, _, err = run_here(capsys, "validate", str(path))
    assert "1000 problems" in err
    assert "... and 980 more" in err
    assert len(err.splitlines()) < 50


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a bomb of aliases", []),
        ("a python tag", []),
        ("a binary file", []),
        ("a negative budget", []),
        ("a misspelt algorithm", ["--dry-run"]),
    ],
)
def test_in_a_process_of_its_own(name: str, arguments: list[str], tmp_path: Path) -> None:
    content, fragments = BAD[name]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    command = "run" if arguments else "validate"
    code, out, err = run_apart(command, str(path), *arguments, cwd=tmp_path)
    assert (code, out) == (4, ""), err
    assert all(fragment in err for fragment in fragments), err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["bad.yaml"]


def test_plugins(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: x\nseeds: 1\nbudget: {env_steps: 10}\ntasks: [bandit/10-arm, random-walk/20]\n"
        "algorithms:\n  - picky\n  - broken\n  - {use: picky, name: keen, params: {zeel: 2}}\n"
    )
    code, _, err = run_apart(
        "validate", str(path), environment={"PYTHONPATH": f"{tmp_path}"}, cwd=Path(__file__).parent.parent.parent
    )
    assert code == 4, err
    assert "suite.yaml:6: algorithms[0]: picky cannot be run on random-walk/20: its episodes have more" in err
    assert "suite.yaml:7: algorithms[1]: the plugin 'broken'" in err
    assert "OSError: out of order" in err
    assert "suite.yaml:8: algorithms[2].params.zeel: picky has no parameter 'zeel'\n  it has zeal" in err
