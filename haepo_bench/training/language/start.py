"""The starting policy: a task's model, fine-tuned on its demonstrations; made once and kept in the user's cache."""

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import haepo_bench.policies.language
import haepo_bench.policies.responses
import haepo_bench.policies.tiny
import haepo_bench.training.adam
import haepo_bench.training.language.fine_tuning
from haepo_bench.errors import TaskError, UserError
from haepo_bench.files import open_in_place, read_regular, reason_of
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.results.sealing import BrokenSeal, seal, unseal
from haepo_bench.results.store import put_aside
from haepo_bench.results.writing import translate_os_errors, write_atomically
from haepo_bench.tasks.lm.base import TINY, LanguageTask
from haepo_bench.training.language.fine_tuning import fine_tune
from haepo_bench.training.language.models import ModelSource, context_of, load_model
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.streams import stream

#: What a starting policy follows from, beside its settings.
_CODE = (
    haepo_bench.policies.language,
    haepo_bench.policies.responses,
    haepo_bench.policies.tiny,
    haepo_bench.training.adam,
    haepo_bench.training.language.fine_tuning,
)
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_CACHE = "the environment variable XDG_CACHE_HOME"


def starting_model(
    task: LanguageTask, source: ModelSource, texts: Texts, settings: LanguageSettings, device: str
) -> Any:
    """The model that training starts from.

    Raises:
        TaskError: fine-tuning is asked for on a task without demonstrations.
        UserError: the cache cannot be written.
    """
    model = load_model(source, task, dtype=settings.dtype, device=device)
    steps = fine_tuning_steps(task, settings)
    if steps == 0:
        return model
    path = cache_folder() / f"{_content_hash(task, source, settings, steps, device)}.policy"
    from safetensors.torch import load, save

    with _alone(path):
        content = _kept(path)
        if content is None:
            print(f"fine-tuning the starting policy: {steps} steps on {len(task.demonstrations)} demonstrations")
            policy = LanguagePolicy(model, pad=texts.pad, stops=texts.stops)
            prompts = texts.prompts([prompt for prompt, _ in task.demonstrations])
            responses = texts.responses([response for _, response in task.demonstrations])
            pairs = _within(context_of(source), prompts, responses)
            fine_tune(
                policy,
                pairs,
                steps,
                settings.fine_tuning_learning_rate,
                stream("fine-tuning", 0),
                task.fine_tuning_batch,
            )
            content = save(_own(model))
            write_atomically(path, seal(_title(path), content), option=_CACHE)
    # Read back also by whoever made it, so that all start from the same bytes in the same memory.
    fresh = load_model(source, task, dtype=settings.dtype, device=device)
    missing, unexpected = fresh.load_state_dict(load(content), strict=False)
    if unexpected or set(missing) - _tied(fresh):
        raise TaskError(f"the starting policy in {path} does not fit its model", remedy="delete that file")
    return fresh


def _title(path: Path) -> str:
    return f"haepo-bench starting policy {path.stem}"


def _kept(path: Path) -> bytes | None:
    """The weights in the cache; None where there are none. A damaged file is put aside, and said."""
    try:
        return unseal(_title(path), read_regular(path, most=None))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(
            f"the starting policy cannot be read: {reason_of(error)}", where=str(path), remedy="move it away"
        ) from None
    except BrokenSeal as error:
        print(f"the starting policy is made again; the damaged one is kept as {put_aside(path)}: {error}")
        return None


def fine_tuning_steps(task: LanguageTask, settings: LanguageSettings) -> int:
    """How many there are.

    Raises:
        TaskError: there is nothing to fine-tune on.
    """
    if settings.fine_tuning_steps is None:
        return task.fine_tuning_steps if task.model == TINY and task.demonstrations else 0
    if settings.fine_tuning_steps and not task.demonstrations:
        raise TaskError(f"{task.id} has no demonstrations to fine-tune on", remedy="set fine_tuning_steps to 0")
    return settings.fine_tuning_steps


def cache_folder() -> Path:
    """Where starting policies are kept: $XDG_CACHE_HOME/haepo-bench/starting-policies, else below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "haepo-bench" / "starting-policies"


def _within(
    context: int | None, prompts: Sequence[list[int]], responses: Sequence[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """(prompt, response) as far as the model can read them; prompts are known to fit."""
    if context is None:
        return list(zip(prompts, responses, strict=True))
    pairs = [(prompt, one[: context - len(prompt)]) for prompt, one in zip(prompts, responses, strict=True)]
    cut = sum(len(short) < len(one) for (_, short), one in zip(pairs, responses, strict=True))
    if cut:
        print(
            f"{cut} of {len(pairs)} demonstrations are longer than the model's context of {context}: cut at their ends"
        )
    return pairs


def _content_hash(task: LanguageTask, source: ModelSource, settings: LanguageSettings, steps: int, device: str) -> str:
    document = {
        "model": [source.identity or source.name, [task.tiny_width, *task.vocabulary] if source.name == TINY else []],
        "demonstrations": hashlib.sha256(json.dumps(list(task.demonstrations)).encode()).hexdigest(),
        "settings": [
            steps,
            settings.fine_tuning_learning_rate,
            task.fine_tuning_batch,
            settings.dtype,
            settings.chat_template,
        ],
        # The last bits of a product depend on these.
        "machine": [device, platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        "versions": [version(package) for package in _PACKAGES],
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> list[str]:
    return [hashlib.sha256(read_regular(Path(str(module.__file__)))).hexdigest() for module in _CODE]


def _own(model: Any) -> dict[str, torch.Tensor]:
    """The model's state, each tied tensor once, as safetensors wants it."""
    tied = _tied(model)
    return {name: value.detach().clone() for name, value in model.state_dict().items() if name not in tied}


def _tied(model: Any) -> set[str]:
    """Names that stand for a tensor which another name stands for already."""
    seen: set[int] = set()
    tied = set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) in seen:
            tied.add(name)
        seen.add(id(value))
    return tied


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lets one process at a time make a file; the system lets the next go on when the process dies."""
    lock = path.with_suffix(".lock")
    with translate_os_errors(lock, option=_CACHE):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_in_place(lock)
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
