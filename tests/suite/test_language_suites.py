"""Suites with language tasks: keys, identity, and errors before anything runs, through the program itself."""

import json
from pathlib import Path

import pytest
from cli_support import run_apart
from preference_support import ROWS, save_reward_model, write_lines

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.suite.resolve import load_plan
from haepo_bench.tasks.lm.family import make

SUITE = """\
name: small
seeds: 1
budget: {env_steps: 1000}
tasks:
  - {id: lm/preferences, data: rows.jsonl, reward_model: ./reward, time_limit: 8}
algorithms: [grpo]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "rows.jsonl", ROWS)
    write_lines(tmp_path / "other.jsonl", ROWS[1:])
    save_reward_model(tmp_path / "reward")
    save_reward_model(tmp_path / "second", seed=1)
    (tmp_path / "small.yaml").write_text(SUITE)
    return tmp_path


def test_data_and_models_are_part_of_the_identity(folder: Path) -> None:
    def settings(*assignments: str) -> str:
        (cell,) = load_plan(folder / "small.yaml", assignments).cells
        return cell.settings_hash

    before = settings()
    seen = {before}
    for assignment in ("data=other.jsonl", "reward_model=./second", "gold_model=./second", "time_limit=5"):
        after = settings(f"tasks[0].{assignment}")
        assert after not in seen, assignment
        seen.add(after)
    # Contents count, and not only names: of the data ...
    write_lines(folder / "rows.jsonl", ROWS[:-1])
    assert settings() not in seen
    write_lines(folder / "rows.jsonl", [{**row, "unused": 1} for row in ROWS])
    assert settings() == before
    # ... and of the models.
    save_reward_model(folder / "reward", seed=2)
    assert settings() not in seen
    save_reward_model(folder / "reward")
    assert settings() == before


def test_keys_are_a_way_to_write_the_address(folder: Path) -> None:
    def cells(task: str) -> tuple[str, str]:
        (cell,) = load_plan(folder / "small.yaml", [f"tasks=[{task}]"]).cells
        return cell.task, cell.settings_hash

    rewarded = "reward_model: ./reward, time_limit: 8"
    one = cells(f"{{id: lm/preferences, data: ./rows.jsonl, {rewarded}}}")
    assert one == cells(f"{{id: lm/preferences/./rows.jsonl, {rewarded}, model: tiny}}")
    assert one[0] == "lm/preferences/./rows.jsonl"
    wrapped = cells(f"{{id: random-reward(lm/preferences), data: rows.jsonl, {rewarded}}}")
    assert wrapped[0] == "random-reward(lm/preferences/rows.jsonl)"


def test_the_same_task_may_stand_there_once_for_each_model(folder: Path) -> None:
    """Here the models are not looked for: the schema's part alone."""
    from haepo_bench.suite.loading import load_suite

    tasks = "[{id: lm/arithmetic, model: a/b}, lm/arithmetic, {id: random-reward(lm/arithmetic), model: ./c}]"
    suite = load_suite(folder / "small.yaml", [f"tasks={tasks}"]).suite
    assert [task.address for task in suite.tasks] == [
        "lm/arithmetic@a/b", "lm/arithmetic", "random-reward(lm/arithmetic@./c)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("{id: gym/CartPole-v1, model: gpt2}", "tasks[0].model: 'gym/CartPole-v1' is not a language task"),
        ("{id: gym/CartPole-v1, data: a.jsonl}", "tasks[0].data: 'gym/CartPole-v1' has data of its own"),
        ("{id: gym/CartPole-v1, reward_model: a}", "the tasks gym/... have no reward_model"),
        ("{id: lm/arithmetic, reward_model: a}", "lm/arithmetic has a reward of its own"),
        ("{id: lm/arithmetic, gold_model: a}", "remove gold_model, which is for lm/preferences"),
        ("{id: lm/arithmetic, data: a.jsonl}", "tasks[0].data: 'lm/arithmetic' has data of its own"),
        ("{id: lm/arithmetic@gpt2, model: gpt2}", "tasks[0].model: 'lm/arithmetic@gpt2' names a model already"),
        ("{id: lm/preferences/a.jsonl, data: a.jsonl}", "tasks[0].data: 'lm/preferences/a.jsonl' names its data"),
        ("{id: lm/preferences@gpt2, data: a.jsonl}", "tasks[0].data: the model is in the id"),
        ("{id: lm/arithmetic, model: my model}", "tasks[0].model: 'my model' cannot be part of a task's address"),
        ("{id: lm/preferences, data: 'a,b.jsonl'}", "tasks[0].data: 'a,b.jsonl' cannot be part"),
        ("{id: lm/preferences, data: rows.jsonl}", "lm/preferences/rows.jsonl needs a reward model"),
        ("{id: lm/preferences, reward_model: ./reward}", "lm/preferences needs data"),
        (
            "{id: lm/preferences, data: gone.jsonl, reward_model: ./reward}",
            "tasks[0].data: there is no file 'gone.jsonl'",
        ),
        ("{id: lm/preferences, data: rows.jsonl, reward_model: ./gone}", "tasks[0].reward_model: there is no folder"),
        (
            "{id: lm/preferences, data: rows.jsonl, reward_model: ./reward, gold_model: ./gone}",
            "tasks[0].gold_model: there is no folder './gone'",
        ),
        ("{id: lm/preferences/rows.jsonl, reward_model: ./reward}", "tasks[0].reward_model: a prompt has 1 tokens"),
        ("{id: lm/preferences/gone.jsonl, reward_model: ./reward}", "tasks[0].id: there is no file 'gone.jsonl'"),
        ("{id: lm/arithmetic, model: ./gone}", "tasks[0].model: there is no folder './gone'"),
        ("lm/arithmetic@./gone", "tasks[0]: there is no folder './gone'"),
        (f"{{id: lm/preferences, data: {'a/' * 60}b.jsonl}}", "is too long for the name of a folder"),
        ("[lm/arithmetic, {id: lm/arithmetic, model: tiny}]", "the task 'lm/arithmetic' is already tasks[0]"),
        ("{id: 'noise(lm/arithmetic, 1)'}", "the only wrappers that go around it are random-reward and flip"),
    ],
)
def test_bad_keys(task: str, says: str, folder: Path) -> None:
    tasks = task if task.startswith("[") else f"[{task}]"
    with pytest.raises(UserError) as caught:
        load_plan(folder / "small.yaml", [f"tasks={tasks}"])
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2, "one problem, one remedy"


def test_the_catalogue_knows_every_option() -> None:
    taken = set(make.__annotations__) - {"variant", "time_limit", "return"}
    assert set(catalogue.TASKS["lm"].options) == taken


def test_bad_data_is_found_before_anything_runs(folder: Path) -> None:
    write_lines(folder / "rows.jsonl", [ROWS[0], {"text": "w1"}])
    done = run_apart("run", "small.yaml", cwd=folder)
    assert done.code == 4
    assert "rows.jsonl:2: the data has neither a column 'prompt' nor 'completion'; it has text" in done.err
    assert "Traceback" not in done.err
    assert not (folder / "results" / "small").exists()


def test_without_the_hub(folder: Path) -> None:
    """Hub names where nobody answers: said at once, for data and for models."""
    tasks = (
        "[{id: lm/preferences, data: nobody/nothing, reward_model: ./reward}, "
        "{id: lm/preferences, data: rows.jsonl, reward_model: nobody/nothing}]"
    )
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "cache")}
    done = run_apart("validate", "small.yaml", "--set", f"tasks={tasks}", cwd=folder, environment=away)
    assert done.code == 4
    for key, what in (("tasks[0].data", "dataset"), ("tasks[1].reward_model", "reward model")):
        assert f"{key}: the {what} 'nobody/nothing' is not in the local cache, and the Hugging Face hub " in done.err
    assert "Retrying" not in done.err
    assert "Traceback" not in done.err


def test_the_local_cache_without_the_hub(folder: Path) -> None:
    """A model that was fetched once is used as it is: nothing is asked of the hub again and again."""
    commit, cached = "0123456789" * 4, folder / "cache" / "hub" / "models--some--reward"
    save_reward_model(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    task = "{id: lm/preferences, data: rows.jsonl, reward_model: some/reward, time_limit: 8}"
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "cache")}
    done = run_apart("validate", "small.yaml", "--set", f"tasks=[{task}]", cwd=folder, environment=away)
    assert (done.code, done.err) == (0, "")


@pytest.mark.slow
def test_libraries_say_nothing_of_their_own(folder: Path) -> None:
    """transformers warns of these token ids, and of its models before it is asked anything."""
    for file in (folder / "reward" / "config.json",):
        file.write_text(json.dumps({**json.loads(file.read_text()), "bos_token_id": 50256, "eos_token_id": 50256}))
    done = run_apart("validate", "small.yaml", cwd=folder)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("address", ["lm/arithmetic", "random-reward(lm/synthetic-summary)"])
def test_describe(address: str, folder: Path) -> None:
    done = run_apart("describe", address, cwd=folder)
    assert done.code == 0, done.err
    task = catalogue.task(address)
    assert done.out.startswith(f"{address} (version {task.version}): {task.summary}")
    for text in (f"{task.horizon} new tokens", f"{len(task.held_out):,} held out", repr(task.train[0].prompt)):
        assert text in done.out
