"""What wrappers of language tasks have in common: a task around another, which does all that is not said otherwise."""

from collections.abc import Mapping, Sequence

import numpy as np

from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import Array, Task
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example


class WrappedLanguageTask(LanguageTask):
    """A language task around another.

    Args:
        layer: the wrapper as the address has it.
        summary: what the wrapper does, in a few words.
        tags: added to the inner task's.
    """

    def __init__(self, inner: LanguageTask, layer: Layer, *, summary: str, tags: tuple[str, ...]) -> None:
        described = {**Task.__annotations__, **LanguageTask.__annotations__}
        spaces = ("observation_space", "action_space")
        vars(self).update({name: getattr(inner, name) for name in described if name not in spaces})
        self.id = layer.around(inner.id)
        self.summary = f"{inner.summary}; {summary}"
        self.tags = tuple(dict.fromkeys((*inner.tags, *tags)))
        self._inner = inner

    def compute_rewards(
        self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator
    ) -> Array:
        return self._inner.compute_rewards(examples, responses, stream)

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        return self._inner.compute_gold(examples, responses)

    def compute_metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> Mapping[str, Array]:
        return self._inner.compute_metrics(examples, responses)

    def expert_response(self, example: Example) -> str:
        return self._inner.expert_response(example)

    @property
    def gold_is_reward(self) -> bool:
        return self._inner.gold_is_reward
