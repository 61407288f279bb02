"""What carried out the runs of a cell: `code.txt` in the cell's folder, one line a module, package or file.

Beside the runs and not in them, because all runs of a folder share it. It is there to say later what has changed
since: nothing else needs it, and a folder without it, such as one of version 0.1, is as good as any.
"""

from collections.abc import Mapping
from itertools import chain

from haepo_bench.files import read_regular
from haepo_bench.results.store import Store
from haepo_bench.results.writing import write_atomically

CODE_FILE = "code.txt"
#: A folder's file has a few thousand bytes; what is larger is not one of ours.
_MOST_BYTES = 1_000_000


def write_code(store: Store, cell_folder: str, document: Mapping[str, str]) -> None:
    """Stores what the runs of a cell execute; a file that says the same is left alone.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    if read_code(store, cell_folder) != document:
        lines = (f"{name}\t{value}\n" for name, value in sorted(document.items()))
        write_atomically(store.root / cell_folder / CODE_FILE, "".join(lines))


def read_code(store: Store, cell_folder: str) -> dict[str, str] | None:
    """What the runs of a cell executed; None where nothing readable says so."""
    path = store.root / cell_folder / CODE_FILE
    try:
        lines = read_regular(path, most=_MOST_BYTES).decode("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return {name: value for name, tab, value in (line.partition("\t") for line in lines) if tab}


def packages_of(document: Mapping[str, str]) -> dict[str, str]:
    """The versions in a code document, by distribution."""
    kind = "package "
    return {key.removeprefix(kind): value for key, value in document.items() if key.startswith(kind)}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two code documents, in words, the modules that both have first.

    `objectives.grpo`, `torch 2.12.0 -> 2.13.0`, `peft 0.21.2 (new)`.
    """
    both = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
    gone, new = sorted(before.keys() - now.keys()), sorted(now.keys() - before.keys())
    return list(
        chain(
            (_named(name, f"{before[name]} -> {now[name]}") for name in both),
            (_named(name, f"{now[name]} (new)", bare=" (new)") for name in new),
            (_named(name, f"{before[name]} (gone)", bare=" (gone)") for name in gone),
        )
    )


def of_own_files(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether two code documents differ in nothing but files of the suites' folders."""
    differ = {name for name, _ in before.items() ^ now.items()}
    # Data of this package stands under the name of its module.
    own = (name.startswith(("local ", "data ")) and not name.startswith("data haepo_bench.") for name in differ)
    return bool(differ) and all(own)


def _named(entry: str, values: str, *, bare: str = "") -> str:
    """Hashes say nothing to a reader; versions and an environment's facts do."""
    kind, _, name = entry.partition(" ")
    if kind in ("package", "environment"):
        return f"{name} {values}"
    return name.removeprefix("haepo_bench.") + bare
