"""Sampling and log-probabilities of causal language models, against a plain forward pass of each sequence alone."""

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from language_support import small_model, small_policy, texts
from scipy import stats
from torch import Tensor

from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import choose, uniforms
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.training.language.texts import Texts

PROMPTS = [[1, 3], [1, 3, 4, 5, 6, 3], [1, 6, 6], [1, 4, 4, 4, 5]]


def alone(policy: LanguagePolicy, ids: list[int]) -> Tensor:
    """Log-probabilities [token] of what follows each token of one sequence: no padding, no cache."""
    logits = policy.model(input_ids=torch.tensor([ids])).logits[0].double() / policy.temperature
    return torch.log_softmax(logits, -1)


@torch.no_grad()
def drawn_plainly(policy: LanguagePolicy, prompt: list[int], noise: Any) -> list[int]:
    """A response, the whole sequence computed anew for each token."""
    response: list[int] = []
    for u in noise:
        cumulative = alone(policy, [*prompt, *response])[-1].exp().cumsum(0)
        response.append(int(torch.searchsorted(cumulative, float(u) * cumulative[-1], right=True)))
        if response[-1] in policy.stops:
            break
    return response


@pytest.mark.parametrize("stops", [(2,), (2, 3, 4), ()])
def test_a_padded_batch_is_drawn_as_each_prompt_alone(stops: tuple[int, ...]) -> None:
    policy = small_policy(stops=stops)
    noise = uniforms(np.random.default_rng(3), 12, 9)
    found = policy.sample(PROMPTS, noise, copies=3)
    assert found.texts() == [drawn_plainly(policy, PROMPTS[row // 3], noise[row]) for row in range(12)]
    if stops:
        assert len(set(found.lengths.tolist())) > 2  # rows left the batch at different times


def test_a_row_depends_on_its_prompt_and_noise_alone() -> None:
    policy = small_policy()
    noise = uniforms(np.random.default_rng(5), 4, 8)
    together = policy.sample(PROMPTS, noise).texts()
    assert together == [policy.sample([PROMPTS[i]], noise[i : i + 1]).texts()[0] for i in range(4)]


def test_log_probs_and_entropy_are_those_of_a_plain_forward_pass() -> None:
    policy = small_policy(temperature=0.7)
    rows = policy.sample(PROMPTS, uniforms(np.random.default_rng(1), 8, 6), copies=2)
    evaluated = policy.evaluate(rows)
    assert evaluated.entropy is not None
    for row, response in enumerate(rows.texts()):
        prompt = PROMPTS[row // 2]
        expected = alone(policy, [*prompt, *response])[len(prompt) - 1 : -1]
        taken = expected[torch.arange(len(response)), response]
        torch.testing.assert_close(evaluated.log_probs[row, : len(response)].double(), taken, atol=2e-5, rtol=0)
        entropy = -(expected.exp() * expected).sum(-1)
        torch.testing.assert_close(evaluated.entropy[row, : len(response)].double(), entropy, atol=2e-5, rtol=0)


def test_selected_rows_say_the_same_in_fewer_columns() -> None:
    policy = small_policy()
    rows = policy.sample(PROMPTS, uniforms(np.random.default_rng(2), 4, 6))
    short = rows.select(torch.tensor([2, 0]))
    assert short.tokens.shape[1] < rows.tokens.shape[1]
    whole, part = policy.evaluate(rows).log_probs, policy.evaluate(short).log_probs
    mask = short.mask
    torch.testing.assert_close(part[mask], whole[[2, 0]][:, : part.shape[1]][mask], atol=2e-5, rtol=0)


def test_greedy_rows_take_the_likeliest_token() -> None:
    policy = small_policy()
    noise = uniforms(np.random.default_rng(4), 8, 6)
    rows = policy.sample(PROMPTS, noise, copies=2, greedy=np.tile([False, True], 4))
    for row, response in enumerate(rows.texts()):
        prompt = PROMPTS[row // 2]
        likeliest = alone(policy, [*prompt, *response])[len(prompt) - 1 : -1].argmax(-1).tolist()
        assert (response == likeliest) or row % 2 == 0
        assert response == drawn_plainly(policy, prompt, noise[row]) or row % 2 == 1


@pytest.mark.parametrize("stops", [(2,), (2, 3, 4), ()])
def test_responses_go_on_from_given_tokens(stops: tuple[int, ...]) -> None:
    """As if these stood in the prompt, with the noise of the places that are left; a stop token among them ends all."""
    policy = small_policy(stops=stops)
    noise = uniforms(np.random.default_rng(7), 12, 9)
    given = [[], [5], [4, 5, 6], [], [6, 6, 5, 5, 6, 6, 5, 5], [2], [5], [6, 2], [5], [], [], [5, 5]]
    prefix_tokens = np.array([[*ids, *[-1] * (8 - len(ids))] for ids in given])
    found = policy.sample(PROMPTS, noise, copies=3, prefix_tokens=prefix_tokens).texts()
    for row, ids in enumerate(given):
        cut = next((n + 1 for n, token in enumerate(ids) if token in stops), None)
        rest = drawn_plainly(policy, [*PROMPTS[row // 3], *ids], noise[row][len(ids) :])
        assert found[row] == (ids[:cut] if cut else [*ids, *rest])
    assert (
        policy.sample(PROMPTS, noise, copies=3, prefix_tokens=np.full((12, 9), -1)).texts()
        == policy.sample(PROMPTS, noise, copies=3).texts()
    )


def test_responses_have_the_models_distribution() -> None:
    """All responses of two tokens, 20,000 draws, chi-square; a right sampler fails one seed in 1,000, this one not."""
    policy = small_policy(temperature=1.5)
    prompt, n = PROMPTS[1], 20_000
    with torch.no_grad():
        first = alone(policy, prompt)[-1].exp()
        seconds = {a: alone(policy, [*prompt, a])[-1].exp() for a in range(7) if a != 2}
    expected = {(2,): float(first[2])} | {
        (a, b): float(first[a] * seconds[a][b]) for a, b in product(range(7), repeat=2) if a != 2
    }
    rows = policy.sample([prompt], uniforms(np.random.default_rng(6), n, 2), copies=n)
    counts = Counter(map(tuple, rows.texts()))
    common = [key for key, p in expected.items() if p * n >= 5]
    observed = [*(counts[key] for key in common), n - sum(counts[key] for key in common)]
    probabilities = [*(expected[key] for key in common), 1 - sum(expected[key] for key in common)]
    assert set(counts) <= set(expected)
    assert stats.chisquare(observed, np.array(probabilities) / sum(probabilities) * n).pvalue > 1e-3


def test_tokens_are_where_the_distribution_function_says() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.0, 0.4, 0.5]])).expand(6, -1)
    u = torch.tensor([0.0, 0.0999, 0.1001, 0.4999, 0.5001, 1 - 2**-24])
    assert choose(logits, u).tolist() == [0, 0, 2, 2, 3, 3]


def test_the_nucleus_is_the_fewest_tokens_that_hold_the_probability() -> None:
    """Of 0.1, 0.25, 0.45, 0.2 the nucleus of 0.6 is {0.45, 0.25}, renormalised to 9/14 and 5/14; exact, no draws."""
    logits = torch.log(torch.tensor([[0.1, 0.25, 0.45, 0.2]]))
    grid = (torch.arange(1400) + 0.5) / 1400
    tokens = choose(logits.expand(1400, -1), grid, top_p=0.6)
    assert Counter(tokens.tolist()) == {2: 900, 1: 500}
    # A nucleus that the likeliest token fills alone is greedy.
    assert set(choose(logits.expand(1400, -1), grid, top_p=0.3).tolist()) == {2}


def test_values_are_read_before_the_token_is_taken() -> None:
    policy = small_policy(value_head=True)
    policy.parameters[0, -17:] = torch.linspace(-1, 1, 17)
    policy.publish()
    rows = policy.sample(PROMPTS, uniforms(np.random.default_rng(8), 4, 5))
    values = policy.evaluate(rows).values
    assert values is not None
    weight, bias = policy.parameters[0, -17:-1], policy.parameters[0, -1]
    for row, response in enumerate(rows.texts()):
        ids = [*PROMPTS[row], *response]
        hidden = policy.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        expected = hidden[len(PROMPTS[row]) - 1 : -1] @ weight + bias
        torch.testing.assert_close(values[row, : len(response)], expected, atol=1e-4, rtol=0)


def test_parameters_can_be_exchanged_and_come_back() -> None:
    policy = small_policy()
    rows = policy.sample(PROMPTS, uniforms(np.random.default_rng(8), 4, 5))
    before, initial = policy.evaluate(rows).log_probs, policy.snapshot()
    policy.parameters.mul_(1.1)
    policy.publish()
    changed = policy.evaluate(rows).log_probs
    with policy.under(initial):
        assert torch.equal(policy.evaluate(rows).log_probs, before)
    assert torch.equal(policy.evaluate(rows).log_probs, changed)
    assert not torch.equal(before, changed)


@pytest.mark.parametrize("kind", ["gpt2", "llama-grouped", "mistral", "bfloat16"])
def test_models_of_other_kinds(kind: str) -> None:
    """Learned positions, grouped heads, a window: a padded batch is drawn and evaluated as each prompt alone."""
    if kind == "gpt2":
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=7, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3, bos_token_id=1,
            eos_token_id=2,
        )  # fmt: skip
        policy = LanguagePolicy(GPT2LMHeadModel(config), pad=2, stops=(2,))
    elif kind == "mistral":
        from transformers import MistralConfig, MistralForCausalLM

        torch.manual_seed(0)
        window = MistralConfig(
            vocab_size=7, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.5, sliding_window=4, pad_token_id=0,
        )  # fmt: skip
        policy = LanguagePolicy(MistralForCausalLM(window), pad=0, stops=(2,))
    elif kind == "bfloat16":
        policy = LanguagePolicy(small_model().bfloat16(), pad=0, stops=(2,))
    else:
        policy = LanguagePolicy(small_model(num_attention_heads=4, num_key_value_heads=2), pad=0, stops=(2,))
    noise = uniforms(np.random.default_rng(3), 8, 6)
    rows = policy.sample(PROMPTS, noise, copies=2)
    log_probs = policy.evaluate(rows).log_probs
    tolerance = 0.15 if kind == "bfloat16" else 2e-5
    for row, response in enumerate(rows.texts()):
        prompt = PROMPTS[row // 2]
        expected = alone(policy, [*prompt, *response])[len(prompt) - 1 : -1]
        taken = expected[torch.arange(len(response)), response]
        torch.testing.assert_close(log_probs[row, : len(response)].double(), taken, atol=tolerance, rtol=0)
        if kind != "bfloat16":
            assert response == drawn_plainly(policy, prompt, noise[row])


def test_texts_go_to_tokens_and_back() -> None:
    own = texts()
    assert own.prompts(["ab", "dcb"]) == [[1, 3, 4], [1, 6, 5, 4]]
    assert own.responses(["ab", ""]) == [[3, 4, 2], [2]]
    assert own.decode([[3, 4, 2], [3, 4], [2]]) == ["ab", "ab", ""]
    # Of words the longest that fit, from the left; none of their characters means anything else.
    words = Texts(tiny_tokenizer([" a", "a", "a|b", "."]))
    assert words.responses(["a a|b.a"]) == [[4, 3, 0, 0, 6, 4, 2]]
    assert words.responses(["a|b a."]) == [[5, 3, 6, 2]]


def test_rows_remember_what_is_padding() -> None:
    rows = Responses.of([[1, 3], [1, 4, 5]], [[3, 2], [6]], pad=0)
    assert rows.tokens.tolist() == [[0, 1, 3, 3, 2], [1, 4, 5, 6, 0]]
    assert rows.mask.tolist() == [[True, True], [True, False]]
    assert rows.padding()["attention_mask"].tolist() == [[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert rows.padding()["position_ids"].tolist() == [[0, 0, 1, 2, 3], [0, 1, 2, 3, 4]]
