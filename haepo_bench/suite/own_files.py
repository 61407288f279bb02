"""The Python files of its folder that a suite names."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.suite.loading import load_suite
from haepo_bench.suite.local.code import LocalCode
from haepo_bench.suite.names import Names
from haepo_bench.suite.schema import Suite
from haepo_bench.suite.shipped import find_suite


def named_codes(suite: Suite, names: Names) -> list[LocalCode]:
    """The files that a suite names; what is wrong with them is found when they are used."""
    uses = [(names.algorithm_code, entry.use) for entry in suite.algorithms]
    addresses = [(names.task_code, entry.address) for entry in suite.tasks]
    around = [(names.wrapper_code, name) for entry in suite.tasks for name in entry.wrappers]
    codes = []
    for find, text in (*uses, *addresses, *around):
        with contextlib.suppress(UserError):
            code = find(text)
            codes += [code] if code is not None else []
    return codes


def names_files(suite: str | Path, sets: Sequence[str] = ()) -> bool:
    """Whether a suite names files of its folder; nothing is imported to find out.

    False for a suite that is not a regular file, such as a pipe: it can be read only once, by `load_plan`.

    Raises:
        UserError: it cannot be read as a suite.
    """
    path = find_suite(str(suite))
    return path.is_file() and bool(named_codes(load_suite(path, sets).suite, Names(path.absolute().parent)))
