"""Wrapped tasks in suites: one spelling everywhere, whole runs, and the same bytes alone and among others."""

import json
import sys
from pathlib import Path

import pytest
from cli_support import run_here
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.catalogue import Listed
from haepo_bench.errors import UserError
from haepo_bench.results.code import changes
from haepo_bench.suite import identity
from haepo_bench.suite.closure import read_module
from haepo_bench.suite.identity import code_document
from haepo_bench.suite.overrides import selected
from haepo_bench.suite.plan import Plan
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: wrapped
seeds: 2
budget: {env_steps: 60}
evaluation: {every: 30, episodes: 2}
tasks:
  - noise(scale(bandit/10-arm, 0.01), 1e-1)
  - {id: "delayed(random-walk/20)", time_limit: 30}
algorithms:
  - use: reinforce
    per_task:
      noise( scale(bandit/10-arm,.01),0.10 ): {params: {epochs: 2}}
"""
NOISE = "noise(scale(bandit/10-arm,0.01),0.1)"


def plan(tmp_path: Path, text: str = SUITE) -> Plan:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return load_plan(path)


def test_one_spelling_everywhere(tmp_path: Path) -> None:
    noisy, delayed = plan(tmp_path).cells
    assert (noisy.task, delayed.task) == (NOISE, "delayed(random-walk/20)")
    assert (noisy.parameters["epochs"], delayed.parameters["epochs"]) == (2, 4)
    assert delayed.settings["task"] == {
        "id": "delayed(random-walk/20)", "version": 1, "time_limit": 30, "backend": "array",
    }  # fmt: skip
    other = plan(tmp_path, SUITE.replace("(bandit/10-arm, 0.01), 1e-1)", "(bandit/10-arm,1e-2),   0.1)"))
    assert [cell.settings_hash for cell in other.cells] == [noisy.settings_hash, delayed.settings_hash]
    changed = plan(tmp_path, SUITE.replace("0.01), 1e-1)", "0.01), 2e-1)").split("algorithms")[0] + "algorithms: [dpo]")
    assert changed.cells[0].settings["task"] != noisy.settings["task"]
    assert noisy.folder.startswith("noise%28scale%28bandit%2F10-arm%2C0.01%29%2C0.1%29--reinforce--")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("delayed(random", "noise(random", "suite.yaml:7: tasks[1].id: noise takes a task and sigma"),
        ("walk/20)", "walk/20", "suite.yaml:7: tasks[1].id: 'delayed(random-walk/20' has a bracket that is not closed"),
        ("delayed(random", "delaid(random", "unknown wrapper 'delaid'\n  did you mean 'delayed'?"),
        ("walk/20)", "walk/20 )", "tasks[1].id: 'delayed(random-walk/20 )' cannot be an address of a task"),
        ('{id: "delayed(random-walk/20)", time_limit: 30}', f"{NOISE}", f"the task '{NOISE}' is already tasks[0]"),
        ("delayed(random-walk/20)", "normalised(gym/CartPole-v1)", "suite.yaml:7: tasks[1].id: gym/CartPole-v1 has no"),
        (",.01),0.10 )", ",.01),0.11)", "per_task[noise(scale(bandit/10-arm,0.01),0.11)]: the suite has no task"),
        (
            "{params: {epochs: 2}}",
            f"{{params: {{epochs: 2}}}}\n      {NOISE}: {{}}",
            f"per_task: the task '{NOISE}' is there twice",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        plan(tmp_path, SUITE.replace(old, new))
    assert says in str(caught.value)


def test_a_flow_list_cuts_an_address_at_its_comma_and_the_message_says_so(tmp_path: Path) -> None:
    flow = SUITE.replace("\n  - noise(scale(bandit/10-arm, 0.01), 1e-1)", " [noise(bandit/10-arm, 1)]").split("  - {id")
    with pytest.raises(UserError, match="needs quotes"):
        plan(tmp_path, flow[0] + "algorithms: [reinforce]\n")


@pytest.mark.parametrize(
    "pattern", ["noise(scale(bandit/10-arm, 0.01), 0.1)", "noise(*", f"{NOISE}:ppo", "*bandit*: ppo", "ppo"]
)
def test_only(pattern: str) -> None:
    assert selected(NOISE, "ppo", [pattern])
    assert not selected("delayed(random-walk/20)", "dpo", [pattern])


def test_code_of_a_plugin_inside_wrappers_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "maze.py"
    source.write_text("from haepo_bench.tasks.finite.random_walk import make\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin = Listed("maze/<states>", "from mazes", "maze:make", "mazes")
    monkeypatch.setitem(catalogue.TASKS, "maze", plugin)
    definition = catalogue.algorithm("reinforce")

    def document(address: str) -> dict[str, str]:
        for cached in (identity._executed, identity._package, read_module):
            cached.cache_clear()
        task = catalogue.task(address)
        task.id = task.id.replace("random-walk", "maze")
        return code_document(definition, definition.configure({}, task), task)

    wrapped = "noise(delayed(maze/20),0.5)"
    before = document(wrapped)
    assert set(document("maze/20")) < set(before)
    assert {
        "source maze",
        "module haepo_bench.tasks.finite.random_walk",
        "module haepo_bench.tasks.wrappers.rewards",
    } <= set(before)
    source.write_text(source.read_text() + "x = 1\n")
    assert changes(before, document(wrapped)) == ["maze"]
    sys.modules.pop("maze", None)


@pytest.mark.slow
def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    results = tmp_path / "results"
    code, _, err = run_here(capsys, "run", str(tmp_path / "suite.yaml"), "--results", str(results))
    assert code == 0, err
    files = sorted((results / "wrapped").glob("*/seed-*.json"))
    assert len(files) == 4
    records = [json.loads(file.read_text()) for file in files]
    assert {record["task"] for record in records} == {NOISE, "delayed(random-walk/20)"}
    assert {record["status"] for record in records} == {"done"}
    code, _, _ = run_here(capsys, "report", str(results))
    assert code == 0
    code, _, err = run_here(capsys, "run", str(tmp_path / "suite.yaml"), "--results", str(results))
    assert code == 0
    assert [file.stat().st_mtime_ns for file in files] == [
        file.stat().st_mtime_ns for file in sorted((results / "wrapped").glob("*/seed-*.json"))
    ]


@pytest.mark.parametrize("algorithm", ["reinforce", "ppo-batched"])
@pytest.mark.parametrize("address", ["noise(delayed(gym/CartPole-v1),0.5)", "window(proxy(random-walk/20,0.1),3)"])
def test_a_run_is_the_same_alone_and_among_others(algorithm: str, address: str) -> None:
    """Trained on the corrupted task, byte for byte in every column but the clock's."""
    task = catalogue.task(address).training()
    among = train(algorithm, task, [0, 1, 2, 3], 600, 300)
    alone = train(algorithm, task, [3], 600, 300)
    assert without_clocks(among[3]) == without_clocks(alone[3])
    assert without_clocks(among[3]) != without_clocks(among[2])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reinforce", "ppo-batched", "ppo"])
def test_training_is_corrupted_and_evaluation_is_not(algorithm: str) -> None:
    """Training is paid tenfold and knows the clean return; five pulls evaluated pay less than 4 on average."""
    (result,) = train(algorithm, "scale(bandit/10-arm,10)", [0], 3_000, 1_000).values()
    columns = result.curve
    assert len(columns["train_return"]) == 4
    assert columns["train_return"] == pytest.approx([10 * clean for clean in columns["clean_return"]], rel=1e-4)
    assert columns["train_return"][-1] > 6
    assert max(map(abs, [*columns["eval_return"], *columns["eval_return_greedy"]])) < 4
