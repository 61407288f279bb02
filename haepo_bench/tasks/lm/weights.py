"""Loading a model with all of its weights, or not at all.

transformers fills weights that its files lack, or hold in another shape, with random numbers, and warns. A run of such
a model measures nothing.
"""

from pathlib import Path
from typing import Any

from haepo_bench.errors import TaskError
from haepo_bench.files import reason_of, refuse_special
from haepo_bench.tasks.lm.hub import first_line, quiet_transformers

#: Bytes of weights that are read, computed with or looked through while a suite is only validated.
SMALL = 256 << 20


def load_whole(loader: Any, source: str, what: str, **options: Any) -> Any:
    """The model, every weight from its files; from safetensors in their own dtype, nothing is read before it is needed.

    Args:
        loader: class of transformers, such as `AutoModelForCausalLM`.
        source: folder, or name on the hub.
        what: in messages, such as `reward model`.
        options: of `from_pretrained`.

    Raises:
        TaskError: it cannot be loaded, or weights are missing or have other shapes than its configuration says. Weights
            that the model has no use for, such as another head, do no harm.
    """
    quiet_transformers()
    try:
        model, found = loader.from_pretrained(source, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    except Exception as error:  # whatever its files make the library raise
        raise TaskError(
            f"the {what} '{source}' cannot be loaded: {first_line(error)}",
            remedy=f"it must be {_KIND.get(what, 'a model')} that transformers loads by itself",
        ) from error
    missing, mismatched = sorted(found["missing_keys"]), sorted(found["mismatched_keys"])
    if mismatched:
        name, stored, wanted = mismatched[0]
        raise TaskError(
            f"the weights of the {what} '{source}' do not fit its config.json: {name} has the shape {list(stored)}, "
            f"where {list(wanted)} is wanted{_others(mismatched)}",
            remedy="save both anew: model.save_pretrained(folder)",
        )
    if missing:
        raise TaskError(
            f"the {what} '{source}' lacks weights, and would get random numbers for them: {missing[0]}"
            f"{_others(missing)}",
            remedy=f"name {_KIND.get(what, 'a model')} that was saved whole: model.save_pretrained(folder)",
        )
    return model


def files_in(folder: Path, what: str) -> list[Path]:
    """The files in a model's folder, by name; libraries will open them.

    Args:
        what: in messages, such as `reward model`.

    Raises:
        TaskError: the folder cannot be listed, or something in it is neither a file nor a folder.
    """
    path = folder
    try:
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                refuse_special(path)
    except OSError as error:
        raise TaskError(
            f"the {what} in '{folder}' cannot be read: {path.name}: {reason_of(error)}", remedy="copy it again"
        ) from None
    return sorted(path for path in folder.iterdir() if path.is_file())


def check_finite(model: Any, source: str, what: str) -> None:
    """Refuses weights that are not numbers: training would count them as the algorithm's failure.

    Raises:
        TaskError: names the first.
    """
    for name, values in model.named_parameters():
        if not bool(values.isfinite().all()):
            raise TaskError(
                f"the {what} '{source}' has weights that are not finite: {name}",
                remedy="its own training may have diverged: name an earlier checkpoint, or copy it again",
            )


def is_small(folder: Path) -> bool:
    """Whether the weights in a folder are few enough to be read while a suite is only validated."""
    files = [path for path in folder.iterdir() if path.suffix in {".safetensors", ".bin"} and path.is_file()]
    return sum(path.stat().st_size for path in files) <= SMALL


def _others(found: list[Any]) -> str:
    return f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""


_KIND = {"model": "a causal language model", "reward model": "a sequence classifier with one label"}
