"""What one iteration learns from: sampled responses and their rewards, or preferences from a fixed set."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import uniforms
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import CLEAN_RETURN
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.training.episodes.prefixes import Prefixes, PrefixPolicies
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.streams import stream


@dataclass(frozen=True)
class Batch:
    """Responses in groups of equal size, group by group.

    Args:
        returns: [row] float64, as training receives them.
        groups: prompts.
        columns: what the recorder gets of it.
        prompts: [group] place of the prompt of each in the task's `train`; empty where it is none of these.
        prefixes: the tokens that an earlier policy sampled; None where there are none.
    """

    responses: Responses
    returns: Array
    groups: int
    columns: dict[str, float]
    prompts: Sequence[int] = ()
    prefixes: Prefixes | None = None

    @property
    def tokens(self) -> int:
        """Of all responses: the env steps of a language run."""
        return int(self.responses.lengths.sum())


class Answers(NamedTuple):
    """What a policy answered to prompts, and the rewards that training receives for it.

    Args:
        ids: token ids of each response, its stop token included. texts: the same as text, without it.
        examples: of each response.
        returns: [row] float64.
        seconds: that sampling took.
    """

    responses: Responses
    ids: list[list[int]]
    texts: list[str]
    examples: list[Example]
    returns: Array
    seconds: float


class Revision(NamedTuple):
    """A batch in which some responses gave way to others, and what those cost.

    Args:
        tokens: sampled for that; a token that two responses share counts once.
        responses: sampled for that.
        columns: what the recorder gets of it.
    """

    batch: Batch
    tokens: int
    responses: int
    columns: dict[str, float]


class Reviser(ABC):
    """Samples more responses to a batch's prompts, some of which take the places of others in it."""

    @abstractmethod
    def revise(self, batch: Batch, seed: int, iteration: int) -> Revision:
        """The batch as it is learnt from."""


class Batches(ABC):
    """Makes the batches of one run."""

    @abstractmethod
    def batch(self, seed: int, iteration: int) -> Batch:
        """The batch of an iteration, which depends on nothing but the policy as it is now, seed and iteration.

        Where earlier policies begin responses, on those as well.
        """


class Sampled(Batches):
    """Responses of the current policy to prompts drawn anew for each batch, with the task's training rewards.

    Args:
        task: as training sees it.
        prefix_policies: earlier ones, where these begin a part of the responses; more are kept as batches are drawn.
    """

    def __init__(
        self,
        task: LanguageTask,
        policy: LanguagePolicy,
        texts: Texts,
        settings: LanguageSettings,
        prefix_policies: PrefixPolicies | None = None,
    ) -> None:
        self._task, self._policy, self._texts, self._settings = task, policy, texts, settings
        self._prefix_policies = prefix_policies
        self._prompts = texts.prompts([example.prompt for example in task.train])

    def batch(self, seed: int, iteration: int) -> Batch:
        chosen = drawn(len(self._prompts), self._settings.prompts, stream("environment", seed, iteration))
        completions, prefixes = self._settings.completions, None
        if self._prefix_policies is not None:
            prefixes = self._prefix_policies.draw([seed], iteration, groups=len(chosen), trajectories=completions)
        found = self.answers(
            chosen,
            completions,
            noise=stream("action noise", seed, iteration),
            reward=stream("reward", seed, iteration),
            prefixes=prefixes,
        )
        if self._prefix_policies is not None:
            lengths = np.array([[len(one) for one in found.ids]])
            self._prefix_policies.add(iteration, self._policy.parameters, lengths)
        stops = set(self._texts.stops)
        columns = {
            "train_return": float(found.returns.mean()),
            "response_length": float(np.mean([len(one) for one in found.ids])),
            "cut_off_share": float(np.mean([one[-1] not in stops for one in found.ids])),
            "tokens_per_second": sum(map(len, found.ids)) / found.seconds,
        }
        if not self._task.gold_is_reward:
            columns[CLEAN_RETURN] = float(self._task.gold(found.examples, found.texts).mean())
        return Batch(found.responses, found.returns, len(chosen), columns, chosen, prefixes)

    def answers(
        self,
        prompts: Sequence[int],
        copies: int,
        *,
        noise: np.random.Generator,
        reward: np.random.Generator,
        prefixes: Prefixes | None = None,
        greedy: bool = False,
        begun: Array | None = None,
        shown: Sequence[list[int]] | None = None,
    ) -> Answers:
        """Responses of the policy as it is now, the copies of a prompt together.

        Args:
            prompts: places in the task's `train`.
            copies: responses to each prompt.
            noise: what tokens are drawn with. reward: for rewards with a chance of their own.
            prefixes: tokens that an earlier policy samples, with the noise of their places.
            greedy: whether all tokens are the likeliest ones.
            begun: tokens [row, step] that responses begin with, -1 where none is given; None for none.
            shown: token ids of what the policy answers instead of each prompt; None: the prompts themselves.
        """
        draws = uniforms(noise, len(prompts) * copies, self._task.horizon)
        started = time.perf_counter()
        tokens = begun if prefixes is None else self._prefix_tokens(prompts, copies, draws, prefixes)
        likeliest = np.ones(len(draws), bool) if greedy else None
        read = [self._prompts[i] for i in prompts] if shown is None else shown
        responses = self._policy.sample(read, draws, copies=copies, prefix_tokens=tokens, greedy=likeliest)
        ids = responses.texts()
        seconds = time.perf_counter() - started
        texts = self._texts.decode(ids)
        examples = [self._task.train[i] for i in prompts for _ in range(copies)]
        return Answers(responses, ids, texts, examples, self._task.rewards(examples, texts, reward), seconds)

    def _prefix_tokens(self, prompts: Sequence[int], copies: int, draws: Array, prefixes: Prefixes) -> Array | None:
        """The tokens of prefixes [row, step], -1 elsewhere; None where all are empty."""
        lengths = prefixes.lengths[0]
        rows, steps = [int(row) for row in np.flatnonzero(lengths)], int(lengths.max())
        if not rows:
            return None
        with self._policy.under(prefixes.parameters):
            sampled = self._policy.sample([self._prompts[prompts[row // copies]] for row in rows], draws[rows, :steps])
        tokens = np.full((len(lengths), steps), -1, np.int64)
        for row, ids in zip(rows, sampled.texts(), strict=True):
            own = ids[: lengths[row]]
            tokens[row, : len(own)] = own
        return tokens

    def expert(self, prompts: Sequence[int]) -> Responses:
        """The task's own response to each prompt, cut off where sampled ones are.

        Args:
            prompts: places in the task's `train`.
        """
        written = self._texts.responses([self._task.expert_response(self._task.train[i]) for i in prompts])
        return self.rows(prompts, [response[: self._task.horizon] for response in written])

    def rows(self, prompts: Sequence[int], responses: Sequence[Sequence[int]]) -> Responses:
        """Prompts, as places in the task's `train`, with a response to each, as token ids."""
        return Responses.of([self._prompts[i] for i in prompts], responses, self._texts.pad).to(self._policy.device)


class PreferenceBatch(Batches):
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
