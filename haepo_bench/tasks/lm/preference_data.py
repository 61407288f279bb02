"""Preference data in the usual columns, from a JSONL or Parquet file or from the Hugging Face hub.

| columns | what a row is |
|---|---|
| `prompt`, `chosen`, `rejected` | a preference |
| `chosen`, `rejected` | a preference whose prompt is what both begin with |
| `prompt`, `completion` | a demonstration |

A value is a text, or a conversation: a list of messages `{role, content}`, of which the last one of `chosen`,
`rejected` and `completion` is the response. Other columns are ignored. These are the formats of TRL
(huggingface.co/docs/trl/dataset_formats).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench.errors import TaskError
from haepo_bench.files import open_regular, read_regular
from haepo_bench.tasks.lm.hub import first_line, look_up, not_reached
from haepo_bench.tasks.lm.paths import is_path

SUFFIXES = (".jsonl", ".parquet")
_HUMAN = {"user": "Human", "assistant": "Assistant", "system": "System"}

Messages = list[dict[str, str]]


class Row(NamedTuple):
    """One row.

    Args:
        messages: the prompt as a conversation; empty where it is a text.
        response: the chosen response, or the completion.
        rejected: None in a demonstration.
    """

    prompt: str
    messages: Messages
    response: str
    rejected: str | None


def read(source: str) -> list[Row]:
    """The rows of a file or a hub dataset (its split `train`).

    Raises:
        TaskError: it cannot be read, lacks a column or holds something else than texts.
    """
    rows = [_row(values, where) for values, where in _values(source)]
    if not rows:
        raise TaskError(f"'{source}' has no rows", remedy="give data with at least two different prompts")
    return rows


def content_hash(rows: Sequence[Row]) -> str:
    """SHA-256 of the rows, whatever file they come from."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _values(source: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each row with the place where it stands."""
    path = Path(source).expanduser()
    if path.is_dir():
        raise TaskError(f"'{source}' is a folder", remedy=f"name a file in it that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".parquet" and path.exists():
        yield from _parquet(path, source)
    elif path.exists():
        yield from _json_lines(path, source)
    elif is_path(source):
        raise TaskError(
            f"there is no file '{source}'", remedy=f"paths count from the folder of the command, {Path.cwd()}"
        )
    else:
        yield from _hub(source)


def _json_lines(path: Path, source: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    try:
        lines = read_regular(path, most=None).decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"'{source}' cannot be read as UTF-8 text: {error}", remedy="is it a JSONL file?") from error
    for number, line in enumerate(lines, 1):
        where = f"{source}:{number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise TaskError(
                f"the line is not JSON: {error}", where=where, remedy="each line of a JSONL file is one object"
            ) from error
        if not isinstance(values, dict):
            problem = "the line is not a JSON object"
            raise TaskError(problem, where=where, remedy='write one object per line: {"prompt": ..., ...}')
        yield values, where


def _parquet(path: Path, source: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise _missing("pyarrow", "Parquet files") from error
    try:
        with open_regular(path) as file:
            rows = parquet.read_table(file).to_pylist()
    except (ArrowException, OSError) as error:
        problem = f"'{source}' cannot be read as Parquet: {first_line(error)}"
        raise TaskError(problem, remedy="is it whole, and a Parquet file?") from error
    yield from ((values, f"{source}, row {number}") for number, values in enumerate(rows, 1))


def _hub(source: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    try:
        import datasets
    except ImportError as error:
        raise _missing("datasets", "data from the Hugging Face hub") from error
    datasets.disable_progress_bars()
    unreachable = look_up(source, "dataset", "dataset").unreachable
    with _offline(datasets.config) if unreachable else nullcontext():
        try:
            rows = datasets.load_dataset(source, split="train")
        except Exception as error:  # the name, the network, the server or the data: each has errors of its own
            local = f"its path, ending in {' or '.join(SUFFIXES)}"
            if unreachable:
                raise not_reached(source, "dataset", unreachable, f"name a local file by {local}") from error
            raise TaskError(
                f"the dataset '{source}' cannot be had from the Hugging Face hub: {first_line(error)}",
                remedy=f"has it a split 'train', and can this account read it? A local file is named by {local}",
            ) from error
    yield from ((values, f"{source}, row {number}") for number, values in enumerate(rows, 1))


@contextmanager
def _offline(config: Any) -> Iterator[None]:
    """Lets the datasets library look into its cache at once, where it would ask the hub again and again first.

    It documents an environment variable, which it reads when it is imported. A version that calls the setting something
    else only takes longer to look into its cache.
    """
    before, config.HF_HUB_OFFLINE = getattr(config, "HF_HUB_OFFLINE", False), True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _row(values: Mapping[str, Any], where: str) -> Row:
    columns = {name for name, value in values.items() if value is not None}
    if {"chosen", "rejected"} <= columns:
        return _preference(values, where)
    if {"prompt", "completion"} <= columns:
        prompt, messages, (response,) = _texts(values["prompt"], {"completion": values["completion"]}, where)
        return Row(prompt, messages, response, None)
    preference = {"chosen", "rejected"} & (columns if "completion" in columns else values.keys())
    needed = ["chosen", "rejected"] if preference else ["prompt", "completion"]
    absent = [f"'{name}'" for name in needed if name not in values]
    null = [f"'{name}'" for name in needed if name in values and values[name] is None]
    if absent:
        lacking = f"neither a column {' nor '.join(absent)}" if len(absent) > 1 else f"no column {absent[0]}"
        problem = f"the data has {lacking}; it has {', '.join(sorted(values)) or 'none'}"
    else:
        problem = f"{' and '.join(null)} {'are' if len(null) > 1 else 'is'} null"
    raise TaskError(
        problem,
        where=where,
        remedy="needed are prompt, chosen and rejected (preferences), or prompt and completion (demonstrations)",
    )


def _preference(values: Mapping[str, Any], where: str) -> Row:
    chosen, rejected, prompt = values["chosen"], values["rejected"], values.get("prompt")
    if prompt is None and isinstance(chosen, str) and isinstance(rejected, str):
        apart = (place for place, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other)
        same = next(apart, min(len(chosen), len(rejected)))
        # Words stay whole: responses may begin alike.
        end = 1 + max(chosen.rfind(" ", 0, same), chosen.rfind("\n", 0, same))
        prompt, chosen, rejected = chosen[:end].rstrip(" "), chosen[end:], rejected[end:]
    prompt, messages, (response, other) = _texts(prompt, {"chosen": chosen, "rejected": rejected}, where)
    return Row(prompt, messages, response, other)


def _texts(prompt: Any, responses: Mapping[str, Any], where: str) -> tuple[str, Messages, list[str]]:
    """(prompt, its messages, responses) of texts and conversations."""
    texts, before = [], None
    for name, value in responses.items():
        if isinstance(value, str):
            texts.append(value)
        else:
            *earlier, last = _conversation(name, value, where)
            texts.append(last["content"])
            before = before if before is not None else earlier
    if prompt is None or (isinstance(prompt, str) and before):
        # A conversation that begins with its prompt, such as HuggingFaceH4/ultrafeedback_binarized.
        prompt = before
    if isinstance(prompt, str):
        text, messages = prompt, []
    else:
        messages = _conversation("prompt", prompt, where)
        text = as_text(messages)
    if not text.strip():
        raise TaskError("the prompt is empty", where=where, remedy="remove the row")
    return text, messages, texts


def _conversation(name: str, value: Any, where: str) -> Messages:
    good = isinstance(value, list) and value
    if not good or not all(
        isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))
        for message in value
    ):
        raise TaskError(
            f"'{name}' is neither a text nor a list of messages with role and content: {str(value)[:60]!r}",
            where=where,
            remedy="fix or remove the row",
        )
    return [{"role": message["role"], "content": message["content"]} for message in value]


def as_text(messages: Messages) -> str:
    """A conversation for models without a chat template, ready for the answer.

    Written as in the data of Bai et al. 2022 (arXiv 2204.05862): `Human: ...`, an empty line, `Assistant:`.
    """
    turns = [f"{_HUMAN.get(message['role'], message['role'])}: {message['content']}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"]) if turns else ""


def _missing(package: str, what: str) -> TaskError:
    return TaskError(f"{what} need {package}, which is not installed", remedy="pip install 'haepo-bench[lm]'")
