"""Credit token by token on language tasks: what is recorded, and that it is what the models themselves say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_support import Vowels, small_model, small_tiny_model, texts

from haepo_bench import catalogue
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.ipo import Ipo
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.sampling import uniforms
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.tasks.lm.scratchpad import Scratchpad, working
from haepo_bench.training.language.batches import drawn
from haepo_bench.training.language.credit import CREDIT_COLUMNS, answer_tokens, credit_measures
from haepo_bench.training.language.evaluation import LanguageEvaluator
from haepo_bench.training.language.start import cache_folder
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.streams import stream


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield cache_folder()


def test_worked_numbers() -> None:
    """Six tokens with 1, -1, 2, 0, 3, 1 and three with -2, 0, 2: 12 in all, by absolute value."""
    credit = np.array([[1.0, -1.0, 2.0, 0.0, 3.0, 1.0], [-2.0, 0.0, 2.0, 0.0, 0.0, 0.0]])
    found = credit_measures(credit, np.array([6, 3]), np.array([6.0, 0.25]), [range(4, 6), None])
    assert found == pytest.approx(
        {
            "implicit_reward": 3.0,
            "credit_first_third": 4 / 12,  # 1, -1; -2
            "credit_middle_third": 2 / 12,  # 2, 0; 0
            "credit_last_third": 6 / 12,  # 3, 1; 2
            "credit_largest_tenth": 5 / 12,  # one token of each: 3; 2
            "credit_telescoping": 0.25,
            "credit_answer": 4 / 8,
            "credit_answer_tokens": 2 / 6,
        }
    )


def test_a_tenth_is_rounded_up_and_nothing_has_no_shares() -> None:
    credit = np.arange(1.0, 12.0)[None]  # 11 tokens: the largest two of 66
    found = credit_measures(credit, np.array([11]), credit.sum(1))
    assert found["credit_largest_tenth"] == pytest.approx(21 / 66)
    assert "credit_answer" not in found
    # Of 11 tokens the fourth and the eighth straddle two thirds: with their middles 3.5 and 7.5 both are in the middle.
    assert found["credit_first_third"] == pytest.approx((1 + 2 + 3 + 4) / 66)
    assert found["credit_last_third"] == pytest.approx((8 + 9 + 10 + 11) / 66)
    same = credit_measures(np.zeros((1, 3)), np.array([3]), np.zeros(1))
    assert same["implicit_reward"] == same["credit_telescoping"] == 0
    assert np.isnan(same["credit_first_third"])


def alone(model: Any, prompt: list[int], response: list[int]) -> list[float]:
    """Log-probabilities of a response's tokens, one after the other, each from a text of its own without padding."""
    found = []
    with torch.no_grad():
        for place, token in enumerate(response):
            logits = model(input_ids=torch.tensor([[*prompt, *response[:place]]])).logits[0, -1]
            found.append(float(torch.log_softmax(logits.double(), 0)[token]))
    return found


@pytest.mark.parametrize("implicit", [ImplicitReward(0.1, 0.1), ImplicitReward(0.09, 0.1)])
def test_an_evaluation_has_the_credit_that_the_models_say(implicit: ImplicitReward) -> None:
    """The same responses drawn again, token by token through both models."""
    task, own, seed, mark, N = Vowels(), texts(), 0, 2, 12
    policy = LanguagePolicy(small_model(), pad=own.pad, stops=own.stops)
    initial = policy.snapshot()
    evaluator = LanguageEvaluator(task, policy, own, N, initial, implicit)
    policy.parameters += 0.1 * torch.randn(policy.parameters.shape, generator=torch.Generator().manual_seed(1))
    policy.publish()
    measured = evaluator.evaluate(seed, mark, last=False).measures
    held_out = own.prompts([example.prompt for example in task.held_out])
    prompts = [held_out[i] for i in drawn(len(held_out), N, stream("evaluation", seed, mark))]
    noise = uniforms(stream("evaluation noise", seed, mark), 2 * N, task.horizon)
    responses = policy.sample(prompts, noise, copies=2, greedy=np.tile([False, True], N)).texts()[::2]
    assert len({len(one) for one in responses}) > 1
    credit = np.zeros((N, task.horizon))
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        now = alone(policy.model, prompt, response)
        with policy.under(initial):
            before = alone(policy.model, prompt, response)
        credit[row, : len(response)] = implicit.policy * np.array(now) - implicit.reference * np.array(before)
    lengths = np.array([len(one) for one in responses])
    expected = credit_measures(credit, lengths, credit.sum(1))
    telescoping = expected.pop("credit_telescoping")
    assert expected == pytest.approx({name: measured[name] for name in expected}, abs=2e-6)
    assert telescoping == 0 <= measured["credit_telescoping"] < 1e-6


def test_the_tokens_of_an_answer_write_it() -> None:
    """Scratchpad's numbers are one token each; with characters for tokens an answer is several."""
    task = Scratchpad()
    for vocabulary in (task.vocabulary, sorted(set("0123456789+*=~"))):
        own = Texts(tiny_tokenizer(vocabulary))
        for text in (working(9, 6, 4), "=15+6*3~28+6*1=34", "=105"):
            (ids,) = own.responses([text])
            start = task.answer_start(text)
            assert start is not None
            for response in (ids, ids[:-1]):  # with the stop token and, cut off, without
                answer = answer_tokens(response, start, own)
                assert own.decode([[response[token] for token in answer]]) == [text[start:]]
                assert text[start:].isdigit()
    assert task.answer_start("=15+6*") is None
    assert Vowels().answer_start("aaaa") is None


def run(algorithm: str, **parameters: Any) -> SeedResult:
    own = {"prompts": 4, "completions": 4, "learning_rate": 1e-2, **parameters}
    if algorithm == "dpo-offline":
        del own["completions"]
    made = catalogue.language_algorithm(algorithm).configure(own, Vowels())
    results: list[SeedResult] = []
    recorder = Recorder([0], budget=160, every=80, episodes=6, on_finished=results.append)
    made.train(Vowels(), [0], recorder, device="cpu")
    names = {column.name for column in made.columns}
    assert ({column.name for column in CREDIT_COLUMNS} <= names) is ("implicit_reward" in results[0].curve)
    return results[0]


@pytest.mark.parametrize(
    ("algorithm", "parameters", "there"),
    [
        ("dpo", {}, True),
        ("dpo-offline", {}, True),
        ("kto", {}, True),
        ("qrpo", {"reference_episodes": 2}, True),
        ("ipo", {}, True),
        ("ipo", {"length_norm": True}, False),  # its rewards are means, and add up to nothing
        ("reinforce", {}, False),
    ],
)
def test_runs_with_an_implicit_reward_record_it(algorithm: str, parameters: dict[str, Any], there: bool) -> None:
    result = run(algorithm, **parameters)
    assert result.status == "done"
    assert ("implicit_reward" in result.curve) is there
    if there:
        curve = result.curve
        assert curve["implicit_reward"][0] == 0
        assert curve["credit_first_third"][0] is None
        thirds = [float(curve[f"credit_{name}_third"][-1] or 0) for name in ("first", "middle", "last")]
        assert sum(thirds) == pytest.approx(1)
        assert float(curve["credit_telescoping"][-1] or 0) < 1e-5


def test_which_reward_an_objective_implies() -> None:
    assert Dpo(beta=0.2, alpha=0.5).implicit_reward == (0.1, 0.2)
    assert Ipo(beta=0.3).implicit_reward == (0.3, 0.3)
    assert Ipo(length_norm=True).implicit_reward is None
