"""The language tasks, `lm/...`, one file each (the contract is tasks/lm/base.py).

| address | what it asks |
|---|---|
| `lm/arithmetic` | to be right more often than those who taught it: answers that can be verified |
| `lm/scratchpad` | to take its time over a written working of 21 to 69 tokens, rewarded for its answer |
| `lm/synthetic-summary` | to stop in time: a learnt reward model that agrees with the gold reward at first |
| `lm/long-horizon/<length>` | to tell from one reward at the end which of 32 to 256 tokens earned it |
| `lm/preferences/<data>` | what real preference data and a real reward model ask |

Behind `@` stands the model that learns, a local path or a name on the Hugging Face hub: `lm/arithmetic@gpt2`. Without
it the model is tiny, and made from the task's own demonstrations.
"""

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.tasks.lm.base import TINY, LanguageTask, split_model, with_model

#: Keys of a suite's task entry that are for one of these tasks alone.
PREFERENCE_KEYS = ("reward_model", "gold_model")


def make(
    variant: str, *, time_limit: int | None = None, reward_model: str | None = None, gold_model: str | None = None
) -> LanguageTask:
    """`lm/<variant>`.

    Args:
        time_limit: most new tokens of a response, in place of the task's own number.
        reward_model: a sequence classifier with one label, the reward of training; for `lm/preferences` alone.
        gold_model: likewise, that evaluates.
    """
    name, model = split_model(variant)
    task = _of_tiny_model(name, reward_model=reward_model, gold_model=gold_model)
    if variant.endswith("@"):
        raise TaskError(
            f"no model is named behind the '@' of lm/{variant}",
            remedy=f"write lm/{name}, or name a model behind the '@'",
        )
    task.id, task.model = with_model(task.id, model), model
    if time_limit is not None:
        if name.startswith("long-horizon/"):
            raise TaskError(
                "the length of responses is part of a long horizon's address",
                remedy=f"remove time_limit, or write lm/long-horizon/{time_limit}",
                key="time_limit",
            )
        task.horizon = time_limit
    if model != TINY:
        task.tags = tuple(tag for tag in task.tags if tag != TINY)
    return task


def _of_tiny_model(name: str, *, reward_model: str | None, gold_model: str | None) -> LanguageTask:
    kind, _, rest = name.partition("/")
    if kind == "preferences":
        from haepo_bench.tasks.lm.preferences import Preferences

        return Preferences(rest, reward_model=reward_model, gold_model=gold_model)
    if reward_model is not None or gold_model is not None:
        key = "reward_model" if reward_model is not None else "gold_model"
        raise TaskError(f"lm/{name} has a reward of its own", remedy=f"remove {key}, which is for lm/preferences")
    if name == "arithmetic":
        from haepo_bench.tasks.lm.arithmetic import Arithmetic

        return Arithmetic()
    if name == "scratchpad":
        from haepo_bench.tasks.lm.scratchpad import Scratchpad

        return Scratchpad()
    if name == "synthetic-summary":
        from haepo_bench.tasks.lm.synthetic_summary import SyntheticSummary

        return SyntheticSummary()
    if kind == "long-horizon":
        from haepo_bench.tasks.lm.long_horizon import LongHorizon

        return LongHorizon(rest)
    known = ("arithmetic", "scratchpad", "synthetic-summary", "long-horizon/32", "preferences/<data>")
    remedy = did_you_mean(name, known, kind="language task", family="lm/")
    raise TaskError(f"there is no task 'lm/{name}'", remedy=remedy)
