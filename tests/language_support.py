"""A small language task, and models to learn it, for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example, Pair
from haepo_bench.training.language.texts import Texts

LETTERS = "abcd"


class Vowels(LanguageTask):
    """Prompts of one to four letters; the reward is the share of `a` among the four letters of a response."""

    id, version, summary = "lm/vowels", 1, "write a"
    horizon = 5
    references = References(random=0.2, solved=1.0, source="made up")
    success_return = 1.0
    vocabulary = LETTERS
    fine_tuning_steps = 4

    def __init__(self) -> None:
        prompts = [LETTERS[i % 4] * (1 + i % 3) + LETTERS[i // 4 % 4] for i in range(48)]
        unique = list(dict.fromkeys(prompts))
        self.train = [Example(prompt) for prompt in unique[::2]]
        self.held_out = [Example(prompt) for prompt in unique[1::2]]
        generator = np.random.default_rng(0)
        self.demonstrations = [
            (example.prompt, "".join(generator.choice(list(LETTERS), 4))) for example in self.train for _ in range(8)
        ]
        self.pairs = [Pair(example.prompt, "aaaa", "bcdb") for example in self.train]

    @property
    def gold_is_reward(self) -> bool:
        return True

    def compute_rewards(self, examples: Sequence[Example], responses: Sequence[str], stream: Any) -> Array:
        return self.compute_gold(examples, responses)

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        return np.array([response[:4].count("a") / 4 for response in responses])


def texts() -> Texts:
    return Texts(tiny_tokenizer(LETTERS))


def small_model(seed: int = 0, **changes: Any) -> Any:
    """One layer, 16 wide, over 7 tokens; weights far enough from zero that its distribution is not uniform."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    options = {
        "vocab_size": 7, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "initializer_range": 0.5, "tie_word_embeddings": True,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**{**options, **changes}))


@contextmanager
def small_tiny_model(cache: Path) -> Iterator[None]:
    """The model called `tiny` is a quarter of itself meanwhile, and its starting policies are kept in `cache`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setattr(
            "haepo_bench.policies.tiny.tiny_model",
            lambda vocabulary, width: small_model(vocab_size=3 + len(vocabulary), initializer_range=0.1),
        )
        yield


def small_policy(seed: int = 0, **options: Any) -> LanguagePolicy:
    return LanguagePolicy(small_model(seed), **{"pad": 0, "stops": (2,), **options})
