"""What a language task is: prompts, a reward that training sees, and a gold reward that it never sees.

A response is one trajectory: its tokens are the actions, its reward comes at its end. Trajectories are compared
within their prompt (group). Rewards are functions of texts, so a task knows nothing of tokens or models; it says which
model is to learn it (`model`), and that model's tokenizer makes tokens of the texts.
"""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import LANGUAGE, Array, Task, VectorEnvironment
from haepo_bench.tasks.lm.examples import Example, Floats, Pair

if TYPE_CHECKING:
    from haepo_bench.tasks.lm.reward_model import RewardModel


_WORDS = re.compile(r" ?\w+|\W")

#: The model that is made from a config and fine-tuned on the task's own demonstrations.
TINY = "tiny"


class LanguageTask(Task):
    """Prompts, split into those trained on and those held out, and what responses to them are worth.

    `compute_rewards` and `compute_gold` may be anybody's code: callers use `rewards` and `gold`, which check values.
    `references` are on the scale of the gold reward. `horizon` is the most new tokens of a response; a response is
    given as its text up to the stop token, without it.
    """

    #: `tiny`, a local path, or a name on the Hugging Face hub.
    model: str = TINY
    #: Prompts to train on.
    train: Sequence[Example]
    #: Prompts to evaluate on; none of them is in `train`.
    held_out: Sequence[Example]
    #: (prompt, response) to fine-tune the tiny model on; empty where the task has none.
    demonstrations: Sequence[tuple[str, str]] = ()
    #: Gradient steps on the demonstrations that make the tiny model's starting policy.
    fine_tuning_steps: int = 500
    #: Demonstrations in each of these steps.
    fine_tuning_batch: int = 64
    #: Of the tiny model's hidden state (policies/tiny.py).
    tiny_width: int = 128
    #: Fixed preferences, for algorithms that learn offline; empty where the task has none.
    pairs: Sequence[Pair] = ()
    #: What prompts, demonstrations and pairs are made of, each once: the tiny model's tokens beside special ones.
    vocabulary: Sequence[str]
    #: Models that read prompts with responses to pay for them, by the key of a suite that names each.
    reward_models: "Mapping[str, RewardModel]" = MappingProxyType({})
    backend = LANGUAGE

    @abstractmethod
    def compute_rewards(
        self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator
    ) -> Array:
        """[response] the training reward of each response to the example of the same place.

        Args:
            stream: for rewards with a chance of their own; keyed by the run's seed and iteration.
        """

    @abstractmethod
    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        """[response] what each response is really worth: evaluated with, never trained on."""

    def compute_metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> Mapping[str, Array]:
        """What is measured of responses besides the gold reward: column to [response]."""
        return {}

    def answer_start(self, response: str) -> int | None:
        """Where the answer at a response's end begins, in characters; None where no answer follows a working."""
        return None

    def expert_response(self, example: Example) -> str:
        """What an expert responds to an example of `train`; "" where training has no expert."""
        return example.reference

    @property
    def gold_is_reward(self) -> bool:
        """Whether training receives the gold reward itself, so that there is nothing to over-optimise."""
        return False

    def rewards(self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator) -> Floats:
        """As `compute_rewards`, checked: float64.

        Raises:
            TaskError: another number of values than of responses, or one that is not finite.
        """
        return self._checked("the reward", self.compute_rewards(examples, responses, stream), examples, responses)

    def gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Floats:
        """As `compute_gold`, checked as `rewards` are."""
        return self._checked("the gold reward", self.compute_gold(examples, responses), examples, responses)

    def metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> dict[str, Floats]:
        """As `compute_metrics`, checked as `rewards` are."""
        measured = self.compute_metrics(examples, responses)
        return {name: self._checked(f"'{name}'", values, examples, responses) for name, values in measured.items()}

    def _checked(self, what: str, values: Any, examples: Sequence[Example], responses: Sequence[str]) -> Floats:
        if len(examples) != len(responses):
            raise ValueError(f"{len(examples)} examples, but {len(responses)} responses")
        try:
            checked: Floats = np.asarray(values, np.float64)
        except (TypeError, ValueError) as error:
            raise TaskError(f"{what} of {self.id} is not a list of numbers: {error}", remedy="fix the task") from error
        if checked.shape != (len(responses),):
            shape = f"{checked.shape[0]} values" if checked.ndim == 1 else f"values of shape {list(checked.shape)}"
            raise TaskError(
                f"{what} of {self.id} gave {shape} for {len(responses)} responses",
                remedy="it must give one number for each response",
            )
        bad = np.flatnonzero(~np.isfinite(checked))
        if len(bad):
            first = int(bad[0])
            raise TaskError(
                f"{what} of {self.id} is {checked[first]} for {_shown(responses[first])}, a response to "
                f"{_shown(examples[first].prompt)} ({len(bad)} of {len(checked)} values are not finite)",
                remedy="a reward must be a finite number: fix the reward or take the example out",
            )
        return checked

    def vector(self, trajectories: int) -> VectorEnvironment:
        self._refuse_stepping()

    @property
    def observation_space(self) -> spaces.Box:  # type: ignore[override]
        """Raises TaskError: token ids are the model's affair."""
        self._refuse_stepping()

    @property
    def action_space(self) -> spaces.Discrete | spaces.Box:  # type: ignore[override]
        """Raises TaskError: token ids are the model's affair."""
        self._refuse_stepping()

    def _refuse_stepping(self) -> NoReturn:
        raise TaskError(
            f"{self.id} is a language task: it has prompts and responses, and no environment to step",
            remedy="a causal language model learns it, through the native algorithms of a suite; the only "
            "wrappers that go around it are random-reward and flip",
        )


class VerifiedTask(LanguageTask):
    """A language task that trains on its gold reward itself."""

    @property
    def gold_is_reward(self) -> bool:
        return True

    def compute_rewards(
        self, examples: Sequence[Example], responses: Sequence[str], stream: np.random.Generator
    ) -> Array:
        return self.compute_gold(examples, responses)


def with_model(address: str, model: str) -> str:
    """The id of a language task that `model` learns: `lm/arithmetic` for the tiny one, else `lm/arithmetic@model`."""
    return address if model == TINY else f"{address}@{model}"


def split_model(variant: str) -> tuple[str, str]:
    """(variant, model) of `arithmetic` or `arithmetic@model`."""
    name, _, model = variant.partition("@")
    return name, model or TINY


def characters(*texts: Sequence[str]) -> list[str]:
    """Every character of the texts once, in the order of their code points."""
    return sorted({character for group in texts for text in group for character in text})


def words(*texts: Sequence[str]) -> list[str]:
    """Every word of the texts once, with the space before it, and every other character that is in no word."""
    return sorted({token for group in texts for text in group for token in _WORDS.findall(text)})


def _shown(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")
