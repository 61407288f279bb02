"""What one iteration learns from: sampled responses and their rewards, or preferences from a fixed set."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import uniforms
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import CLEAN_RETURN
from haepo_bench.tasks.language import LanguageTask
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.streams import stream

_T = TypeVar("_T")


@dataclass(frozen=True)
class Batch:
    """Responses in groups of equal size, group by group.

    Args:
        returns: [row] float64, as training is paid.
        groups: prompts.
        columns: what the recorder is told of it.
    """

    responses: Responses
    returns: Array
    groups: int
    columns: dict[str, float]

    @property
    def tokens(self) -> int:
        """Of all responses: the env steps of a language run."""
        return int(self.responses.lengths.sum())


class Batches(ABC):
    """Makes the batches of one run."""

    @abstractmethod
    def batch(self, seed: int, iteration: int) -> Batch:
        """The batch of an iteration, which depends on nothing but the policy as it is now, seed and iteration."""


class Sampled(Batches):
    """Responses of the current policy to prompts drawn anew for each batch, with the task's training rewards.

    Args:
        task: as training sees it.
    """

    def __init__(self, task: LanguageTask, policy: LanguagePolicy, texts: Texts, settings: LanguageSettings) -> None:
        self._task, self._policy, self._texts, self._settings = task, policy, texts, settings
        self._prompts = texts.prompts([example.prompt for example in task.train])

    def batch(self, seed: int, iteration: int) -> Batch:
        K, horizon = self._settings.completions, self._task.horizon
        chosen = drawn(len(self._prompts), self._settings.prompts, stream("environment", seed, iteration))
        noise = uniforms(stream("action noise", seed, iteration), len(chosen) * K, horizon)
        started = time.perf_counter()
        responses = self._policy.sample([self._prompts[i] for i in chosen], noise, copies=K)
        ids = responses.texts()
        seconds = time.perf_counter() - started
        texts = self._texts.decode(ids)
        examples = [self._task.train[i] for i in chosen for _ in range(K)]
        returns = self._task.rewards(examples, texts, stream("reward", seed, iteration))
        stops = set(self._texts.stops)
        columns = {
            "train_return": float(returns.mean()),
            "response_length": float(np.mean([len(one) for one in ids])),
            "cut_off_share": float(np.mean([one[-1] not in stops for one in ids])),
            "tokens_per_second": sum(map(len, ids)) / seconds,
        }
        if not self._task.gold_is_reward:
            columns[CLEAN_RETURN] = float(self._task.gold(examples, texts).mean())
        return Batch(responses, returns, len(chosen), columns)


class Preferences(Batches):
    """Pairs of a task's fixed preference set as groups of two: 1 for the chosen response, 0 for the rejected one."""

    def __init__(self, task: LanguageTask, policy: LanguagePolicy, texts: Texts, settings: LanguageSettings) -> None:
        self._pad, self._size, self._device = texts.pad, settings.prompts, policy.device
        self._prompts = texts.prompts([pair.prompt for pair in task.pairs])
        chosen = texts.responses([pair.chosen for pair in task.pairs])
        rejected = texts.responses([pair.rejected for pair in task.pairs])
        # What is longer than the task allows is cut off, as sampled responses are.
        self._responses = [
            [one[: task.horizon], two[: task.horizon]] for one, two in zip(chosen, rejected, strict=True)
        ]

    def batch(self, seed: int, iteration: int) -> Batch:
        pairs = drawn(len(self._prompts), self._size, stream("environment", seed, iteration))
        prompts = [self._prompts[i] for i in pairs for _ in range(2)]
        responses = [response for i in pairs for response in self._responses[i]]
        rows = Responses.of(prompts, responses, self._pad).to(self._device)
        columns = {"response_length": float(np.mean([len(one) for one in responses]))}
        return Batch(rows, np.tile([1.0, 0.0], len(pairs)), len(pairs), columns)


def drawn(n: int, size: int, generator: np.random.Generator) -> Sequence[int]:
    """`size` of n places, none twice unless there are too few."""
    if size <= n:
        return [int(i) for i in generator.choice(n, size, replace=False)]
    return [int(i) for i in generator.integers(n, size=size)]
