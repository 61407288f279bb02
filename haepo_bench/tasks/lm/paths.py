"""What is a path and not a name on the Hugging Face hub: such a thing is never asked for there."""

import re
from pathlib import Path

from haepo_bench.errors import TaskError

#: Endings of files; a model on the hub may have a dot in its name, but none of these behind it.
_FILES = re.compile(
    r"\.(py|ipynb|json|jsonl|ya?ml|toml|csv|tsv|txt|parquet|arrow|safetensors|bin|pt|pth|ckpt|pkl|npz|gguf|onnx|zip|tar|t?gz)$",
    re.IGNORECASE,
)
_PYTHON = re.compile(r"\.py(:.*)?$", re.IGNORECASE)


def is_path(name: str) -> bool:
    """Whether a name can only mean something on this machine."""
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or name.endswith("/")
        or "\\" in name
        or _FILES.search(name) is not None
        or _PYTHON.search(name) is not None
        or Path(name).expanduser().exists()
    )


def refuse_path(name: str, what: str) -> None:
    """Refuses a path that is not the folder of a model.

    Args:
        what: `model` or `reward model`.

    Raises:
        TaskError: says what it is instead, or that nothing is there.
    """
    if not is_path(name):
        return
    if _PYTHON.search(name) and what == "reward model":
        raise TaskError(
            f"'{name}' is a Python file: a function as the reward is not available yet",
            remedy="name a sequence classifier with one label, a folder or a name on the Hugging Face hub; or register "
            "a task with a reward of its own as a plugin (haepo_bench.tasks)",
        )
    if Path(name).expanduser().exists():
        raise TaskError(
            f"'{name}' is a file, and a {what} is a folder",
            remedy="name the folder with its config.json, tokenizer and *.safetensors",
        )
    raise TaskError(
        f"there is no folder '{name}' with a {what}", remedy=f"paths count from the folder of the command, {Path.cwd()}"
    )
