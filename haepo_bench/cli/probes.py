"""What a run does, in small: one probe for each thing that an installation is used for.

They are made in a process of their own, so that one that crashes or hangs takes nothing else down. It tells what
becomes of each as a line of JSON:

    python -m haepo_bench.cli.probes NUMBER...
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple

from haepo_bench.errors import UserError, in_words

#: Of one probe: imports from a cold disk take most of it.
SECONDS = 120.0

#: Steps that a probed run may take: more than its first iteration, which alone would not be learnt from.
_STEPS = 64


class Probe(NamedTuple):
    """One thing to try.

    Args:
        subject: the line of doctor's report that it belongs to.
        packages: distributions that it tries; where one is not installed there is nothing to try.
        does: what it does, after "can".
        run: raises what it does not get done, and may return what else there is to say.
    """

    subject: str
    packages: tuple[str, ...]
    does: str
    run: Callable[[], str | None]


class ProbeOutcome(NamedTuple):
    """What became of a probe.

    Args:
        problem: why it failed; empty where it did not.
        said: what it returned.
    """

    problem: str
    said: str = ""


def _train_policy() -> None:
    _train("reinforce", "bandit/10-arm", {})


def _train_with_sb3() -> None:
    _train("ppo", "gym/CartPole-v1", {"n_envs": 1, "n_steps": 16, "batch_size": 16, "n_epochs": 1})


def _train_language_model() -> None:
    _train("grpo", "lm/arithmetic", {"prompts": 1, "completions": 2, "fine_tuning_steps": 0})


def _train_adapter() -> None:
    _train("grpo", "lm/arithmetic", {"prompts": 1, "completions": 2, "fine_tuning_steps": 0, "lora_rank": 2})


def _use_cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; the device is the CPU"
    ones = torch.ones(2, 2, device="cuda")
    _expect((ones @ ones).tolist(), [[2.0, 2.0], [2.0, 2.0]])
    return f"{torch.version.cuda}, {torch.cuda.get_device_name()}"


def _read_data_set() -> None:
    import datasets

    _expect(datasets.Dataset.from_list([{"prompt": "a"}])[0]["prompt"], "a")


def _use_parquet() -> None:
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame({"value": [0.5]}).to_parquet(file, engine="pyarrow", index=False)
    _expect(pd.read_parquet(io.BytesIO(file.getvalue()), engine="pyarrow")["value"].tolist(), [0.5])


def _use_event_files() -> None:
    from torch.utils.tensorboard import SummaryWriter

    from haepo_bench.exchange.event_files import read_event_files

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            writer.add_scalar("return", 0.5, 1)
        _expect(list(read_event_files(list(Path(folder).iterdir()), folder).columns["return"]), [0.5])


#: Tools that runs are logged to and the distributions that hold them; event files are tried by themselves.
_LOGGERS = {"mlflow": "mlflow-skinny", "trackio": "trackio", "wandb": "wandb"}
#: What would send a run that is logged elsewhere.
_ELSEWHERE = (
    "WANDB_MODE",
    "WANDB_DIR",
    "TRACKIO_DIR",
    "TRACKIO_SPACE_ID",
    "TRACKIO_SERVER_URL",
    "MLFLOW_TRACKING_URI",
)


def _log_with(name: str) -> Callable[[], None]:
    def log() -> None:
        from haepo_bench.loggers.logger import LoggedRun
        from haepo_bench.loggers.process import ToolProcess

        for variable in _ELSEWHERE:
            os.environ.pop(variable, None)
        facts = {"settings_hash": "", "code_hash": ""}
        with tempfile.TemporaryDirectory() as folder:
            tool = ToolProcess(name, Path(folder), "doctor")
            curve = tool.begin(LoggedRun("doctor", "bandit/10-arm", "reinforce", 0, {}, facts, None))
            curve.log(0, {"eval_return": 0.5})
            curve.finish("done", {})
            tool.close()

    return log


def _step(address: str) -> Callable[[], None]:
    def step() -> None:
        from haepo_bench import catalogue

        environment = catalogue.task(address, time_limit=100).environment()
        environment.action_space.seed(0)
        environment.reset(seed=0)
        environment.step(environment.action_space.sample())
        environment.close()

    return step


PROBES = (
    Probe("torch", ("torch",), "train a policy", _train_policy),
    Probe("cuda", ("torch",), "compute on an accelerator", _use_cuda),
    Probe("gymnasium", ("gymnasium",), "step CartPole-v1", _step("gym/CartPole-v1")),
    Probe("stable-baselines3", ("stable-baselines3",), "train PPO", _train_with_sb3),
    Probe("extra parquet", ("pyarrow",), "write and read a table", _use_parquet),
    Probe("extra tensorboard", ("tensorboard",), "write and read an event file", _use_event_files),
    *(Probe(f"extra {name}", (package,), "log a run", _log_with(name)) for name, package in _LOGGERS.items()),
    Probe(
        "extra lm",
        ("transformers", "tokenizers", "safetensors"),
        "sample from the tiny model and train it",
        _train_language_model,
    ),
    Probe("extra lm", ("datasets",), "hold a data set", _read_data_set),
    Probe("extra lora", ("transformers", "peft"), "train an adapter", _train_adapter),
    Probe("extra envpool", ("envpool",), "step CartPole-v1", _step("envpool/CartPole-v1")),
    Probe("extra minigrid", ("minigrid",), "step MiniGrid-Empty-5x5-v0", _step("gym/MiniGrid-Empty-5x5-v0")),
    # What gymnasium calls its own extras.
    Probe("mujoco", ("mujoco",), "step InvertedPendulum-v5", _step("gym/InvertedPendulum-v5")),
    Probe("box2d", ("box2d",), "step LunarLander-v3", _step("gym/LunarLander-v3")),
    Probe("box2d", ("box2d-py",), "step LunarLander-v3", _step("gym/LunarLander-v3")),
)


def make(probes: Sequence[Probe], seconds: float = SECONDS) -> list[tuple[Probe, ProbeOutcome]]:
    """What becomes of each.

    Args:
        seconds: that one may take.
    """
    numbers = [PROBES.index(probe) for probe in probes]
    found: dict[int, ProbeOutcome] = {}
    while waiting := [number for number in numbers if number not in found]:
        reached, ended = _some(waiting, seconds)
        # The one that was being made when the process ended is to blame; the others get another process.
        found |= reached if len(reached) == len(waiting) else {**reached, waiting[len(reached)]: ProbeOutcome(ended)}
    return [(probe, found[number]) for probe, number in zip(probes, numbers, strict=True)]


def _some(numbers: Sequence[int], seconds: float) -> tuple[dict[int, ProbeOutcome], str]:
    """What one process finds, in this order, before it ends, and how it ended."""
    found: dict[int, ProbeOutcome] = {}
    command = [sys.executable, "-P", "-m", "haepo_bench.cli.probes", *map(str, numbers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, bufsize=0
    )
    assert child.stdout is not None
    rest, deadline = b"", time.monotonic() + seconds
    with child, DefaultSelector() as selector:
        selector.register(child.stdout, EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            if not (data := child.stdout.read(1 << 16)):
                break
            *lines, rest = (rest + data).split(b"\n")
            for number, *outcome in map(json.loads, lines):
                found[number] = ProbeOutcome(*outcome)
                deadline = time.monotonic() + seconds
        else:
            child.kill()
            return found, f"no answer within {seconds:g} s"
    code = child.returncode
    return found, f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with {code}"


def _train(name: str, address: str, settings: dict[str, object]) -> None:
    """One iteration at least: episodes, an update, evaluations before and after."""
    from haepo_bench import catalogue
    from haepo_bench.training.recorder import Recorder, SeedResult

    task = catalogue.task(address)
    found: list[SeedResult] = []
    # What reaches the budget is not learnt from any more.
    recorder = Recorder([0], budget=_STEPS, every=_STEPS, episodes=1, on_finished=found.append)
    catalogue.algorithm_on(task, name).configure(settings, task).train(task, [0], recorder, device="cpu")
    _expect(found[0].status, "done")
    if not found[0].cost["gradient_steps"]:
        raise RuntimeError("it took no gradient step")


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise RuntimeError(f"it gave {found!r} instead of {wanted!r}")


def main() -> None:
    """Makes the probes of these numbers one after the other, and tells of each before it goes on."""
    told = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print is none of it
    for number in map(int, sys.argv[1:]):
        problem = said = ""
        try:
            said = PROBES[number].run() or ""
        except UserError as error:
            problem = f"{error.located} ({error.remedy})" if error.remedy else error.problem
        except Exception as error:  # other people's packages fail in any way
            problem = in_words(error)
        os.write(told, json.dumps([number, " ".join(problem.split())[:300], said]).encode() + b"\n")


if __name__ == "__main__":
    main()
