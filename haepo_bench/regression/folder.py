"""The runs that a RESULTS argument means."""

from pathlib import Path

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.report.text import plain
from haepo_bench.results.selection import Selection, find_suites, select
from haepo_bench.results.store import Store

_SHOWN = 10


def runs_in(results: Path, suite: str | None = None) -> Selection:
    """The runs of one suite.

    Args:
        results: a suite's folder, or a folder of such.
        suite: which one, where there are several; any where None. A single one is taken whatever it is called.

    Raises:
        UserError: no such folder, nothing in it, or several suites of which none is the one looked for.
    """
    if not results.is_dir():
        what = "this is no folder" if results.exists() else "there is no such folder"
        raise UserError(what, where=str(results), remedy="name the folder that `haepo-bench run` wrote to")
    selections = [select(Store(folder)) for folder in find_suites(results)]
    if not any(selection.cells for selection in selections):
        damaged = [f"{file.path}: {plain(file.reason)}" for selection in selections for file in selection.damaged]
        error = UserError(
            "nothing was measured: there is no run in it",
            where=str(results),
            remedy="\n  ".join([*damaged[:_SHOWN], "run the suite first: haepo-bench run SUITE"]),
        )
        error.exit_code = ExitCode.RUN_FAILED
        raise error
    named = [selection for selection in selections if selection.name == suite]
    if len(selections) == 1:
        return selections[0]
    if len(named) == 1:
        return named[0]
    listed = ", ".join(sorted(plain(selection.name) for selection in selections))
    raise UserError(
        f"holds {len(selections)} suites ({listed})" + (f", none of them '{plain(suite)}'" if suite else ""),
        where=str(results),
        remedy="name the folder of one",
    )
