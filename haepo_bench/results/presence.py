"""Whether there is a results folder at all; imports nothing that takes longer than to look."""

from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.files import list_folder, reason_of


def names_in(results: Path) -> list[str]:
    """What is in a folder that a user named.

    Raises:
        UserError: no such folder, or one that cannot be read.
    """
    try:
        return [entry.name for entry in list_folder(results)]
    except FileNotFoundError:
        raise UserError(
            "there is no such folder",
            where=str(results),
            remedy="name the folder that `haepo-bench run` wrote to, or run a suite first",
        ) from None
    except NotADirectoryError:
        raise UserError(
            "this is not a folder", where=str(results), remedy="name the folder that `haepo-bench run` wrote to"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot be read: {reason_of(error)}", where=str(results), remedy="make the folder readable"
        ) from None
