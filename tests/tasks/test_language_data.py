"""Preference data and reward models: every format, every way in which they can be of no use."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from preference_support import ROWS, WORDS, save_reward_model, write_lines

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.tasks.lm import preference_data
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.tasks.lm.preference_data import Row, as_text, read
from haepo_bench.tasks.lm.reward_model import RewardModel


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_reward_model(tmp_path_factory.mktemp("reward"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": "b", "x": 1}, Row("p", [], "a", "b")),
        ({"prompt": "p", "completion": "a"}, Row("p", [], "a", None)),
        ({"prompt": "p", "completion": "a", "chosen": None}, Row("p", [], "a", None)),
        ({"chosen": "one two three", "rejected": "one two thing"}, Row("one two", [], "three", "thing")),
        ({"chosen": "Q: x\nyes", "rejected": "Q: x\nyellow no"}, Row("Q: x\n", [], "yes", "yellow no")),
        (
            {"prompt": [user("p")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
            Row("Human: p\n\nAssistant:", [user("p")], "a", "b"),
        ),
        (
            {"prompt": "p", "chosen": [user("p"), assistant("a")], "rejected": [user("p"), assistant("b")]},
            Row("Human: p\n\nAssistant:", [user("p")], "a", "b"),
        ),
        (
            {"chosen": [user("p"), assistant("a")], "rejected": [user("p"), assistant("b")]},
            Row("Human: p\n\nAssistant:", [user("p")], "a", "b"),
        ),
        ({"prompt": "p", "chosen": [assistant("a")], "rejected": [assistant("b")]}, Row("p", [], "a", "b")),
        ({"prompt": [user("p")], "completion": "a"}, Row("Human: p\n\nAssistant:", [user("p")], "a", None)),
    ],
)
def test_formats(row: dict[str, Any], expected: Row, tmp_path: Path) -> None:
    assert read(write_lines(tmp_path / "rows.jsonl", [row])) == [expected]
    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist([row]), tmp_path / "rows.parquet")
    assert read(str(tmp_path / "rows.parquet")) == [expected]


def test_a_conversation_as_text() -> None:
    turns = [{"role": "system", "content": "be kind"}, user("hi"), assistant("hello"), user("bye")]
    assert as_text(turns) == "System: be kind\n\nHuman: hi\n\nAssistant: hello\n\nHuman: bye\n\nAssistant:"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"prompt": "p", "chosen": "a"}', r"rows.jsonl:1: the data has no column 'rejected'; it has chosen, prompt\n"),
        ('{"text": "p", "label": 1}', "neither a column 'prompt' nor 'completion'; it has label, text"),
        ('{"prompt": "p", "chosen": null, "rejected": "b"}', "rows.jsonl:1: 'chosen' is null\n"),
        ('{"prompt": "p", "chosen": null, "rejected": null}', "'chosen' and 'rejected' are null"),
        ('{"prompt": null, "completion": "a"}', "'prompt' is null"),
        ('{"chosen": "a"}', "no column 'rejected'; it has chosen"),
        ('{"prompt": "p"}', "no column 'completion'; it has prompt"),
        ("{}", "it has none"),
        ('{"prompt": "p", "completion": "a"}\n\n{"prompt": 1, "completion": "a"}', "rows.jsonl:3: 'prompt' is neither"),
        ('{"prompt": "p", "completion": ["a"]}', "'completion' is neither a text nor a list of messages"),
        ('{"prompt": [], "completion": "a"}', "'prompt' is neither a text nor a list"),
        ('{"prompt": "p", "completion": [{"role": "user"}]}', "'completion' is neither"),
        ('{"prompt": " ", "completion": "a"}', "the prompt is empty"),
        ('{"chosen": "yes", "rejected": "no"}', "the prompt is empty"),
        ('{"prompt": "p", "completion": "a"}\n[1]', "rows.jsonl:2: the line is not a JSON object"),
        ('{"prompt": "p",', "rows.jsonl:1: the line is not JSON"),
        ("", "has no rows"),
    ],
)
def test_data_that_is_of_no_use(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(TaskError, match=says):
        read(str(tmp_path / "rows.jsonl"))


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "bad.jsonl").write_bytes(b"\xff\xfe\x00")
    for source, says in (
        ("gone.jsonl", f"there is no file 'gone.jsonl'\n.*{tmp_path}"),
        ("./gone", "there is no file"),
        ("/gone/data", "there is no file"),
        (str(tmp_path), "is a folder"),
        ("bad.parquet", "cannot be read as Parquet"),
        ("bad.jsonl", "cannot be read as UTF-8"),
    ):
        with pytest.raises(TaskError, match=says):
            read(source)


def test_hub_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub and its library give and how they fail, without the hub."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    asked = []

    def load(name: str, split: str) -> Any:
        asked.append((name, split, datasets.config.HF_HUB_OFFLINE))
        if "broken" in name:
            raise ValueError('Unknown split "train"\nlong story')
        if "absent" in name:
            raise ConnectionError("offline mode is enabled")
        return datasets.Dataset.from_list(ROWS)

    def answer(api: Any, name: str, timeout: float) -> Any:
        if "away" in name:
            raise OSError("nobody answers")
        if "wrong" in name:
            raise HFValidationError("no name")
        return SimpleNamespace(sha="abc")

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(HfApi, "dataset_info", answer)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    for name in ("a/b", "away/cached"):
        assert [row.prompt for row in read(name)] == [row["prompt"] for row in ROWS]
    # Where the hub does not answer, its library is not left to find that out by itself.
    assert asked == [("a/b", "train", False), ("away/cached", "train", True)]
    assert datasets.config.HF_HUB_OFFLINE is False
    for name, says in (
        ("a/broken", 'cannot be had from the Hugging Face hub: Unknown split "train"\n.*has it a split'),
        ("away/absent", r"is not in the local cache, and the Hugging Face hub cannot be reached \(OSError\)"),
        ("a/wrong", "there is no dataset 'a/wrong': no such file here"),
    ):
        with pytest.raises(TaskError, match=says) as caught:
            read(name)
        assert "long story" not in str(caught.value)
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("datasets", lambda folder: read("somebody/something")),
        ("pyarrow", lambda folder: read(str(folder / "rows.parquet"))),
        ("transformers", lambda folder: RewardModel(str(folder))),
    ],
)
def test_a_missing_extra_is_named(package: str, use: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        TaskError, match=rf"need.? {package}, which is not installed\n  pip install 'haepo-bench\[lm\]'"
    ):
        use(tmp_path)


def test_the_same_rows_have_the_same_hash(tmp_path: Path) -> None:
    one = preference_data.content_hash(read(write_lines(tmp_path / "a.jsonl", ROWS)))
    same = preference_data.content_hash(read(write_lines(tmp_path / "b.jsonl", [{**row, "x": 1} for row in ROWS])))
    other = preference_data.content_hash(read(write_lines(tmp_path / "c.jsonl", [*ROWS[1:], ROWS[0]])))
    assert one == same != other


def test_a_task_of_preferences(reward_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    again = [{**ROWS[0], "chosen": "w9"}, *ROWS[:-1], {"prompt": "w19 ", "completion": "w3"}]
    write_lines(tmp_path / "rows.jsonl", [*again])
    task = catalogue.task("lm/preferences/rows.jsonl", time_limit=6, options={"reward_model": reward_model})
    assert (task.id, task.horizon, task.references) == ("lm/preferences/rows.jsonl", 6, None)
    held_out, trained = ({example.prompt for example in part} for part in (task.held_out, task.train))
    assert len(held_out) == 2
    assert held_out | trained == {row["prompt"] for row in ROWS}
    assert not held_out & trained
    assert [e.prompt for e in task.train] == [row["prompt"] for row in ROWS if row["prompt"] in trained]
    expected = [(r["prompt"], r.get("chosen", r.get("completion"))) for r in again if r["prompt"] in trained]
    assert sorted(task.demonstrations) == sorted(expected)
    assert {tuple(pair) for pair in task.pairs} == {
        (r["prompt"], r["chosen"], r["rejected"]) for r in again if r["prompt"] in trained and "chosen" in r
    }
    assert task.vocabulary == list(" 0123456789w")
    # Which prompts are held out does not depend on the order of the rows.
    write_lines(tmp_path / "turned.jsonl", ROWS[::-1])
    turned = catalogue.task("lm/preferences/turned.jsonl", options={"reward_model": reward_model})
    assert {example.prompt for example in turned.held_out} == held_out
    write_lines(tmp_path / "one.jsonl", ROWS[:1] * 3)
    with pytest.raises(TaskError, match="has one prompt"):
        catalogue.task("lm/preferences/one.jsonl", options={"reward_model": reward_model})


def test_rewards_are_the_classifiers_output(reward_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the network applied to one text at a time, without padding."""
    from transformers import GPT2ForSequenceClassification

    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "rows.jsonl", ROWS)
    gold_model = save_reward_model(tmp_path / "gold", seed=1)
    options = {"reward_model": reward_model, "gold_model": "./gold"}
    task = catalogue.task("lm/preferences/rows.jsonl", options=options)
    examples = list(task.train)
    responses = [" ".join(WORDS[: 1 + i % 7]) for i in range(len(examples))]

    def expected(folder: str) -> list[float]:
        network = GPT2ForSequenceClassification.from_pretrained(folder).eval()
        texts = [(e.prompt + r).split() for e, r in zip(examples, responses, strict=True)]
        ids = [torch.tensor([[2 + WORDS.index(word) for word in text]]) for text in texts]
        with torch.no_grad():
            return [network(one).logits.item() for one in ids]

    paid, worth = task.rewards(examples, responses, np.random.default_rng(0)), task.gold(examples, responses)
    np.testing.assert_allclose(paid, expected(reward_model), atol=1e-5)
    np.testing.assert_allclose(worth, expected(gold_model), atol=1e-5)
    assert paid.std() > 0.1
    assert not task.gold_is_reward
    without = catalogue.task("lm/preferences/rows.jsonl", options={"reward_model": reward_model})
    np.testing.assert_array_equal(without.gold(examples, responses), paid)
    assert without.gold_is_reward
    assert set(task.inputs) == {"data", "reward_model", "gold_model"}
    assert task.inputs["reward_model"] == without.inputs["reward_model"] != task.inputs["gold_model"]


def test_a_model_without_padding_scores_one_text_at_a_time(reward_model: str, tmp_path: Path) -> None:
    examples, responses = [Example("w1 "), Example("w2 w3 ")], ["w4", "w5 w6"]
    padded = RewardModel(reward_model).scores(examples, responses)
    bare = RewardModel(save_reward_model(tmp_path, pad=False)).scores(examples, responses)
    np.testing.assert_allclose(bare, padded, atol=1e-5)


def test_a_chat_template_is_used_for_conversations(tmp_path: Path) -> None:
    template = "{% for message in messages %}w9 {{ message['content'] }} {% endfor %}"
    model = RewardModel(save_reward_model(tmp_path, template=template))
    chat = Example("Human: w1\n\nAssistant:", "", {"messages": [user("w1")]})
    found = model.scores([chat, Example("w9 w1 w9 ")], ["w2", "w2"])
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert model.scores([Example(chat.prompt)], ["w2"])[0] != pytest.approx(found[0], abs=1e-3)


def test_of_a_text_that_is_too_long_the_end_counts(reward_model: str) -> None:
    model = RewardModel(reward_model)
    model._tokenizer.model_max_length = 8
    long, short, other = model.scores(
        [Example("w1 ")] * 3, [" ".join(["w3"] * 100 + ["w2"] * 8), " ".join(["w2"] * 8), " ".join(["w2"] * 7 + ["w5"])]
    )
    assert long == pytest.approx(short, abs=1e-5)
    assert abs(other - short) > 1e-3


def test_reward_models_that_are_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    save_reward_model(tmp_path / "two", labels=2)
    save_reward_model(tmp_path / "short")
    weights = tmp_path / "short" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    save_reward_model(tmp_path / "dumb")
    for file in (tmp_path / "dumb").glob("token*"):
        file.unlink()
    save_reward_model(tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    save_reward_model(tmp_path / "unset")
    (tmp_path / "unset" / "config.json").write_text("{")
    for name, says in (
        ("two", "has 2 labels, and a reward is one number"),
        ("short", r"'short/model.safetensors' is not a whole safetensors file"),
        ("dumb", "has no tokenizer that can be loaded"),
        ("empty", r"has no weights \(\*\.safetensors\)"),
        ("unset", "'unset' cannot be loaded"),
        ("./gone", "there is no folder './gone'"),
        ("/gone", "there is no folder '/gone'"),
    ):
        with pytest.raises(TaskError, match=says):
            RewardModel(name)
