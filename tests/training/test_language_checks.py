"""What is refused before a language run costs anything: files that do not fit together, texts and rewards of no use.

All of it when a suite is validated, unless that would take large weights.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_support import LETTERS, Vowels, small_model
from preference_support import ROWS, WORDS, save_reward_model, write_lines
from safetensors.torch import load_file, save_file

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.tasks.lm.reward_model import RewardModel
from haepo_bench.training.language.models import find_source, load_model, load_texts
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.start import starting_model
from haepo_bench.training.recorder import Recorder

Weights = dict[str, torch.Tensor]


def configured(task: Vowels) -> Any:
    return catalogue.language_algorithm("grpo").configure({}, task)


def vowels(model: Path | str) -> Vowels:
    task = Vowels()
    task.model = str(model)
    return task


def save_model(folder: Path, **options: Any) -> Path:
    small_model(tie_word_embeddings=False).save_pretrained(folder, **options)
    tiny_tokenizer(LETTERS).save_pretrained(folder)
    return folder


def change(file: Path, edit: Callable[[Weights], object]) -> None:
    weights = load_file(file)
    edit(weights)
    save_file(weights, file, metadata={"format": "pt"})


def lacking(weights: Weights) -> None:
    del weights["lm_head.weight"], weights["model.norm.weight"]


def misshapen(weights: Weights) -> None:
    weights["model.norm.weight"] = torch.ones(8)


def not_finite(weights: Weights) -> None:
    weights["model.norm.weight"][3] = torch.nan


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lacking, r"lacks weights, and would get random numbers for them: lm_head.weight \(and 1 more\)"),
        (misshapen, r"do not fit its config.json: model.norm.weight has the shape \[8\], where \[16\] is wanted"),
        (not_finite, "has weights that are not finite: model.norm.weight"),
    ],
)
def test_weights_that_are_not_the_models(tmp_path: Path, edit: Any, says: str) -> None:
    change(save_model(tmp_path) / "model.safetensors", edit)
    with pytest.raises(TaskError, match=says) as caught:
        configured(vowels(tmp_path))
    assert caught.value.key == "model"
    # Where nobody validated, as with weights that are fetched from the hub by the worker.
    with pytest.raises(TaskError, match=says):
        load_model(find_source(str(tmp_path)), Vowels(), dtype="float32", device="cpu")


def test_weights_in_several_files_that_lack_one(tmp_path: Path) -> None:
    save_model(tmp_path, max_shard_size="3KB")
    configured(vowels(tmp_path))
    index = tmp_path / "model.safetensors.index.json"
    described = json.loads(index.read_text())
    file = described["weight_map"].pop("model.norm.weight")
    assert len(set(described["weight_map"].values())) > 1
    index.write_text(json.dumps(described))
    change(tmp_path / file, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(TaskError, match=r"would get random numbers for them: model\.norm\.weight\n"):
        configured(vowels(tmp_path))


def test_weights_that_the_model_has_no_use_for_do_no_harm(tmp_path: Path) -> None:
    change(save_model(tmp_path) / "model.safetensors", lambda weights: weights.update(score=torch.ones(3)))
    configured(vowels(tmp_path))
    stored, loaded = load_file(tmp_path / "model.safetensors"), small_model(tie_word_embeddings=False)
    model = load_model(find_source(str(tmp_path)), Vowels(), dtype="float32", device="cpu")
    for name, values in model.state_dict().items():
        assert torch.equal(values, stored[name])
        assert torch.equal(values, loaded.state_dict()[name])


def test_a_tokenizer_with_tokens_that_the_model_does_not_know(tmp_path: Path) -> None:
    save_model(tmp_path)
    tiny_tokenizer([*LETTERS[:3], "x", "d"]).save_pretrained(tmp_path)
    with pytest.raises(TaskError, match=r"its token 7, 'd', is beyond the 7 that the model knows") as caught:
        configured(vowels(tmp_path))
    assert caught.value.key == "model"
    # Such tokens do no harm where no text of the task has them (Gemma 3 has one), but fine-tuning would be on these.
    tiny_tokenizer([*LETTERS, "x"]).save_pretrained(tmp_path)
    task = vowels(tmp_path)
    configured(task)
    texts = load_texts(find_source(task.model), task, chat=True)
    with pytest.raises(TaskError, match=r"its token 7, 'x', is beyond"):
        texts.responses(["ax"])


def test_a_broken_configuration_is_not_taken_for_a_broken_tokenizer(tmp_path: Path) -> None:
    (save_model(tmp_path) / "config.json").write_text('{"model_type": "llama"')
    with pytest.raises(TaskError, match=r"the configuration of the model .* cannot be read"):
        configured(vowels(tmp_path))


def test_demonstrations_beyond_the_context_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a model that fails behind its last position; what stands there makes no difference."""
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=7, n_positions=12, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    tiny_tokenizer(LETTERS).save_pretrained(tmp_path)

    def start(response: str) -> bytes:
        task = vowels(tmp_path)
        task.demonstrations = [("ab", response), ("b", "a")]  # with the start token 3 of 12 places are taken
        source, settings = find_source(task.model), LanguageSettings(fine_tuning_steps=2)
        model = starting_model(task, source, load_texts(source, task, chat=True), settings, "cpu")
        return b"".join(values.numpy().tobytes() for values in model.state_dict().values())

    long, longer, other = start("a" * 9 + "b" * 5), start("a" * 9 + "c" * 30), start("a" * 8 + "b" * 6)
    assert long == longer != other
    assert capsys.readouterr().out.count("1 of 2 demonstrations are longer than the model's context of 12") == 3


def random_gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=7, n_positions=12, n_embd=8, n_layer=2, n_head=1))


def random_llama() -> Any:
    return small_model(attention_dropout=0.5, num_hidden_layers=2)


@pytest.mark.parametrize("make", [random_gpt2, random_llama])
def test_a_loaded_model_computes_the_same_in_training_mode(make: Callable[[], Any], tmp_path: Path) -> None:
    """Which gradient checkpointing needs: its own dropout is taken out, and its activations stay what they are."""
    torch.manual_seed(0)
    original, ids = make().eval(), torch.tensor([[1, 3, 4, 5, 6]])
    original.save_pretrained(tmp_path)
    tiny_tokenizer(LETTERS).save_pretrained(tmp_path)
    model = load_model(find_source(str(tmp_path)), vowels(tmp_path), dtype="float32", device="cpu")
    with torch.no_grad():
        assert not torch.equal(original.train()(input_ids=ids).logits, original.eval()(input_ids=ids).logits)
        one, other = (model.train()(input_ids=ids).logits for _ in range(2))
        assert torch.equal(one, other)
        torch.testing.assert_close(one, original(input_ids=ids).logits, atol=1e-6, rtol=0)


class _Bad(Vowels):
    """Whose rewards are made by a function of the number of responses."""

    def __init__(self, reward: Any = None, gold: Any = None) -> None:
        super().__init__()
        self._made, self._gold = reward, gold

    def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Any:
        return self._made(len(responses)) if self._made else super().compute_rewards(examples, responses, stream)

    def compute_gold(self, examples: Any, responses: Any) -> Any:
        return self._gold(len(responses)) if self._gold else super().compute_gold(examples, responses)


def fail(n: int) -> Any:
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (lambda n: [np.nan] * n, "is nan for "),
        (lambda n: [np.inf] * n, "is inf for "),
        (lambda n: [0.0] * (n - 1), "gave 3 values for 4 responses"),
        (lambda n: [[0.0, 1.0]] * n, r"gave values of shape \[4, 2\]"),
        (lambda n: ["x"] * n, "is not a list of numbers"),
        (fail, "fail on its own texts, such as .*: KeyError: 'boom'"),
    ],
)
@pytest.mark.parametrize("which", ["reward", "gold"])
def test_rewards_are_tried_when_a_suite_is_validated(which: str, values: Any, says: str) -> None:
    with pytest.raises(TaskError, match=says) as caught:
        configured(_Bad(**{which: values}))
    assert caught.value.remedy


class _Large:
    """Stands for a reward model whose weights are too large to be loaded for a check."""

    is_small = False

    def check(self, examples: Any, horizon: int) -> None:
        assert horizon == Vowels.horizon


def test_rewards_of_large_models_are_tried_before_anything_is_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = _Bad(reward=lambda n: [np.nan] * n)
    task.reward_models = {"reward_model": _Large()}  # type: ignore[dict-item]
    algorithm = configured(task)
    recorder = Recorder((0,), budget=10, every=10, episodes=2, on_finished=lambda result: None)
    with pytest.raises(TaskError, match="is nan for"):
        algorithm.train(task, (0,), recorder, device="cpu")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"held_out": []}, "has no prompts to evaluate on"),
        ({"train": []}, "has no prompts to train on"),
        ({"held_out": [Example("cdc"), Example("aa")]}, r"of lm/vowels are trained on too \(1 of 2\), such as 'aa'"),
        ({"vocabulary": "abc"}, "has no token for 'd' of its own text"),
        ({"vocabulary": ["a", "b", "c", "dd", "ad", "dcc", "dc", "db"]}, "has no token for 'd' of its own text"),
        ({"vocabulary": []}, "has no token for"),
    ],
)
def test_texts_that_do_not_do(changes: dict[str, Any], says: str) -> None:
    task = Vowels()
    vars(task).update(changes)
    with pytest.raises(TaskError, match=says) as caught:
        configured(task)
    assert caught.value.remedy


def preferences(folder: Path, **options: Any) -> Any:
    task = catalogue.task(f"lm/preferences/{folder / 'rows.jsonl'}", time_limit=8, options=options)
    return catalogue.language_algorithm("grpo").configure({}, task)


@pytest.fixture
def rewarded(tmp_path: Path) -> Path:
    write_lines(tmp_path / "rows.jsonl", ROWS)
    save_reward_model(tmp_path / "reward")
    save_reward_model(tmp_path / "gold", seed=1)
    return tmp_path


@pytest.mark.parametrize("key", ["reward_model", "gold_model"])
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda weights: weights.pop("score.weight"), "would get random numbers for them: score.weight"),
        (
            lambda weights: weights.update({"score.weight": torch.ones(1, 8)}),
            r"has the shape \[1, 8\], where \[1, 16\]",
        ),
        (lambda weights: weights["score.weight"].fill_(torch.inf), "weights that are not finite: score.weight"),
        (lambda weights: weights["score.weight"].fill_(3e38), "is (-inf|inf|nan) for"),
    ],
)
def test_reward_models_that_are_not_whole(rewarded: Path, edit: Any, says: str, key: str) -> None:
    folders = {"reward_model": str(rewarded / "reward"), "gold_model": str(rewarded / "gold")}
    change(Path(folders[key]) / "model.safetensors", edit)
    with pytest.raises(TaskError, match=says) as caught:
        preferences(rewarded, **folders)
    assert caught.value.key == ("" if "for" in says[-4:] else key)


def test_prompts_that_a_reward_model_cannot_read(rewarded: Path) -> None:
    folders = {"reward_model": str(rewarded / "reward")}
    write_lines(rewarded / "rows.jsonl", [*ROWS, {"prompt": "w3 " * 24, "completion": "w1"}])
    preferences(rewarded, **folders)  # 24 and 8 of 32
    write_lines(rewarded / "rows.jsonl", [*ROWS, {"prompt": "w3 " * 25, "completion": "w1"}])
    with pytest.raises(
        TaskError, match=r"25 tokens, which with a response of 8 is more than the 32 that .* 'w3 w3"
    ) as e:
        preferences(rewarded, **folders)
    assert e.value.key == "reward_model"


def test_a_reward_models_tokenizer_with_tokens_that_it_does_not_know(rewarded: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(rewarded / "reward")
    tokenizer.add_tokens(["w3 w"])
    tokenizer.save_pretrained(rewarded / "reward")
    preferences(rewarded, reward_model=str(rewarded / "reward"))
    write_lines(rewarded / "rows.jsonl", [*ROWS, {"prompt": "w3 w3 ", "completion": "w1"}])
    with pytest.raises(TaskError, match="makes tokens beyond the 22 that the model knows"):
        preferences(rewarded, reward_model=str(rewarded / "reward"))


def test_a_reward_model_that_does_not_know_its_tokenizers_padding(rewarded: Path) -> None:
    texts = [Example("w1 "), Example("w2 w3 ")], ["w4", "w5 w6"]
    expected = RewardModel(str(rewarded / "reward")).scores(*texts)
    file = rewarded / "reward" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": None}))
    np.testing.assert_allclose(RewardModel(str(rewarded / "reward")).scores(*texts), expected, atol=1e-5)


def test_no_text_is_longer_than_a_reward_model_has_positions(rewarded: Path) -> None:
    """Its tokenizer names no limit; RoBERTa's positions begin behind the padding's."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    long = [Example("w1 ")], [" ".join(["w3"] * 50 + ["w2"] * 31)]
    model = RewardModel(str(rewarded / "reward"))
    assert model._tokenizer.model_max_length > 1e9
    exact = [Example("")], [" ".join(["w3"] + ["w2"] * 31)]
    np.testing.assert_allclose(model.scores(*long), model.scores(*exact), atol=1e-5)
    torch.manual_seed(0)
    RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=len(WORDS) + 2, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=1,
            intermediate_size=32, max_position_embeddings=12, pad_token_id=1, bos_token_id=None, eos_token_id=None,
        )
    ).save_pretrained(rewarded / "reward")  # fmt: skip
    roberta = RewardModel(str(rewarded / "reward"))
    exact = [Example("")], [" ".join(["w2"] * 10)]
    np.testing.assert_allclose(roberta.scores(*long), roberta.scores(*exact), atol=1e-5)
