"""Runs jobs in worker processes of our own on this machine.

Own processes with pipes, because one SIGKILL fails every future of a ProcessPoolExecutor; `subprocess` rather than
`multiprocessing`, because a worker needs its environment, its log file and blocked signals from its first moment, and
must not import the program's main module again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import wait

from haepo_bench.execution.executor import Ended, Event, Finished, Marked, Progressed, Queue, Started, Tick
from haepo_bench.execution.jobs import Job
from haepo_bench.execution.worker import Request
from haepo_bench.execution.worker_process import WorkerProcess, for_a_process
from haepo_bench.results.record import Failure, Status

JOBS_A_WORKER = 50
BYTES_A_WORKER = 1 << 30
TICK_SECONDS = 0.25


class LocalExecutor:
    """Runs jobs on this machine.

    Args:
        workers: processes at a time.
        timeout_seconds: for one job, from the moment it is given to a worker.
        request: makes what is sent to a worker for a job.
        ready: idle workers that run already; they are the executor's from now on.
    """

    def __init__(
        self,
        *,
        workers: int,
        timeout_seconds: float,
        request: Callable[[Job], Request],
        ready: Iterable[WorkerProcess] = (),
    ) -> None:
        self.slots = workers
        self._timeout_seconds = timeout_seconds
        self._request = request
        self._workers = list(ready)
        self._stopping = False
        with for_a_process():
            self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    def stop(self) -> None:
        """Ends `events` soon; safe to call from a signal handler."""
        self._stopping = True
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"\0")

    def events(self, queue: Queue) -> Generator[Event, None, None]:
        """Runs the jobs of a queue and tells what happens, as the contract says."""
        try:
            while not self._stopping:
                yield from self._assign(queue)
                if not any(worker.job for worker in self._workers):
                    break
                wait([self._wake_reader, *(worker.connection for worker in self._workers)], self._patience())
                if self._stopping:
                    break
                for worker in list(self._workers):
                    yield from self._attend(worker)
                yield Tick()
            if self._stopping:
                for worker in self._workers:
                    worker.kill()
                for worker in self._workers:
                    yield from self._deliver(worker)
        finally:
            for worker in self._workers:
                worker.kill()
                worker.connection.close()
            self._workers.clear()

    def close(self) -> None:
        """Lets go of what the executor holds; `stop` may not be called after it."""
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _assign(self, queue: Queue) -> Iterator[Event]:
        while not self._stopping:
            idle = self._idle()
            full = len(self._workers) >= self.slots
            if full and not idle:
                return
            job = queue.take(self._fits)
            if job is None:
                return
            request = self._request(job)
            worker = next((worker for worker in idle if worker.suits(job.foreign)), None)
            if worker is None and full:
                self._retire(idle[0])
            if worker is None:
                worker = WorkerProcess(request.log)
                self._workers.append(worker)
            worker.take(job, request, self._timeout_seconds)
            yield Started(job)

    def _fits(self, job: Job) -> bool:
        """Whether no idle worker has to make way for the job."""
        return len(self._workers) < self.slots or any(worker.suits(job.foreign) for worker in self._idle())

    def _idle(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.job is None]

    def _patience(self) -> float:
        deadlines = [worker.deadline for worker in self._workers if worker.job]
        return max(0.0, min(TICK_SECONDS, min(deadlines, default=0.0) - time.monotonic())) if deadlines else 0.0

    def _attend(self, worker: WorkerProcess) -> Iterator[Event]:
        # In this order: what a worker said before its death lies in the pipe when its death is seen.
        dead = worker.process.poll() is not None
        yield from self._deliver(worker)
        if dead or worker.deaf:
            worker.kill()
            yield from self._give_up(worker, "failed", *worker.death)
        elif worker.job and time.monotonic() >= worker.deadline:
            worker.kill()
            yield from self._deliver(worker)
            message = f"not finished after {self._timeout_seconds:g} s, the suite's execution.timeout"
            yield from self._give_up(worker, "timed_out", "Timeout", message)
        elif worker.job is None and (worker.jobs >= JOBS_A_WORKER or worker.peak_bytes > BYTES_A_WORKER):
            self._retire(worker)

    def _retire(self, worker: WorkerProcess) -> None:
        worker.retire()
        self._workers.remove(worker)

    def _give_up(self, worker: WorkerProcess, status: Status, kind: str, message: str) -> Iterator[Event]:
        self._workers.remove(worker)
        worker.connection.close()
        if worker.job is not None:
            yield from worker.fail(Failure(status=status, type=kind, message=message, started=worker.started))
            yield Ended(worker.job)

    def _deliver(self, worker: WorkerProcess) -> Iterator[Event]:
        for message in worker.received():
            job = worker.job
            if job is None:
                continue
            if message.kind == "progress":
                yield Progressed(job, *message.content)
            elif message.kind == "marked":
                yield Marked(job, job.runs[message.run], message.content)
            elif message.kind == "finished" and message.run in worker.unfinished:
                worker.unfinished.remove(message.run)
                yield Finished(job, job.runs[message.run], message.content)
            elif message.kind == "failed":
                yield from worker.fail(message.content, None if message.run < 0 else message.run)
            elif message.kind == "ended":
                worker.peak_bytes = message.content
                worker.job = None
                yield Ended(job)
