"""The queue, seen from where jobs are submitted: submit, ask what is there, cancel.

submitit writes the scripts and submits them. What is in the queue is asked of `squeue`: submitit asks `sacct`, which
answers only where a cluster keeps accounts in a database. Which job is which chunk is in a file of lines beside
submitit's own.
"""

import contextlib
import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.execution.records import utc_now
from haepo_bench.execution.slurm.job import WARNING_SECONDS, ChunkJob
from haepo_bench.files import read_regular
from haepo_bench.results.writing import translate_os_errors, write_atomically
from haepo_bench.suite.slurm_keys import SlurmOptions

if TYPE_CHECKING:
    import submitit

#: Folder of submitit's files, in the suite's folder.
SLURM_FOLDER = "slurm"
_JOBS_FILE = "jobs.jsonl"
#: Slurm's own limit on the numbers of an array, where a cluster has not raised it.
_MOST_IN_ARRAY = 1000
#: Time limits after which a job is not queued again by itself; preemption does not count.
_TIME_LIMITS = 10
_ASK_SECONDS = 60.0


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted.

    Args:
        plan: hash of the plan that its chunk is of (`Chunks.plan`).
        chunk: number of the chunk.
        job: Slurm's name of it, or a process number.
        cluster: `slurm` or `local`.
        at: ISO 8601, UTC.
    """

    plan: str
    chunk: int
    job: str
    cluster: str
    at: str = field(compare=False)


class QueueError(Exception):
    """The queue does not answer just now."""


class JobQueue:
    """The jobs of one suite.

    Args:
        folder: submitit's, on a file system that all nodes share.
    """

    def __init__(self, folder: Path, suite: str, options: SlurmOptions) -> None:
        self._folder, self._suite, self._options = folder.absolute(), suite, options
        self._jobs: dict[str, submitit.Job[int]] = {}
        self.submitted: list[Submitted] = _read(folder / _JOBS_FILE)

    def states(self) -> dict[Submitted, str]:
        """What Slurm says of the jobs that have not ended, such as PENDING or RUNNING; others are left out.

        Raises:
            QueueError: it does not answer.
        """
        slurm = any(job.cluster == "slurm" for job in self.submitted)
        there = _squeue() if slurm else {}
        states = {}
        for job in self.submitted:
            state = there.get(job.job) if job.cluster == "slurm" else _of_process(job.job, self._folder)
            if state is not None:
                states[job] = state
        return states

    def forget(self, ended: Iterable[Submitted]) -> None:
        """Takes jobs that have ended off the list."""
        gone = set(ended)
        for job in gone:
            paths = self._job(job).paths
            for file in (paths.submitted_pickle, paths.result_pickle):  # a process number comes again
                file.unlink(missing_ok=True)
        if gone:
            self._keep([job for job in self.submitted if job not in gone])

    def submit(self, plan: str, work: Mapping[int, ChunkJob], minutes: int) -> list[Submitted]:
        """Submits chunks, by number, as one array, or as few as there can be.

        Raises:
            UserError: Slurm is not there, or refuses them.
        """
        with translate_os_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        numbers, submitted = list(work), []
        for start in range(0, len(numbers), _MOST_IN_ARRAY):
            part = numbers[start : start + _MOST_IN_ARRAY]
            with interruption.held():  # a job that no file names would be submitted again
                jobs = self._submit([work[number] for number in part], minutes)
                now = utc_now()
                new = [
                    Submitted(plan, number, job.job_id, self._options.cluster, now)
                    for number, job in zip(part, jobs, strict=True)
                ]
                self._jobs.update({job.job_id: job for job in jobs})
                self._keep([*self.submitted, *new])
            submitted += new
        return submitted

    def exit_code(self, job: Submitted) -> int | None:
        """What the command of a job that has ended exited with; None where it was ended before."""
        found = self._job(job)
        if not found.paths.result_pickle.exists() or found.exception() is not None:
            return None
        return found.result()

    def error_log(self, job: Submitted) -> Path:
        """Where a job's error messages are."""
        return self._job(job).paths.stderr

    def cancel(self, jobs: Iterable[Submitted]) -> None:
        """Ends jobs that are processes of this machine."""
        for job in jobs:
            if job.cluster == "local" and job.job in self._jobs:
                self._jobs[job.job].cancel(check=False)

    def _job(self, job: Submitted) -> "submitit.Job[int]":
        _require_submitit()
        import submitit

        kind = submitit.SlurmJob if job.cluster == "slurm" else submitit.LocalJob
        return kind(self._folder, job.job)

    def _submit(self, work: Sequence[ChunkJob], minutes: int) -> "list[submitit.Job[int]]":
        _require_submitit()
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        logging.getLogger("submitit").setLevel(logging.CRITICAL)  # what goes wrong is raised, and said by us
        options = self._options
        try:
            executor = submitit.AutoExecutor(
                self._folder,
                cluster=options.cluster,
                slurm_max_num_timeout=_TIME_LIMITS,
                local_max_num_timeout=_TIME_LIMITS,
                # Without the current folder, in which a file may have a library's name.
                slurm_python=f"{shlex.quote(sys.executable)} -P",
                local_python=f"{shlex.quote(sys.executable)} -P",
            )
            executor.update_parameters(**_parameters(options, self._suite, minutes, len(work)))
            with executor.batch():
                jobs = [executor.submit(each) for each in work]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            said = " ".join(str(error).split())
            raise UserError(
                f"Slurm did not take the jobs: {said}",
                remedy="see execution.slurm and the options --slurm-*; nothing was submitted that the same command "
                "does not know of",
            ) from None
        except RuntimeError as error:
            if "srun" not in str(error):
                raise
            raise UserError(
                "there is no Slurm here: no program srun on the path",
                remedy="run this command where jobs are submitted; to try it out without Slurm: "
                "--set execution.slurm.cluster=local",
            ) from None
        return jobs

    def _keep(self, jobs: list[Submitted]) -> None:
        lines = (json.dumps(asdict(job)) + "\n" for job in jobs)
        write_atomically(self._folder / _JOBS_FILE, "".join(lines))
        self.submitted = jobs


def _require_submitit() -> None:
    if find_spec("submitit") is None:
        raise UserError("submitit is not installed", remedy="pip install 'haepo-bench[slurm]'")


def _parameters(options: SlurmOptions, suite: str, minutes: int, jobs: int) -> dict[str, Any]:
    """Parameters of all jobs, by the names that submitit has for them."""
    parameters: dict[str, Any] = {
        "name": f"haepo-{suite}",
        "timeout_min": minutes,
        "cpus_per_task": options.cpus,
        "mem_gb": options.memory,
        "gpus_per_node": options.gpus or None,
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "slurm_array_parallelism": options.parallel or min(jobs, 256),
        "slurm_signal_delay_s": WARNING_SECONDS,
        # Since Slurm 22.05 srun does not take this over from the job that it is in.
        "slurm_srun_args": [f"--cpus-per-task={options.cpus}"],
        "slurm_additional_parameters": {"requeue": True, **options.extra},
        "slurm_setup": list(options.setup) or None,
        "local_setup": list(options.setup) or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _squeue() -> dict[str, str]:
    """The state of each of this user's jobs that have not ended."""
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(f"squeue: {error}") from None
    if done.returncode:
        raise QueueError(" ".join(done.stderr.split()) or f"squeue: exit code {done.returncode}")
    pairs = (line.split() for line in done.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _of_process(number: str, folder: Path) -> str | None:
    """RUNNING, if the process is there and is submitit's for this folder."""
    with contextlib.suppress(OSError):
        command = Path("/proc", number, "cmdline").read_bytes()
        if b"submitit" in command and os.fsencode(folder) in command:
            return "RUNNING"
    return None


def _read(path: Path) -> list[Submitted]:
    """The jobs that a file names; a line that is not one of ours is as if it was not there."""
    try:
        lines = read_regular(path).decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    jobs = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            jobs.append(Submitted(**json.loads(line)))
    return jobs
