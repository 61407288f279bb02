"""Which executor runs the jobs of a plan."""

from collections.abc import Callable, Sequence

from haepo_bench.errors import UserError
from haepo_bench.execution.executor import Executor
from haepo_bench.execution.jobs import Job
from haepo_bench.execution.local import LocalExecutor
from haepo_bench.execution.worker import Request
from haepo_bench.execution.worker_process import WorkerProcess
from haepo_bench.suite.plan import Execution


def executor_for(
    execution: Execution, request: Callable[[Job], Request], ready: Sequence[WorkerProcess], *, ahead: bool
) -> Executor:
    """The executor that a plan names.

    Args:
        request: makes what is sent to a worker for a job.
        ready: idle workers on this machine that run already.
        ahead: whether jobs may be handed out before a slot is free for them.

    Raises:
        UserError: it cannot be used here.
    """
    if execution.executor == "ray":
        from haepo_bench.execution.ray_executor import RayExecutor

        return RayExecutor(execution.ray, timeout_seconds=execution.timeout_seconds, request=request, ahead=ahead)
    if execution.executor == "slurm":
        raise UserError(
            "the jobs of an array are submitted by `haepo-bench run`, which collects them later",
            where="execution.executor",
            remedy="use that, or set execution.executor to local and run shards in jobs of your own",
        )
    return LocalExecutor(
        workers=execution.workers, timeout_seconds=execution.timeout_seconds, request=request, ready=ready
    )
