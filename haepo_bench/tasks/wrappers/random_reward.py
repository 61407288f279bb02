"""`random-reward(<task>)`: the control. Training is rewarded by the toss of a coin, whatever was done.

Some language models get better at a benchmark by any training at all, with rewards that mean nothing (Shao et al.
2025, Spurious Rewards, arXiv 2506.10947): a gain counts only beside what the same training gains from such rewards. A
response receives 0 or 1 with probability one half each, from a stream of its own, so that nothing of its text can be
learnt from it, not even by heart; an episode of another task likewise, at its last step, so that its length does not
matter to its return (under a discount, and to losses that divide by the length, it does, and what that gains is not a
gain from the reward). Nothing else tells of the task: a control has no fixed preferences and no expert. The starting
policy, evaluation, gold rewards and references are those of the task itself.
"""

from collections.abc import Sequence

import numpy as np

from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import CONTROL, Array, Step, Task
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.tasks.wrappers.language import WrappedLanguageTask
from haepo_bench.tasks.wrappers.rewards import CorruptedTask, Corruption, split

SUMMARY = "training receives 0 or 1 at random"
TAGS = (CONTROL,)


class RandomRewards(WrappedLanguageTask):
    """A language task whose training rewards are tosses of a coin, without its preferences and right responses."""

    def __init__(self, inner: LanguageTask, layer: Layer) -> None:
        super().__init__(inner, layer, summary=SUMMARY, tags=TAGS)
        self.pairs = ()

    def compute_rewards(
        self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator
    ) -> Array:
        return stream.integers(2, size=len(responses)).astype(np.float64)

    def expert_response(self, example: Example) -> str:
        return ""

    @property
    def gold_is_reward(self) -> bool:
        return False


class RandomReturn(Corruption):
    """Pays 0 or 1 at the end of an episode and nothing before."""

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().reset(streams)
        self._tosses = np.stack([split(stream).integers(2, size=observations.shape[1]) for stream in streams])
        return observations

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().restart(where, streams)
        self._tosses[where] = [split(stream).integers(2) for stream in streams]
        return observations

    def running(self) -> dict[str, Array]:
        return {**super().running(), "tosses": self._tosses}

    def pay(self, step: Step, actions: Array) -> Array:
        return np.where(step.terminated | step.truncated, self._tosses, 0.0)


class RandomReturns(CorruptedTask):
    """Another task whose training returns are tosses of a coin, without its expert."""

    def expert(self) -> Array | None:
        return None


def random_reward(inner: Task, layer: Layer) -> Task:
    """`random-reward(<task>)`."""
    if isinstance(inner, LanguageTask):
        return RandomRewards(inner, layer)
    return RandomReturns(inner, layer, RandomReturn, summary=SUMMARY, tags=TAGS)
