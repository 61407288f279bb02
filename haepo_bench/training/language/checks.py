"""What is seen to before a language run costs anything: the task's texts, its prompts in the model, its rewards."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from functools import lru_cache

import numpy as np

from haepo_bench.errors import TaskError, UserError, blamed_on, in_words
from haepo_bench.tasks.lm.base import TINY, LanguageTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.training.language.models import ModelSource, check_weights, context_of, load_texts
from haepo_bench.training.language.rephrasing_prompts import rephrasing_prompts

#: Prompts of each kind, trained on and held out, that rewards are tried on.
_TRIED = 2


@lru_cache(maxsize=8)  # a suite asks for each task once an algorithm
def check_task(task: LanguageTask, source: ModelSource, *, chat: bool) -> None:
    """Refuses a task that its model cannot learn or its rewards cannot score, as far as is known without training.

    Raises:
        TaskError: its texts do not do, the model's files do not fit together, prompts do not fit into a context, or a
            reward is none.
    """
    check_texts(task)
    with blamed_on("model"):
        check_weights(source)
        check_prompts(task, source, chat=chat)
    for key, reward_model in task.reward_models.items():
        with blamed_on(key):
            reward_model.check([*task.train, *task.held_out], task.horizon)
    if all(reward_model.is_small for reward_model in task.reward_models.values()):
        try_rewards(task)


def check_texts(task: LanguageTask) -> None:
    """Refuses a task without prompts, with prompts both trained on and held out, or with texts the tiny model lacks.

    Raises:
        TaskError: names one.
    """
    for what, examples in (("train on", task.train), ("evaluate on", task.held_out)):
        if not examples:
            raise TaskError(f"{task.id} has no prompts to {what}", remedy="fix the task: `train` and `held_out`")
    trained = {example.prompt for example in task.train}
    shared = [example.prompt for example in task.held_out if example.prompt in trained]
    if shared:
        raise TaskError(
            f"held-out prompts of {task.id} are trained on too ({len(shared):,} of {len(task.held_out):,}), such as "
            f"{shared[0][:60]!r}",
            remedy="fix the task: no prompt of `held_out` may be in `train`",
        )
    if task.model == TINY:
        _check_vocabulary(task)


def check_prompts(task: LanguageTask, source: ModelSource, *, chat: bool) -> None:
    """Refuses prompts that do not fit into the model's context with the longest response.

    Raises:
        TaskError: names the longest prompt; or the tokenizer or the configuration cannot be loaded.
    """
    examples = [*task.train, *task.held_out]
    _check_fit(task, source, [example.prompt for example in examples], chat=chat)


def check_rephrasing(task: LanguageTask, source: ModelSource, template: str, *, chat: bool) -> None:
    """Refuses a rephrasing prompt that the model has no tokens for, or that does not fit into its context.

    Raises:
        TaskError: names a text.
    """
    shown = rephrasing_prompts(template, task)
    if task.model == TINY and (lacking := _without_token(task, shown)):
        raise TaskError(
            f"the tiny model of {task.id} has no token for {lacking[0]!r}, which the prompt for rephrasing has: it "
            "knows the texts of its task and nothing else",
            remedy="name another model, or write a rephrasing_prompt of the task's own characters",
        )
    _check_fit(task, source, shown, chat=chat)


def _check_fit(task: LanguageTask, source: ModelSource, prompts: Sequence[str], *, chat: bool) -> None:
    context = context_of(source)
    tokens: Callable[[Sequence[str]], Sequence[Sized]]
    if source.name == TINY:  # at most a token a character: without the libraries, so that suites are checked fast
        tokens = lambda texts: [f"<{text}" for text in texts]  # noqa: E731
    else:
        tokens = load_texts(source, task, chat=chat).prompts
    lengths = [len(ids) for ids in tokens(prompts)]
    if 0 in lengths:
        raise TaskError(f"{task.id} has an empty prompt", remedy="a prompt needs one token at least")
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if context is not None and lengths[longest] + task.horizon > context:
        start = prompts[longest][:60]
        raise TaskError(
            f"a prompt of {task.id} has {lengths[longest]:,} tokens, which with a response of {task.horizon:,} is more "
            f"than the model's context of {context:,}: {start!r}",
            remedy="shorten or leave out such prompts, or take a model with a longer context",
        )


@lru_cache(maxsize=8)
def try_rewards(task: LanguageTask) -> None:
    """Asks for the rewards of a few of the task's own texts: what is wrong with all of them shows before training.

    Raises:
        TaskError: they are not finite numbers, one per response, or cannot be computed.
    """
    examples = [*task.train[:_TRIED], *task.held_out[:_TRIED]]
    known = dict(task.demonstrations)
    responses = [example.reference or known.get(example.prompt, "") for example in examples]
    try:
        _pay(task, examples, responses)
    except UserError:
        raise
    except Exception as error:  # anybody's code
        raise TaskError(
            f"the rewards of {task.id} fail on its own texts, such as {responses[0][:60]!r} in response to "
            f"{examples[0].prompt[:60]!r}: {in_words(error)}",
            remedy="fix the task",
        ) from error


def _pay(task: LanguageTask, examples: Sequence[Example], responses: Sequence[str]) -> None:
    # Streams of a run are keyed by its seed; this one is not a run's.
    task.training().rewards(examples, responses, np.random.default_rng(0))  # type: ignore[attr-defined]
    task.gold(examples, responses)
    task.metrics(examples, responses)


def _check_vocabulary(task: LanguageTask) -> None:
    if lacking := _without_token(task, _texts(task)):
        raise TaskError(
            f"the vocabulary of {task.id} has no token for {lacking[0]!r} of its own text {lacking[1][:60]!r}",
            remedy="fix the task: `characters` and `words` of tasks/lm/base.py make a vocabulary of texts",
        )


def _without_token(task: LanguageTask, texts: Iterable[str]) -> tuple[str, str] | None:
    """The first character that the tiny model has no token for, and the text that has it; None for none."""
    from haepo_bench.policies.tiny import longest_first

    known = set(task.vocabulary)
    # Whatever the longest tokens leave over must be tokens itself; mostly all characters are.
    cut = re.compile(longest_first(known) or r"(?!)")
    for text in texts:
        if not known.issuperset(text) and (rest := cut.sub("", text)):
            return rest[0], text
    return None


def _texts(task: LanguageTask) -> Iterator[str]:
    for example in (*task.train, *task.held_out):
        yield example.prompt
    for demonstration in task.demonstrations:
        yield from demonstration
    for pair in task.pairs:
        yield from pair
