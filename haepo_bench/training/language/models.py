"""Where a task's model comes from: the tiny one, a folder, or the Hugging Face hub; checked before it is loaded."""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence, Sized
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench.errors import TaskError, UserError
from haepo_bench.tasks.language import TINY, LanguageTask
from haepo_bench.training.language.texts import Texts

_HUB_SECONDS = 10.0
_WEIGHTS = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")


class Source(NamedTuple):
    """What a model is loaded from.

    Args:
        name: `tiny`, an absolute folder, or a name on the hub.
        revision: commit on the hub; None elsewhere.
        identity: tells these weights from others: hash of the files, or the commit; empty for the tiny model, whose
            weights follow from code and settings.
    """

    name: str
    revision: str | None
    identity: str


def check_extra(*, adapters: bool) -> None:
    """Refuses to go on without the libraries that language models need.

    Raises:
        UserError: names what is missing and how to install it.
    """
    needed = ["transformers", "tokenizers", "safetensors", *(["peft"] if adapters else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        what = "LoRA adapters need" if missing == ["peft"] else "language tasks need"
        extra = "lora" if "peft" in missing else "lm"
        raise UserError(
            f"{what} {', '.join(missing)}, not installed here",
            remedy=f"install the extra: pip install 'haepo-bench[{extra}]'",
        )


def find_source(model: str) -> Source:
    """Where `model` comes from, checked as far as is possible without loading it.

    Raises:
        TaskError: no such folder or model, an incomplete or corrupt folder, a hub that cannot be reached.
    """
    if model == TINY:
        return Source(TINY, None, "")
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked_folder(str(folder.resolve()), tuple(_stamps(folder)))
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise TaskError(f"there is no folder '{model}' to load a model from", remedy="correct the path")
    return _found_on_hub(model)


def load_texts(source: Source, task: LanguageTask, *, chat: bool) -> Texts:
    """The tokenizer of a model.

    Raises:
        TaskError: it cannot be loaded.
    """
    if source.name == TINY:
        from haepo_bench.policies.tiny import tiny_tokenizer

        return Texts(tiny_tokenizer(task.vocabulary))
    quiet_transformers()
    from transformers import AutoTokenizer, GenerationConfig

    try:
        tokenizer = AutoTokenizer.from_pretrained(source.name, revision=source.revision or "main")
    except Exception as error:  # whatever a tokenizer's files make its library raise
        raise TaskError(
            f"the tokenizer of the model '{source.name}' cannot be loaded: {_first_line(error)}",
            remedy="save it beside the weights: tokenizer.save_pretrained(folder)",
        ) from error
    try:
        generation = GenerationConfig.from_pretrained(source.name, revision=source.revision or "main")
        stops = generation.eos_token_id
    except OSError:
        stops = None
    own = stops if isinstance(stops, list) else [] if stops is None else [stops]
    texts = Texts(tokenizer, own, chat=chat)
    if not texts.stops:
        raise TaskError(
            f"the tokenizer of the model '{source.name}' has no token that ends a text",
            remedy="set its eos_token and save it",
        )
    return texts


def load_model(source: Source, task: LanguageTask, *, dtype: str, device: str) -> Any:
    """The model as it is stored, or the tiny one with its first weights.

    Raises:
        TaskError: it cannot be loaded.
    """
    import torch

    if source.name == TINY:
        from haepo_bench.policies.tiny import tiny_model

        return tiny_model(task.vocabulary).to(device=device, dtype=getattr(torch, dtype))
    quiet_transformers()
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.name, revision=source.revision or "main", dtype=getattr(torch, dtype)
        )
    except Exception as error:  # whatever its files make the library raise
        raise TaskError(
            f"the model '{source.name}' cannot be loaded: {_first_line(error)}",
            remedy="it must be a causal language model that transformers loads by itself",
        ) from error
    return model.to(device)


def context_of(source: Source) -> int | None:
    """Tokens that fit in the model's context; None where its configuration does not say.

    Raises:
        TaskError: the configuration cannot be read.
    """
    if source.name == TINY:
        from haepo_bench.policies.tiny import CONTEXT

        return CONTEXT
    quiet_transformers()
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source.name, revision=source.revision or "main")
    except Exception as error:  # as above
        raise TaskError(
            f"the configuration of the model '{source.name}' cannot be read: {_first_line(error)}",
            remedy="is it a model that this version of transformers knows?",
        ) from error
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(context) if context else None


def check_prompts(task: LanguageTask, source: Source, *, chat: bool) -> None:
    """Refuses prompts that do not fit into the model's context with the longest response.

    Raises:
        TaskError: names the longest prompt; or the tokenizer or the configuration cannot be loaded.
    """
    tokens: Callable[[Sequence[str]], Sequence[Sized]]
    if source.name == TINY:  # a character a token: without the libraries, so that suites are checked fast
        tokens = lambda texts: [f"<{text}" for text in texts]  # noqa: E731
    else:
        tokens = load_texts(source, task, chat=chat).prompts
    context = context_of(source)
    if context is None:
        return
    examples = [*task.train, *task.held_out]
    lengths = [len(ids) for ids in tokens([example.prompt for example in examples])]
    if not lengths or 0 in lengths:
        raise TaskError(f"{task.id} has an empty prompt, or none at all", remedy="a prompt needs one token at least")
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] + task.horizon > context:
        start = examples[longest].prompt[:60]
        raise TaskError(
            f"a prompt of {task.id} has {lengths[longest]:,} tokens, which with a response of {task.horizon:,} is more "
            f"than the model's context of {context:,}: {start!r}",
            remedy="shorten or leave out such prompts, or take a model with a longer context",
        )


def quiet_transformers() -> None:
    """No progress bars in log files, and no warnings that are not for users of this program."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


@cache
def _checked_folder(name: str, stamps: tuple[tuple[str, int, int], ...]) -> Source:
    """The folder as a source; `stamps` only tell when it must be looked at again."""
    folder, present = Path(name), {file for file, _, _ in stamps}
    if "config.json" not in present:
        raise TaskError(f"the folder '{name}' holds no model: config.json is missing", remedy=_save("model"))
    if not {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json"} & present:
        raise TaskError(f"the model in '{name}' has no tokenizer beside it", remedy=_save("tokenizer"))
    index = next((file for file in _WEIGHTS if file in present), None)
    if index is None:
        raise TaskError(f"the folder '{name}' holds no weights", remedy=_save("model"))
    weights = _shards(folder / index) if index.endswith(".json") else [folder / index]
    for path in weights:
        if not path.is_file():
            raise TaskError(f"the model in '{name}' lacks {path.name}, which {index} names", remedy="copy it again")
        if path.suffix == ".safetensors":
            _check_safetensors(path)
    hashing = hashlib.sha256()
    for path in (folder / "config.json", *weights):
        with path.open("rb") as file:
            hashing.update(hashlib.file_digest(file, "sha256").digest())
    return Source(name, None, hashing.hexdigest())


def _shards(index: Path) -> list[Path]:
    try:
        files = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise TaskError(f"{index} is damaged: it names no weights", remedy="copy the model again") from None
    return [index.parent / str(file) for file in files]


def _check_safetensors(path: Path) -> None:
    """Whether the header can be read and the file is as long as it says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError("its header does not end")
            header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError(f"it has {size:,} bytes, and should have {8 + length + max(ends, default=0):,}")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TaskError(f"the weights in {path} are damaged: {_first_line(error)}", remedy="copy them again") from None


@cache
def _found_on_hub(name: str) -> Source:
    """The newest commit of a model on the hub, or the one in the local cache where the hub cannot be reached."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        found = HfApi().model_info(name, timeout=_HUB_SECONDS).sha
        return Source(name, found, str(found))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise TaskError(
            f"there is no model '{name}': no such folder here, and none on the Hugging Face hub that you may read",
            remedy="correct the name; for a gated model, log in with `hf auth login`",
        ) from error
    except Exception as error:  # no network, a proxy, a hub that is out of order
        cached = try_to_load_from_cache(name, "config.json")
        if isinstance(cached, str):
            commit = Path(cached).parent.name
            return Source(name, commit, commit)
        raise TaskError(
            f"the model '{name}' is not in the local cache, and the Hugging Face hub cannot be reached "
            f"({type(error).__name__})",
            remedy="run where there is a network, or copy the model here and give its folder",
        ) from error


def _save(what: str) -> str:
    return f"save it there: {what}.save_pretrained(folder)"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
