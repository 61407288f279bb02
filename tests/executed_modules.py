"""Runs cells, each in a process of its own, and prints which modules of ours each has loaded when it ends.

    python executed_modules.py FILE

with FILE a pickled list of pickled cells; prints one JSON list of {"error", "modules"}. The processes are forked from
one that has imported other people's libraries and nothing of ours, which is much faster than starting each.
"""

import importlib
import json
import os
import pickle
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch._dynamo", "gymnasium", "pydantic", "stable_baselines3", "transformers.models.llama.modeling_llama",
    "tokenizers", "scipy.stats",
)  # fmt: skip
OURS = "haepo_bench"


class Answers(list[Any]):
    """What a worker tells, in place of its pipe."""

    def send(self, message: Any) -> None:
        self.append(message)


def train(pickled: bytes, folder: Path) -> None:
    """What a worker does with a request, as far as its answer."""
    cell = pickle.loads(pickled)
    from haepo_bench.execution.worker import Request, _train
    from haepo_bench.suite import identity
    from haepo_bench.suite.plan import PlannedRun

    identity.code_document = lambda *_: cell.code  # read once already, and it takes as long as all the rest
    answers = Answers()
    request = Request(
        suite="executed",
        runs=(PlannedRun(cell, 0),),
        device="cpu",
        provenance={"started": ""},
        log=folder / "log",
        policies=[],
        checkpoints=[folder / "checkpoint"],
        checkpoint_seconds=600.0,
    )
    _train(request, answers)  # type: ignore[arg-type]
    (finished,) = [answer for answer in answers if answer.kind == "finished"]
    assert json.loads(finished.content)["status"] == "done", finished.content


def start(pickled: bytes) -> tuple[int, int]:
    """Runs a cell in a process of its own: its number, and the pipe that its answer comes from."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    os.close(reader)
    error = ""
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(pickled, Path(folder))
    except BaseException:
        error = traceback.format_exc()
    modules = sorted(name for name in sys.modules if name.partition(".")[0] == OURS)
    with os.fdopen(writer, "w") as pipe:
        json.dump({"error": error, "modules": modules}, pipe)
    os._exit(0)


def main() -> None:
    """As above, two at a time."""
    for library in LIBRARIES:
        importlib.import_module(library)
    sys.modules["torch"].set_num_threads(1)
    cells = pickle.loads(Path(sys.argv[1]).read_bytes())
    found, running = [], []
    while cells or running:
        while cells and len(running) < 2:
            running.append(start(cells.pop(0)))
        child, reader = running.pop(0)
        with os.fdopen(reader) as pipe:
            found.append(json.loads(pipe.read() or '{"error": "no answer", "modules": []}'))
        os.waitpid(child, 0)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
