"""A reward model by name: a sequence classifier with one label, whose output is the reward.

This is what TRL's `RewardTrainer` makes and its other trainers take. It reads prompt and response as one text; of a
conversation, what its own chat template makes of it, where it has one.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from haepo_bench.errors import TaskError
from haepo_bench.tasks.language import Example, Floats

#: Texts that are scored at a time.
BATCH = 16


class RewardModel:
    """Scores responses on the CPU. Weights are loaded when first needed; that they can be is seen to at once.

    Args:
        name: a local folder, or a name on the Hugging Face hub.

    Raises:
        TaskError: no such model, no tokenizer, a broken file, more than one label, or transformers is not installed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            import transformers
        except ImportError as error:
            problem = f"the reward model '{name}' needs transformers, which is not installed"
            raise TaskError(problem, remedy="pip install 'haepo-bench[lm]'") from error
        folder = Path(name).expanduser()
        if folder.is_dir():
            self._source = str(folder)
            _check_files(folder, name)
        elif folder.is_absolute() or name.startswith((".", "~")):
            raise TaskError(f"there is no folder '{name}' with a reward model", remedy="is the path right?")
        else:
            self._source = name
        try:
            config = transformers.AutoConfig.from_pretrained(self._source)
        except Exception as error:  # the name, the network, the server or the file: each has errors of its own
            raise _unusable(name, error) from error
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(self._source)
            if not self._tokenizer("any text").input_ids:
                raise ValueError("it makes no tokens of a text")  # what transformers returns where there is no file
        except Exception as error:
            problem = f"the reward model '{name}' has no tokenizer that can be loaded: {_first_line(error)}"
            raise TaskError(problem, remedy="save the tokenizer it was trained with beside it") from error
        if config.num_labels != 1:
            raise TaskError(
                f"the reward model '{name}' has {config.num_labels} labels, and a reward is one number",
                remedy="name a sequence classifier with num_labels: 1",
            )
        commit = getattr(config, "_commit_hash", None)
        #: What the scores depend on: part of a run's identity.
        self.content = _content_hash(folder) if folder.is_dir() else f"{name}@{commit}"

    @cached_property
    def _pipeline(self) -> Any:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        try:
            return transformers.pipeline(
                "text-classification",
                model=self._source,
                tokenizer=self._tokenizer,
                device="cpu",
                function_to_apply="none",
                # Texts of different lengths can be scored together only where the model knows padding.
                batch_size=BATCH if self._tokenizer.pad_token is not None else 1,
            )
        except Exception as error:
            raise _unusable(self.name, error) from error

    def scores(self, examples: Sequence[Example], responses: Sequence[str]) -> Floats:
        """[response] the model's output; texts longer than it can read are cut."""
        texts = [self._text(example, response) for example, response in zip(examples, responses, strict=True)]
        return np.array([scored["score"] for scored in self._pipeline(texts, truncation=True)], np.float64)

    def _text(self, example: Example, response: str) -> str:
        messages = example.data.get("messages")
        if messages and self._tokenizer.chat_template:
            answered = [*messages, {"role": "assistant", "content": response}]
            return str(self._tokenizer.apply_chat_template(answered, tokenize=False))
        return example.prompt + response


def _check_files(folder: Path, name: str) -> None:
    """Sees to it that weights are there and whole: reads their headers alone."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise TaskError(f"the folder '{name}' has no weights (*.safetensors)", remedy="save the model there first")
    for path in weights:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise TaskError(
                f"'{path}' is no whole safetensors file: {error}", remedy="copy or save it again"
            ) from error


def _content_hash(folder: Path) -> str:
    """SHA-256 of names and contents of the files."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _unusable(name: str, error: Exception) -> TaskError:
    return TaskError(
        f"the reward model '{name}' cannot be loaded: {_first_line(error)}",
        remedy="is it a local folder or a name on the Hugging Face hub, and can the hub be reached?",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
