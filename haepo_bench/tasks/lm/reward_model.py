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
from haepo_bench.files import open_regular
from haepo_bench.tasks.lm.examples import Example, Floats
from haepo_bench.tasks.lm.hub import first_line, model_of, quiet_transformers
from haepo_bench.tasks.lm.paths import refuse_path
from haepo_bench.tasks.lm.weights import check_finite, files_in, is_small, load_whole

#: Texts that are scored at a time.
BATCH = 16
_NO_LIMIT = 1e9


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
        quiet_transformers()
        folder = Path(name).expanduser()
        self._folder = folder if folder.is_dir() else None
        if self._folder is not None:
            self._source, self._revision = str(folder) if name.startswith("~") else name, "main"
            _check_files(folder, name)
        else:
            refuse_path(name, "reward model")
            self._revision, self._source = model_of(name, "reward model")
        try:
            self._config = transformers.AutoConfig.from_pretrained(self._source, revision=self._revision)
        except Exception as error:  # the name, the network, the server or the file: each has errors of its own
            raise TaskError(
                f"the reward model '{name}' cannot be loaded: {first_line(error)}",
                remedy="is its config.json whole, and is it a model that this version of transformers knows?",
            ) from error
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(self._source, revision=self._revision)
            if not self._tokenizer("any text").input_ids:
                raise ValueError("it makes no tokens of a text")  # what transformers returns where there is no file
        except Exception as error:
            problem = f"the reward model '{name}' has no tokenizer that can be loaded: {first_line(error)}"
            raise TaskError(problem, remedy="save the tokenizer it was trained with beside it") from error
        # Where a text is too long after all, its response is what the reward must depend on.
        self._tokenizer.truncation_side = "left"
        if self._config.num_labels != 1:
            raise TaskError(
                f"the reward model '{name}' has {self._config.num_labels} labels, and a reward is one number",
                remedy="name a sequence classifier with num_labels: 1",
            )
        #: What the scores depend on: part of a run's identity.
        self.content = f"{name}@{self._revision}" if self._folder is None else _content_hash(self._folder)

    @property
    def is_small(self) -> bool:
        """Whether its weights are here, and few enough to be used while a suite is only validated."""
        return self._folder is not None and is_small(self._folder)

    def check(self, examples: Sequence[Example], horizon: int) -> None:
        """Refuses weights that are not all there, and prompts that cannot be read together with the longest response.

        Args:
            horizon: most new tokens of a response, taken for as many tokens of this model.

        Raises:
            TaskError: says which.
        """
        if self._folder is not None:  # a model from the hub may have to be fetched first
            model = self._load()
            if self.is_small:
                check_finite(model, self.name, "reward model")
        tokens = self._tokenizer([self._text(example, "") for example in examples]).input_ids
        known = getattr(self._config.get_text_config(), "vocab_size", None)
        if known and max(max(ids, default=0) for ids in tokens) >= known:
            raise TaskError(
                f"the tokenizer of the reward model '{self.name}' does not belong to it: it makes tokens beyond the "
                f"{known:,} that the model knows",
                remedy="save the tokenizer it was trained with beside it",
            )
        limit = self._limit()
        longest = max(range(len(tokens)), key=lambda i: len(tokens[i]))
        if limit is not None and len(tokens[longest]) + horizon > limit:
            raise TaskError(
                f"a prompt has {len(tokens[longest]):,} tokens, which with a response of {horizon:,} is more than the "
                f"{limit:,} that the reward model '{self.name}' reads: {examples[longest].prompt[:60]!r}",
                remedy="lower time_limit, leave out such prompts, or take a reward model with a longer context",
            )

    def scores(self, examples: Sequence[Example], responses: Sequence[str]) -> Floats:
        """[response] the model's output; of a text longer than it can read, its end."""
        texts = [self._text(example, response) for example, response in zip(examples, responses, strict=True)]
        limit = self._limit(self._pipeline.model)
        cut = {} if limit is None else {"truncation": True, "max_length": limit}
        return np.array([scored["score"] for scored in self._pipeline(texts, **cut)], np.float64)

    @cached_property
    def _pipeline(self) -> Any:
        import transformers

        model = self._load()
        check_finite(model, self.name, "reward model")
        # Texts of different lengths can be scored together only where the model knows padding.
        padded = self._tokenizer.pad_token is not None
        config = model.config.get_text_config()
        if padded and config.pad_token_id is None:
            config.pad_token_id = self._tokenizer.pad_token_id
        return transformers.pipeline(
            "text-classification",
            model=model,
            tokenizer=self._tokenizer,
            device="cpu",
            function_to_apply="none",
            batch_size=BATCH if padded else 1,
        )

    def _load(self) -> Any:
        import transformers

        loader = transformers.AutoModelForSequenceClassification
        return load_whole(loader, self._source, "reward model", revision=self._revision, dtype="auto")

    def _limit(self, model: Any = None) -> int | None:
        """Tokens of the longest text that it can read; None where nothing says so."""
        context = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        for name, module in model.named_modules() if context and model is not None else ():
            # RoBERTa and its kin count positions from behind the padding's.
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                context -= module.padding_idx + 1
                break
        # Of a tokenizer that names no limit, transformers says 1e30.
        known = [int(n) for n in (self._tokenizer.model_max_length, context) if n and 0 < n < _NO_LIMIT]
        return min(known, default=None)

    def _text(self, example: Example, response: str) -> str:
        messages = example.data.get("messages")
        if messages and self._tokenizer.chat_template:
            answered = [*messages, {"role": "assistant", "content": response}]
            return str(self._tokenizer.apply_chat_template(answered, tokenize=False))
        return example.prompt + response


def _check_files(folder: Path, name: str) -> None:
    """Sees to it that weights are there and whole: reads their headers alone."""
    from safetensors import SafetensorError, safe_open

    weights = [path for path in files_in(folder, "reward model") if path.suffix == ".safetensors"]
    if not weights:
        raise TaskError(f"the folder '{name}' has no weights (*.safetensors)", remedy="save the model there first")
    for path in weights:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise TaskError(
                f"'{path}' is not a whole safetensors file: {error}", remedy="copy or save it again"
            ) from error


def _content_hash(folder: Path) -> str:
    """SHA-256 of names and contents of the files."""
    whole = hashlib.sha256()
    for path in files_in(folder, "reward model"):
        with open_regular(path) as file:
            whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
