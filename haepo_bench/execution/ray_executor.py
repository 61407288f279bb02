"""Runs jobs on a Ray cluster, one task each; this process alone writes the store.

A task brings what its worker says through a streaming generator, and the files that it leaves as well: nodes need no
disk in common. Ray itself tries nothing again: who iterates over the events learns what is lost, and decides.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haepo_bench.execution.executor import (
    Ended,
    Event,
    Failed,
    Finished,
    Marked,
    Progressed,
    Queue,
    Started,
    Tick,
)
from haepo_bench.execution.jobs import Job
from haepo_bench.execution.local import TICK_SECONDS
from haepo_bench.execution.parcels import LOG, SuiteFiles, pack
from haepo_bench.execution.ray_cluster import RayCluster
from haepo_bench.execution.ray_node import News, Node, run_job
from haepo_bench.execution.records import utc_now
from haepo_bench.execution.worker import Message, Request
from haepo_bench.files import open_in_place
from haepo_bench.results.record import KILLED, OTHER_CODE, OUT_OF_MEMORY, UNFIT, Failure
from haepo_bench.results.writing import translate_os_errors, write_atomically
from haepo_bench.suite.plan import RayJobs, RunKey

#: Tasks that Ray is given for each slot, so that a slot never waits for this process.
_TASKS_A_SLOT = 2
#: Between two looks at the nodes that there are.
_COUNT_SECONDS = 2.0
#: A task that is cancelled and does not end by then is given up.
_CANCEL_SECONDS = 30.0
#: A piece that lies on a node that is gone.
_GET_SECONDS = 60.0
#: Left to what was said before everything was stopped.
_DRAIN_SECONDS = 2.0


@dataclass
class _Task:
    """A job that Ray has been given.

    Args:
        stream: Ray's generator of what the node tells.
        places: where the files belong that the job leaves.
        deadline: of the job, once it runs; of the task's end, once it is cancelled.
        cancelled: because its time was over.
    """

    job: Job
    stream: Any
    places: dict[str, Path]
    unfinished: list[int]
    node: Node | None = None
    begun: bool = False
    deadline: float = float("inf")
    cancelled: bool = False

    @property
    def where(self) -> str:
        return "" if self.node is None else f" on the node {self.node.facts['node']}"


class RayExecutor:
    """Runs jobs on a Ray cluster.

    Args:
        jobs: the cluster's address, and what a job asks of a node.
        timeout_seconds: for one job, from the moment it is begun on a node.
        request: makes what is sent to a worker for a job.
        ahead: whether Ray may be given more jobs than have room.

    Raises:
        UserError: there is no such cluster, or none with room for a job.
    """

    def __init__(
        self, jobs: RayJobs, *, timeout_seconds: float, request: Callable[[Job], Request], ahead: bool = True
    ) -> None:
        self._jobs, self._timeout_seconds, self._request = jobs, timeout_seconds, request
        self._ahead = _TASKS_A_SLOT if ahead else 1
        self._stopping = False
        self._tasks: dict[Any, _Task] = {}
        #: Nodes that cannot run the suite's jobs, and by run the node that it was lost on.
        self._unfit: set[str] = set()
        self._lost_on: dict[RunKey, str] = {}
        #: Sent once, however many jobs of the same cells need them.
        self._suite_files: dict[tuple[str, ...], Any] = {}
        self._cluster: RayCluster | None = RayCluster(jobs)
        self._ray = self._cluster.ray
        self._count()
        self._remote = self._ray.remote(
            num_returns="streaming", num_cpus=1, max_retries=0, scheduling_strategy="SPREAD",
            **({"num_gpus": jobs.num_gpus} if jobs.num_gpus else {}),
            **({"resources": jobs.resources} if jobs.resources else {}),
        )(run_job)  # fmt: skip

    def stop(self) -> None:
        """Ends `events` soon; safe to call from a signal handler."""
        self._stopping = True

    def events(self, queue: Queue) -> Generator[Event, None, None]:
        """Runs the jobs of a queue and tells what happens, as the contract says."""
        try:
            while not self._stopping:
                self._submit(queue)
                if not self._tasks:
                    break
                yield from self._listen(TICK_SECONDS)
                yield from self._give_up_overdue()
                yield Tick()
            if self._stopping:
                self._cancel_all()
                deadline = time.monotonic() + _DRAIN_SECONDS
                while self._tasks and time.monotonic() < deadline:
                    yield from self._listen(TICK_SECONDS)
        finally:
            self._cancel_all()
            self.close()

    def close(self) -> None:
        """Lets go of what the executor holds; `stop` may not be called after it."""
        if self._cluster is not None:
            self._tasks.clear()
            self._suite_files.clear()
            self._cluster.close()
            self._cluster = None

    def _submit(self, queue: Queue) -> None:
        if time.monotonic() >= self._count_again:
            self._count()
        limit = self._jobs.at_most
        # With fewer than there is room for, a job that waits would be one that runs.
        most = limit if limit is not None and limit < self.slots else self.slots * self._ahead
        while not self._stopping and len(self._tasks) < most:
            job = queue.take()
            if job is None:
                return
            parcel, places = pack(self._request(job))
            stream = self._remote.options(**self._elsewhere(job)).remote(parcel, self._files(job))
            self._tasks[stream] = _Task(job, stream, places, list(range(len(job.runs))))

    def _files(self, job: Job) -> Any:
        cells = {run.cell.folder: run.cell for run in job.runs}
        key = tuple(cells)
        if key not in self._suite_files:
            self._suite_files[key] = self._ray.put(SuiteFiles.of(cells.values()))
        return self._suite_files[key]

    def _count(self) -> None:
        assert self._cluster is not None
        self.slots = self._cluster.slots(self._unfit) or self._cluster.slots()
        self._count_again = time.monotonic() + _COUNT_SECONDS

    def _elsewhere(self, job: Job) -> dict[str, Any]:
        """Keeps a job from nodes that are unfit or that lost it before, where there are others."""
        assert self._cluster is not None
        lost = {node for run in job.runs if (node := self._lost_on.get(run.key))}
        for nodes in (self._unfit | lost, self._unfit):
            if nodes and self._cluster.slots(nodes):
                return {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(nodes))})"}}
        return {}

    def _listen(self, seconds: float) -> Iterator[Event]:
        """What the tasks say; waits so long for a first word."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        for stream in ready:
            yield from self._hear(self._tasks[stream])

    def _hear(self, task: _Task) -> Iterator[Event]:
        try:
            news: News = self._ray.get(next(task.stream), timeout=_GET_SECONDS)
        except StopIteration:
            yield from self._end(task, Failure(status="failed", type=KILLED, message=f"ended too early{task.where}"))
        except self._ray.exceptions.RayError as error:
            yield from self._end(task, self._reason(task, error))
        else:
            yield from self._tell(task, news)

    def _tell(self, task: _Task, news: News) -> Iterator[Event]:
        if news.node is not None:
            task.node, task.deadline = news.node, time.monotonic() + self._timeout_seconds
            yield from self._begin(task)
        self._keep(task, news.files)
        for message in news.messages:
            yield from self._pass_on(task, message)
        if news.death is not None:
            kind, why = news.death
            yield from self._end(task, Failure(status="failed", type=kind, message=f"{why}{task.where}"))

    def _pass_on(self, task: _Task, message: Message) -> Iterator[Event]:
        job = task.job
        if message.kind == "progress":
            yield Progressed(job, *message.content)
        elif message.kind == "marked":
            yield Marked(job, job.runs[message.run], message.content)
        elif message.kind == "finished" and message.run in task.unfinished:
            task.unfinished.remove(message.run)
            yield Finished(job, job.runs[message.run], message.content)
        elif message.kind == "failed":
            yield from self._fail(task, message.content, None if message.run < 0 else message.run)
        elif message.kind == "ended":
            yield from self._end(task, None)

    def _fail(self, task: _Task, failure: Failure, run: int | None = None) -> Iterator[Event]:
        """Fails one run, or all that have not finished."""
        failed = [known for known in task.unfinished if run in (None, known)]
        if not failed:
            return
        task.unfinished = [known for known in task.unfinished if known not in failed]
        runs = tuple(task.job.runs[known] for known in failed)
        if task.node is not None and failure.of_machine:
            self._lost_on |= {lost.key: task.node.id for lost in runs}
            if failure.type in (OTHER_CODE, UNFIT):
                self._unfit.add(task.node.id)
        started = failure.started or (utc_now() if task.node is None else task.node.started)
        failure = failure.model_copy(update={"started": started})
        yield Failed(task.job, runs, failure, {} if task.node is None else task.node.facts)

    def _end(self, task: _Task, failure: Failure | None) -> Iterator[Event]:
        """The end of a task; what has not finished failed for that reason, unless it was stopped."""
        del self._tasks[task.stream]
        if failure is not None and task.unfinished:
            if self._stopping:
                return
            yield from self._begin(task)
            self._keep(task, {LOG: f"--- {utc_now()} {failure.message}\n".encode()})
            yield from self._fail(task, failure)
        yield Ended(task.job)

    def _begin(self, task: _Task) -> Iterator[Event]:
        if not task.begun:
            task.begun = True
            self._keep(task, {LOG: b""})
            yield Started(task.job)

    def _keep(self, task: _Task, files: Mapping[str, bytes]) -> None:
        """Stores the files of a job: its log's new end, others whole."""
        for name, content in files.items():
            path = task.places[name]
            if name == LOG:
                with translate_os_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with open_in_place(path) as file:
                        file.write(content)
            else:
                write_atomically(path, content)

    def _reason(self, task: _Task, error: Exception) -> Failure:
        """What became of a task that Ray has lost."""
        if task.cancelled:
            return self._timeout()
        exceptions, kind = self._ray.exceptions, KILLED
        if isinstance(error, exceptions.OutOfMemoryError):
            kind = OUT_OF_MEMORY
        elif isinstance(error, exceptions.RayTaskError | exceptions.RuntimeEnvSetupError):
            kind = UNFIT  # nothing of the job has been run, or it was our own doing: never the algorithm's
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1 if isinstance(error, exceptions.RayTaskError) else 0] if lines else ""
        return Failure(status="failed", type=kind, message=f"{type(error).__name__}{task.where}: {said}")

    def _timeout(self) -> Failure:
        message = f"not finished after {self._timeout_seconds:g} s, the suite's execution.timeout"
        return Failure(status="timed_out", type="Timeout", message=message)

    def _give_up_overdue(self) -> Iterator[Event]:
        now = time.monotonic()
        for task in [task for task in self._tasks.values() if now >= task.deadline]:
            if task.cancelled:
                yield from self._end(task, self._timeout())
            else:
                task.cancelled, task.deadline = True, now + _CANCEL_SECONDS
                self._cancel(task)

    def _cancel(self, task: _Task) -> None:
        with contextlib.suppress(Exception):  # it is over already, or its node is
            self._ray.cancel(task.stream, force=True)

    def _cancel_all(self) -> None:
        for task in self._tasks.values():
            self._cancel(task)
