"""Where a task's model comes from: the tiny one, a folder, or the Hugging Face hub; checked before it is loaded."""

import hashlib
import json
import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench.errors import TaskError, UserError
from haepo_bench.files import open_regular, read_regular
from haepo_bench.tasks.lm.base import TINY, LanguageTask
from haepo_bench.tasks.lm.hub import first_line, model_of, quiet_transformers
from haepo_bench.tasks.lm.paths import refuse_path
from haepo_bench.tasks.lm.weights import check_finite, files_in, is_small, load_whole
from haepo_bench.training.language.texts import Texts

#: In names of a configuration's settings whose effect in training mode is random: `resid_pdrop`, `attention_dropout`,
#: `layerdrop`, `router_jitter_noise`.
_RANDOM = ("drop", "jitter")
_WEIGHTS = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")


class ModelSource(NamedTuple):
    """What a model is loaded from.

    Args:
        name: `tiny`, an absolute folder, or a name on the hub.
        revision: commit on the hub; None elsewhere.
        identity: tells these weights from others: hash of the files, or the commit; empty for the tiny model, whose
            weights follow from code and settings.
        files: what its files are read from: `name`, or a folder of the local cache where the hub cannot be reached.
    """

    name: str
    revision: str | None
    identity: str
    files: str


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


def find_source(model: str) -> ModelSource:
    """Where `model` comes from, checked as far as is possible without loading it.

    Raises:
        TaskError: no such folder or model, an incomplete or corrupt folder, a hub that cannot be reached.
    """
    if model == TINY:
        return ModelSource(TINY, None, "", "")
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked_folder(str(folder.resolve()), tuple(_stamps(folder)))
    refuse_path(model, "model")
    commit, files = model_of(model, "model")
    return ModelSource(model, commit, commit, files)


def load_texts(source: ModelSource, task: LanguageTask, *, chat: bool) -> Texts:
    """The tokenizer of a model.

    Raises:
        TaskError: it cannot be loaded, or ends or pads texts with tokens that the model does not know.
    """
    if source.name == TINY:
        from haepo_bench.policies.tiny import tiny_tokenizer

        return Texts(tiny_tokenizer(task.vocabulary))
    quiet_transformers()
    from transformers import AutoTokenizer, GenerationConfig

    try:
        tokenizer = AutoTokenizer.from_pretrained(source.files, revision=source.revision or "main")
    except Exception as error:  # whatever a tokenizer's files make its library raise
        raise TaskError(
            f"the tokenizer of the model '{source.name}' cannot be loaded: {first_line(error)}",
            remedy="save it beside the weights: tokenizer.save_pretrained(folder)",
        ) from error
    try:
        generation = GenerationConfig.from_pretrained(source.files, revision=source.revision or "main")
        stops = generation.eos_token_id
    except OSError:
        stops = None
    own = stops if isinstance(stops, list) else [] if stops is None else [stops]
    texts = Texts(tokenizer, own, chat=chat, known=getattr(config_of(source), "vocab_size", None))
    if not texts.stops:
        raise TaskError(
            f"the tokenizer of the model '{source.name}' has no token that ends a text",
            remedy="set its eos_token and save it",
        )
    return texts


def load_model(source: ModelSource, task: LanguageTask, *, dtype: str, device: str) -> Any:
    """The model as it is stored, or the tiny one with its first weights; without dropout, as policies need it.

    Raises:
        TaskError: it cannot be loaded, or lacks weights, or has some that are not numbers.
    """
    import torch

    if source.name == TINY:
        from haepo_bench.policies.tiny import tiny_model

        return tiny_model(task.vocabulary, task.tiny_width).to(device=device, dtype=getattr(torch, dtype))
    from transformers import AutoModelForCausalLM

    revision, kind = source.revision or "main", getattr(torch, dtype)
    config = _as_policy(_whole_config(source))
    model = load_whole(AutoModelForCausalLM, source.files, "model", revision=revision, dtype=kind, config=config)
    check_finite(model, source.name, "model")
    return model.to(device)


@cache
def check_weights(source: ModelSource) -> None:
    """Refuses a folder whose weights are not those of its configuration, or are not numbers where they are few.

    Those of models from the hub are checked when they are loaded.

    Raises:
        TaskError: says which, or the model cannot be loaded.
    """
    if source.name == TINY or source.revision is not None:
        return
    config_of(source)
    from transformers import AutoModelForCausalLM

    model = load_whole(AutoModelForCausalLM, source.files, "model", dtype="auto")
    if is_small(Path(source.name)):
        check_finite(model, source.name, "model")


def config_of(source: ModelSource) -> Any:
    """The model's configuration, of the part that reads texts.

    Raises:
        TaskError: it cannot be read.
    """
    return _whole_config(source).get_text_config()


def _whole_config(source: ModelSource) -> Any:
    quiet_transformers()
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source.files, revision=source.revision or "main")
    except Exception as error:  # whatever its file makes the library raise
        raise TaskError(
            f"the configuration of the model '{source.name}' cannot be read: {first_line(error)}",
            remedy="is its config.json whole, and is it a model that this version of transformers knows?",
        ) from error


def _as_policy(config: Any) -> Any:
    """The configuration without what is random in training mode, and with GPT-2's GELU in one operation."""
    for part in (config, config.get_text_config()):
        for name, value in part.to_dict().items():
            if isinstance(value, float) and any(word in name for word in _RANDOM):
                setattr(part, name, 0.0)
            elif value == "gelu_new":  # spelt out in eight operations, a fifth of a small model's time
                setattr(part, name, "gelu_pytorch_tanh")
    return config


def context_of(source: ModelSource) -> int | None:
    """Tokens that fit in the model's context; None where its configuration does not say.

    Raises:
        TaskError: the configuration cannot be read.
    """
    if source.name == TINY:
        from haepo_bench.policies.tiny import CONTEXT

        return CONTEXT
    context = getattr(config_of(source), "max_position_embeddings", None)
    return int(context) if context else None


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files_in(folder, "model")]


@cache
def _checked_folder(name: str, stamps: tuple[tuple[str, int, int], ...]) -> ModelSource:
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
        with open_regular(path) as file:
            hashing.update(hashlib.file_digest(file, "sha256").digest())
    return ModelSource(name, None, hashing.hexdigest(), name)


def _shards(index: Path) -> list[Path]:
    try:
        files = sorted(set(json.loads(read_regular(index))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise TaskError(f"{index} is damaged: it names no weights", remedy="copy the model again") from None
    return [index.parent / str(file) for file in files]


def _check_safetensors(path: Path) -> None:
    """Whether the header can be read and the file is as long as it says."""
    size = path.stat().st_size
    try:
        with open_regular(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError("its header does not end")
            header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError(f"it has {size:,} bytes, and should have {8 + length + max(ends, default=0):,}")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TaskError(f"the weights in {path} are damaged: {first_line(error)}", remedy="copy them again") from None


def _save(what: str) -> str:
    return f"save it there: {what}.save_pretrained(folder)"
