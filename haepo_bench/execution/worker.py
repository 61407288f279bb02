"""A worker process: trains one job after the other and tells its parent, over a pipe, what becomes of each seed.

Started by executor.py with one thread for every numerical library, its output going to the job's log file. The parent
alone decides when a worker ends: signals of the terminal are ignored, and the pipe's end is the worker's end, so none
outlives its parent. Torch is imported only if the algorithm does.
"""

import contextlib
import faulthandler
import io
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from haepo_bench import interruption
from haepo_bench.files import open_in_place
from haepo_bench.results.record import ENGINE_KEY
from haepo_bench.results.writing import translate_os_errors
from haepo_bench.suite.plan import Cell, PlannedRun, by_cell

if TYPE_CHECKING:
    from haepo_bench.training.recorder import Progress, SeedResult

_PROGRESS_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """What a worker needs to know to run a job.

    Args:
        runs: of the job.
        provenance: of all of them.
        log: file that the worker's output goes to while the job runs.
        policies: for each run the file for its final policy; empty where policies are not kept.
        checkpoints: for each run the file that it can go on from.
        checkpoint_seconds: between two checkpoints.
    """

    suite: str
    runs: tuple[PlannedRun, ...]
    device: str
    provenance: dict[str, Any]
    log: Path
    policies: list[Path]
    checkpoints: list[Path]
    checkpoint_seconds: float


class SuiteRequest(NamedTuple):
    """A suite for a worker to resolve, before its first job: arguments of `load_plan`."""

    suite: str
    sets: tuple[str, ...]
    only: tuple[str, ...]
    options: dict[str, str | bool | None]


class Message(NamedTuple):
    """What a worker tells its parent.

    Args:
        kind: of a suite `said` with a line for people, `doing` with where in it code of others is run next and in words
            what is done, `refused` with the parts of a UserError, `planned` with the plan
            or, after a fault of ours, None. Of jobs `finished` with a run record as JSON text, `progress` with (env
            steps, total, return), `marked` with the columns of one evaluation point of a run, `failed` with a Failure
            of one run or of all that have not finished, `ended` with the worker's peak memory in bytes after each job.
        run: index of the run in its job; -1 where it speaks of no one run.
    """

    kind: Literal["said", "doing", "refused", "planned", "finished", "progress", "marked", "failed", "ended"]
    content: Any
    run: int = -1


def main(handle: int) -> None:
    """Serves the parent at the other end of the socket `handle` until it closes it or dies."""
    interruption.ignore()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, interruption.NUMBERS)
    os.set_inheritable(handle, False)
    interruption.die_with_parent()
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a worker's is a real file
    connection = Connection(handle)
    requests: SimpleQueue[Request | SuiteRequest] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    while True:
        request = requests.get()
        try:
            if isinstance(request, SuiteRequest):
                _resolve(request, connection)
            else:
                _serve(request, connection)
        except BrokenPipeError:  # the parent is gone
            os._exit(0)


def _receive(connection: Connection, requests: "SimpleQueue[Request | SuiteRequest]") -> None:
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:
        # A request that cannot be unpickled: without this thread the worker would wait for ever.
        traceback.print_exc()
        os._exit(1)


def _resolve(request: SuiteRequest, connection: Connection) -> None:
    from haepo_bench.errors import UserError

    try:
        from haepo_bench.suite.resolve import load_plan

        def say(line: str) -> None:
            connection.send(Message("said", line))

        def doing(where: str, what: str) -> None:
            connection.send(Message("doing", (where, what)))

        options: Any = request.options  # its own keywords
        plan = load_plan(request.suite, request.sets, request.only, say=say, doing=doing, **options)
    except UserError as error:
        connection.send(Message("refused", (error.problem, error.where, error.remedy, int(error.exit_code))))
    except Exception:  # the parent meets it again, and says what it is
        connection.send(Message("planned", None))
    else:
        connection.send(Message("planned", plan))


def _serve(request: Request, connection: Connection) -> None:
    from haepo_bench.training.recorder import peak_memory_bytes

    started = str(request.provenance["started"])
    try:
        _log_to(request.log)
        for cell, seeds in by_cell(request.runs):
            print(f"--- {started} {cell.task} {cell.algorithm} seeds {seeds} pid {os.getpid()}")
        with _warnings_once():
            _train(request, connection)
    except (Exception, KeyboardInterrupt) as error:  # not Ctrl-C, which workers ignore
        from haepo_bench.execution.records import failure_of

        traceback.print_exc()
        connection.send(Message("failed", failure_of(error, started)))
    connection.send(Message("ended", peak_memory_bytes()))


def _train(request: Request, connection: Connection) -> None:
    from haepo_bench.errors import UserError
    from haepo_bench.execution.checkpoints import FileCheckpoints
    from haepo_bench.execution.records import OtherCode, failure_of, result_record, shared_with
    from haepo_bench.results.code import changes
    from haepo_bench.results.declared_columns import PROVENANCE_KEY, declaration
    from haepo_bench.suite.identity import code_document
    from haepo_bench.suite.local.code import changed_data
    from haepo_bench.suite.names import Names
    from haepo_bench.training.algorithm import BatchRow
    from haepo_bench.training.recorder import Recorder

    cell = request.runs[0].cell
    mixed = any(run.cell.folder != cell.folder for run in request.runs)
    # What the recorder calls each run: its seed, unless seeds are those of several cells.
    keys = [number if mixed else run.seed for number, run in enumerate(request.runs)]
    numbers = {key: number for number, key in enumerate(keys)}
    try:
        engine = _engine(cell)
    except UserError as error:  # it could be used where the plan was made
        raise OtherCode(error.problem, remedy=error.remedy) from error
    last_progress = 0.0

    def check_data() -> None:
        """Before anything of a run is kept: code is read once, but data files whenever an environment likes."""
        if changed := changed_data(local.data, cell.lookup.folder):
            raise OtherCode(
                f"{', '.join(changed)} changed while the run may have read from it", remedy="start it again"
            )

    def finished(result: "SeedResult") -> None:
        check_data()
        number = numbers[result.seed]
        run = request.runs[number]
        provenance = {**request.provenance, **shared_with(run, request.runs), **result.provenance}
        provenance |= {**_accelerator(request.device), **engine}
        own = {name: said for name, said in columns.items() if name in result.curve or name in result.final}
        provenance |= {PROVENANCE_KEY: own} if own else {}
        record = result_record(request.suite, run.cell, replace(result, seed=run.seed), provenance)
        connection.send(Message("finished", record.to_json(), number))

    def marked(seed: int, row: Mapping[str, Any]) -> None:
        connection.send(Message("marked", dict(row), numbers[seed]))

    def failed(seed: int, error: Exception) -> None:
        run = request.runs[numbers[seed]]
        print(f"{f'{run.cell.algorithm} ' if mixed else ''}seed {run.seed} failed:", flush=True)
        traceback.print_exception(error)
        connection.send(Message("failed", failure_of(error, str(request.provenance["started"])), numbers[seed]))

    def progress(state: "Progress") -> None:
        nonlocal last_progress
        now = time.monotonic()
        if now - last_progress >= _PROGRESS_SECONDS:
            last_progress = now
            value = None if state.eval_return is None else float(state.eval_return)
            connection.send(Message("progress", (int(state.env_steps), int(state.total), value)))

    def policy(seed: int, state: Mapping[str, Any]) -> None:
        _store_policy(request.policies[numbers[seed]], state)

    names = Names(cell.lookup.folder)
    task = names.task(cell.lookup.address, time_limit=cell.time_limit, options=cell.options)
    definition = names.algorithm_on(task, cell.uses)
    algorithm = definition.configure(cell.overrides, task)
    columns = declaration((*algorithm.columns, *task.columns))
    algorithm.engine = cell.engine
    local = names.parts(cell.uses, cell.lookup.address, cell.lookup.files, cell.options.get("wrappers", ()))
    differing = changes(cell.code, code_document(definition, algorithm, task, local, cell.engine))
    if differing:
        raise OtherCode(
            f"what it executes has changed since this run was started: {', '.join(differing)}", remedy="start it again"
        )
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    recorder = Recorder(
        keys,
        budget=cell.budget,
        every=cell.evaluation_every,
        episodes=cell.evaluation_episodes,
        on_finished=finished,
        on_failed=failed,
        on_marked=marked,
        on_progress=progress,
        on_policy=policy if request.policies else None,
        checkpoints=FileCheckpoints(
            dict(zip(keys, request.checkpoints, strict=True)),
            {key: _identity(run) for key, run in zip(keys, request.runs, strict=True)},
            request.checkpoint_seconds,
            check_data,
        ),
    )
    if mixed:
        configured = {cell.folder: algorithm}
        rows = []
        for key, run in zip(keys, request.runs, strict=True):
            if run.cell.folder not in configured:
                configured[run.cell.folder] = definition.configure(run.cell.overrides, task)
            rows.append(BatchRow(key, run.seed, configured[run.cell.folder]))
        algorithm.train_rows(task, rows, recorder, device=request.device)
    else:
        algorithm.train(task, keys, recorder, device=request.device)
    last_progress = 0.0
    recorder.progress()
    if recorder.unfinished:
        raise RuntimeError(f"the algorithm returned before the budget was reached for seeds {recorder.unfinished}")


def _identity(run: PlannedRun) -> str:
    return f"{run.cell.settings_hash} {run.cell.code_hash} seed {run.seed}"


@contextlib.contextmanager
def _warnings_once() -> Iterator[None]:
    """Prints each warning once, however many environments give it."""
    seen: set[tuple[str, type[Warning]]] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def once(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if (str(message), category) not in seen:
                seen.add((str(message), category))
                show(message, category, *where, **more)

        warnings.showwarning = once
        yield


def _accelerator(device: str) -> dict[str, str]:
    if device != "cuda":
        return {}
    import torch

    return {"device_name": torch.cuda.get_device_name()}


def _engine(cell: Cell) -> dict[str, dict[str, str]]:
    """What the kernels were built for, by what, and the library's digest; nothing of runs by torch.

    Raises:
        UserError: the plan's engine cannot be used here.
    """
    if cell.engine != "compiled":
        return {}
    from haepo_bench.engine.library import opened

    library = opened()
    target, _, compiler = library.built.partition("; ")
    return {ENGINE_KEY: {"name": cell.engine, "target": target, "compiler": compiler, "library": library.digest}}


def _store_policy(path: Path, state: Mapping[str, Any]) -> None:
    import numpy as np

    from haepo_bench.results.writing import write_atomically

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **state)
    write_atomically(path, buffer.getvalue())


def _log_to(path: Path) -> None:
    """Sends everything that this process writes, libraries included, to the end of `path`."""
    sys.stdout.flush()
    sys.stderr.flush()
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_in_place(path)
    with file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
