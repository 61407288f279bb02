"""`lm/preferences/<data>`: preference data and a reward model, your own or from elsewhere.

The data (preference_data.py) gives the prompts, the fixed pairs for algorithms that learn offline, and responses to
fine-tune a tiny model on; the reward model (reward_model.py) rewards training. Where a `gold_model` is named, it is
the gold reward that training never sees; otherwise evaluation sees the reward model too, and over-optimisation cannot.
A tenth of the prompts is held out, chosen by the hash of their texts, with all rows that begin with them.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from haepo_bench.errors import TaskError, blamed_on
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.lm import preference_data
from haepo_bench.tasks.lm.base import TINY, LanguageTask, characters
from haepo_bench.tasks.lm.examples import Example, Pair
from haepo_bench.tasks.lm.reward_model import RewardModel

#: One of this many prompts is held out.
HELD_OUT_ONE_IN = 10


class Preferences(LanguageTask):
    """Prompts from data, rewards from models; without reference returns, so with returns and no score.

    Args:
        data: a JSONL or Parquet file, or a dataset on the Hugging Face hub.
        reward_model: name or folder of the model that rewards training.
        gold_model: name or folder of the model that evaluates; None for the reward model.

    Raises:
        TaskError: the data or a model is missing or of no use.
    """

    version = 1
    tags = ("language", "reward model", TINY)
    #: Most new tokens of a response where the suite sets no `time_limit`.
    horizon = 128

    def __init__(self, data: str, *, reward_model: str | None, gold_model: str | None) -> None:
        if not data:
            raise TaskError(
                "lm/preferences needs data", remedy="add data: FILE.jsonl, or write lm/preferences/FILE.jsonl"
            )
        if reward_model is None:
            raise TaskError(
                f"lm/preferences/{data} needs a reward model",
                remedy="add reward_model: a folder or hub name of a sequence classifier with one label",
            )
        self.id = f"lm/preferences/{data}"
        self.summary = f"the prompts of {data}, rewarded by {reward_model}"
        with blamed_on("data"):
            rows = preference_data.read(data)
        with blamed_on("reward_model"):
            self._reward = self._gold = RewardModel(reward_model)
        self.reward_models = {"reward_model": self._reward}
        if gold_model is not None:
            with blamed_on("gold_model"):
                self._gold = RewardModel(gold_model)
            self.reward_models["gold_model"] = self._gold
        contents = {key: model.content for key, model in self.reward_models.items()}
        self.inputs = {"data": preference_data.content_hash(rows), **contents}
        first = {row.prompt: row for row in reversed(rows)}  # a prompt's first row wins
        if len(first) < 2:
            with blamed_on("data"):
                raise TaskError(f"'{data}' has one prompt", remedy="some must be held out: give at least two")
        ordered = sorted(first, key=lambda prompt: hashlib.sha256(prompt.encode()).digest())
        held_out = set(ordered[: -(-len(first) // HELD_OUT_ONE_IN)])
        examples = [
            Example(prompt, row.response, {"messages": row.messages} if row.messages else {})
            for prompt, row in reversed(first.items())
        ]
        self.train = tuple(example for example in examples if example.prompt not in held_out)
        self.held_out = tuple(example for example in examples if example.prompt in held_out)
        trained = [row for row in rows if row.prompt not in held_out]
        self.demonstrations = tuple((row.prompt, row.response) for row in trained)
        self.pairs = tuple(Pair(row.prompt, row.response, row.rejected) for row in trained if row.rejected is not None)
        self.vocabulary = characters([text for row in rows for text in (row.prompt, row.response, row.rejected or "")])

    @property
    def gold_is_reward(self) -> bool:
        return self._gold is self._reward

    def compute_rewards(
        self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator
    ) -> Array:
        return self._reward.scores(examples, responses)

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        return self._gold.scores(examples, responses)
