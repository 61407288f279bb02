"""The runs that a RESULTS argument means: those of one suite."""

import os
from dataclasses import replace
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.results.opening import open_results
from haepo_bench.results.selection import Selection
from haepo_bench.text import plain


def runs_in(results: Path, suite: str | None = None, *, to: str) -> Selection:
    """The runs of one suite.

    Args:
        results: a suite's folder, or a folder of such.
        suite: which one, where there are several; any where None. A single one is taken whatever it is called.
        to: what is to be done with it, for the message.

    Raises:
        UserError: no such folder, no result in it, or several suites of which not one is the one looked for.
    """
    selections = open_results(results, to=to)
    if any(selection.search is not None for selection in selections):
        raise UserError(
            f"holds the runs of a search, whose trials are not algorithms to {to}",
            where=str(results),
            remedy="take those of `haepo-bench run SUITE --tuned FILE`, in SUITE-tuned, or of the suite itself",
        )
    named = [selection for selection in selections if selection.name == suite]
    if len(selections) == 1:
        return selections[0]
    if len(named) == 1:
        # Runs of this suite may lie in what cannot be read.
        others = [
            replace(file, path=Path(os.pardir, selection.name, file.path))
            for selection in selections
            if selection is not named[0]
            for file in selection.unreadable
        ]
        return replace(named[0], damaged=(*named[0].damaged, *others))
    if named:  # such as the stages of a gate
        problem = f"holds {len(named)} folders of the suite '{plain(named[0].name)}'"
    else:
        listed = ", ".join(sorted(plain(selection.name) for selection in selections))
        problem = f"holds {len(selections)} suites ({listed})" + (f", none of them '{plain(suite)}'" if suite else "")
    raise UserError(problem, where=str(results), remedy="name the folder of one")
