"""Whether a node would run what was submitted: the same suite, by the same code.

Asked on the node before anything is run: a node with another version of a library is at fault itself, and no algorithm.
"""

from haepo_bench.errors import UserError
from haepo_bench.results.code import changes, read_code
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Plan

_NAMED = 8


def check_as_planned(plan: Plan, suite: Store) -> None:
    """Compares a plan, as it is resolved here, with the one in the suite's folder.

    Raises:
        UserError: there is none, or it is another one.
    """
    planned = suite.read_plan()
    if not isinstance(planned, PlanFile):
        raise UserError(
            "there is no plan here to go by",
            where=str(suite.root),
            remedy="--as-planned is for jobs that --executor slurm submits; is the folder shared by all nodes?",
        )
    known = {cell.identity.key: cell for cell in planned.cells}
    for cell in plan.declared_cells:
        there = known.get(cell.key)
        if there is None or (there.settings_hash, there.seeds) != (cell.settings_hash, list(cell.seeds)):
            raise UserError(
                f"the suite has changed since this job was submitted ({cell.key})",
                where=str(suite.plan_path),
                remedy="submit it again, with the same command",
            )
        if there.code_hash != cell.code_hash:
            before = read_code(suite, there.folder)
            found = [] if before is None else changes(before, cell.code)
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            what = f": {', '.join(found[:_NAMED])}{more}" if found else ""
            raise UserError(
                f"this machine runs other code than the one that submitted the job ({cell.key}{what})",
                where=str(suite.plan_path),
                remedy="install the same versions on all nodes; nothing was run here",
            )
