"""Language runs through the program: a killed worker, and models that are no good."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from execution_support import Workplace, members, timeless, wait_until
from language_support import LETTERS, Vowels, small_model

from haepo_bench import catalogue
from haepo_bench.errors import TaskError, UserError
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.training.language import models

TASK = {"id": "lm/arithmetic", "budget": {"env_steps": 2_000}, "evaluation": {"every": 1_000, "episodes": 10}}
PARAMS = {"prompts": 2, "completions": 4, "fine_tuning_steps": 2}


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    place.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    yield place
    place.close()


def without_language_clocks(record: dict[str, Any]) -> dict[str, Any]:
    kept = timeless(record)
    return kept | {"curve": {name: c for name, c in kept["curve"].items() if name not in CLOCK_COLUMNS}}


@pytest.mark.slow
def test_a_killed_worker_goes_on_from_its_checkpoint(workplace: Workplace) -> None:
    suite = workplace.suite(
        [{"use": "grpo", "name": name, "params": PARAMS} for name in ("killed", "whole")], tasks=[TASK], seeds=[4],
        execution={"workers": 1, "device": "cpu", "checkpoint": 0},
    )  # fmt: skip
    process = workplace.start(suite)

    def checkpoint() -> list[Path]:
        return list(workplace.folder.glob("results/trial/*/seed-4.checkpoint"))

    wait_until(checkpoint, "a checkpoint", 120)
    (worker,) = set(members(process.pid)) - {process.pid}
    os.kill(worker, signal.SIGKILL)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "again  lm/arithmetic killed seed 4: WorkerDied: the worker process was killed by SIGKILL" in errors
    (row,) = [line for line in output.splitlines() if "killed (grpo)" in line]
    assert row.split(" 1 ")[-1].strip().startswith("a tiny model")
    assert not checkpoint()
    (log,) = workplace.folder.glob("results/trial/logs/*killed*/*.log")
    assert "seed 4 goes on from its checkpoint: iteration " in log.read_text()
    killed, never = workplace.records()["killed", 4], workplace.records()["whole", 4]
    (resumed,) = killed["provenance"]["resumed"]
    assert f"iteration {resumed['iteration']}, {resumed['env_steps']} tokens" in log.read_text()
    assert resumed["mark"] in killed["curve"]["env_steps"]
    assert "resumed" not in never["provenance"]
    assert without_language_clocks({**killed, "algorithm": "whole"}) == without_language_clocks(never)
    assert [attempt["type"] for attempt in killed["attempts"]] == ["WorkerDied"]
    assert {"tokens_per_second", "seconds_per_step", "kl_initial"} <= set(never["curve"])
    assert "env steps are sampled tokens" in never["notes"]


def test_a_checkpoint_that_cannot_be_written_costs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from haepo_bench.execution.checkpoints import FileCheckpoints

    (tmp_path / "file").touch()
    checkpoints = FileCheckpoints({0: tmp_path / "file" / "seed-0.checkpoint"}, {0: "settings code seed 0"}, 1.0)
    checkpoints.write([0], lambda _: b"state")
    assert "no checkpoint: " in capsys.readouterr().err


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_model().save_pretrained(folder)
    tiny_tokenizer(LETTERS).save_pretrained(folder)
    return folder


def vowels(model: str) -> Vowels:
    task = Vowels()
    task.model = model
    return task


def configured(model: str | Path, name: str = "grpo", **parameters: Any) -> Any:
    return catalogue.language_algorithm(name).configure(parameters, vowels(str(model)))


def copied(saved: Path, folder: Path) -> Path:
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_folder_with_a_model_is_its_weights(saved: Path, tmp_path: Path) -> None:
    one = configured(saved).parameters
    two = configured(copied(saved, tmp_path)).parameters
    assert one == two
    assert len(one["weights"]) == 64
    small_model(seed=1).save_pretrained(tmp_path)
    assert configured(tmp_path).parameters["weights"] != one["weights"]
    assert configured(saved).notes[0] == f"the model {saved}"
    assert "weights" not in configured("tiny").parameters


def _without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def _overwritten(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not tensors at all, but long enough")


def _damaged_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")


def _missing_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _strange_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def _strange_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "nobody-knows"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_tokenizer, "has no tokenizer beside it"),
        (_without_weights, "holds no weights"),
        (_cut_off, "are damaged: it has"),
        (_overwritten, "are damaged: its header does not end"),
        (_damaged_index, "is damaged: it names no weights"),
        (_missing_shard, "lacks model-00001-of-00002.safetensors"),
        (_no_config, "config.json is missing"),
        (_strange_tokenizer, "tokenizer of the model .* cannot be loaded"),
        (_strange_config, "cannot be (read|loaded)"),
    ],
)
def test_a_model_that_is_no_good_is_refused(saved: Path, tmp_path: Path, damage: Any, message: str) -> None:
    damage(copied(saved, tmp_path))
    with pytest.raises(TaskError, match=message) as error:
        configured(tmp_path)
    assert error.value.remedy


def test_prompts_beyond_the_context_are_refused(saved: Path) -> None:
    task = vowels(str(saved))
    task.horizon = 62
    with pytest.raises(TaskError, match=r"has 5 tokens, which with a response of 62 is more than .* context of 64"):
        catalogue.language_algorithm("grpo").configure({}, task)


def test_a_name_without_a_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TaskError, match=r"hub cannot be reached"):
        configured("nobody/has-this-model")
    with pytest.raises(TaskError, match=r"there is no folder '\./nowhere'"):
        configured("./nowhere")


@pytest.mark.parametrize(("missing", "parameters"), [("transformers", {}), ("peft", {"lora_rank": 4})])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, parameters: dict[str, int]) -> None:
    real = models.find_spec
    monkeypatch.setattr(models, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(UserError, match=f"need {missing}, not installed here") as error:
        configured("tiny", **parameters)
    assert ("haepo-bench[lora]" if parameters else "haepo-bench[lm]") in error.value.remedy


def test_algorithms_that_cannot_are_refused_and_say_why() -> None:
    assert "ppo-batched" in str(catalogue.algorithm("ppo").refuses(Vowels()))
    assert "no fixed preferences" in str(catalogue.algorithm("dpo-offline").refuses(catalogue.task("bandit/10-arm")))
    unpaired = Vowels()
    unpaired.pairs = []
    assert "no fixed preferences" in str(catalogue.algorithm("dpo-offline").refuses(unpaired))
    with pytest.raises(UserError, match="no completions"):
        configured("tiny", "dpo-offline", completions=4)
    with pytest.raises(UserError, match="no parameter 'trajectories'"):
        configured("tiny", trajectories=4)


def test_problems_of_a_task_stand_at_its_line_with_all_others(workplace: Workplace) -> None:
    suite = workplace.suite(
        [{"use": "grpo"}, {"use": "reinforce"}, {"use": "ppo"}], tasks=[{**TASK, "id": "lm/arithmetic@./nowhere"}]
    )
    done = workplace.run(suite)
    assert done.returncode == 4
    assert done.stderr.count("there is no folder './nowhere'") == 1
    assert "tasks[0]" in done.stderr
    assert "ppo cannot be run" in done.stderr
