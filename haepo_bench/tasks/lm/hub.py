"""The Hugging Face hub: what is behind a name, found out within seconds; and transformers kept quiet."""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from haepo_bench.errors import TaskError

#: That the hub has for an answer. Its libraries wait and try again for half a minute where it cannot be reached.
SECONDS = 10.0


class FoundModel(NamedTuple):
    """What is known of a name.

    Args:
        commit: the newest one on the hub, or the one in the local cache where the hub cannot be reached; None where
            that has none, or is not looked into (data).
        unreachable: why the hub could not be asked; empty where it was.
        folder: in the local cache, where the hub cannot be reached. Loaded from there, nothing asks the hub again.
    """

    commit: str | None
    unreachable: str = ""
    folder: str | None = None


@cache
def look_up(name: str, what: str, kind: Literal["model", "dataset"] = "model") -> FoundModel:
    """What the hub has under a name.

    Args:
        what: in messages, such as `reward model`.

    Raises:
        TaskError: it has no such thing, or not for this user.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    ask = HfApi().model_info if kind == "model" else HfApi().dataset_info
    try:
        return FoundModel(str(ask(name, timeout=SECONDS).sha))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise TaskError(
            f"there is no {what} '{name}': no such {'folder' if kind == 'model' else 'file'} here, and none on the "
            "Hugging Face hub that you may read",
            remedy=f"correct the name; for a gated {kind}, log in with `hf auth login`",
        ) from error
    except Exception as error:  # no network, a proxy, a hub that is out of order
        cached = try_to_load_from_cache(name, "config.json") if kind == "model" else None
        if not isinstance(cached, str):
            return FoundModel(None, type(error).__name__)
        folder = Path(cached).parent
        return FoundModel(folder.name, type(error).__name__, str(folder))


def model_of(name: str, what: str) -> tuple[str, str]:
    """(commit, what to load it from) of a model by name.

    Raises:
        TaskError: there is none, or the hub cannot be reached and the local cache has none.
    """
    found = look_up(name, what)
    if found.commit is None:
        raise not_reached(name, what, found.unreachable, "copy the model here and give its folder")
    return found.commit, found.folder or name


def not_reached(name: str, what: str, why: str, instead: str) -> TaskError:
    """The error for a name that is not in the local cache, when the hub does not answer."""
    return TaskError(
        f"the {what} '{name}' is not in the local cache, and the Hugging Face hub cannot be reached ({why})",
        remedy=f"run where there is a network, or {instead}",
    )


def quiet_transformers() -> None:
    """No progress bars in log files, and no warnings that are not for users of this program."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error: BaseException) -> str:
    """What other people's errors say, without their stories."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
