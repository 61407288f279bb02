"""What `auto` means on this machine: worker processes and device."""

import os
from typing import NamedTuple

from haepo_bench.engine.library import status
from haepo_bench.errors import UserError
from haepo_bench.results.record import Engine
from haepo_bench.suite.execution_keys import ExecutionOptions
from haepo_bench.suite.plan import Execution, RayJobs


class ChosenEngine(NamedTuple):
    """What computes runs, why that, and whether it was left to the machine."""

    name: Engine
    reason: str
    open: bool = False


class Device(NamedTuple):
    """A device type, and why that one."""

    type: str
    reason: str


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def resolve_execution(options: ExecutionOptions) -> Execution:
    """Workers and device as numbers and names.

    Raises:
        UserError: CUDA is asked for where PyTorch has none, or the compiled engine where it cannot be used.
    """
    device = _device(options.device, here=options.executor == "local")
    engine = resolve_engine(options.engine)
    return Execution(
        workers=options.workers or usable_cores(),
        device=device.type,
        device_reason=device.reason,
        engine=engine.name,
        engine_reason=engine.reason,
        engine_open=engine.open,
        timeout_seconds=options.timeout,
        checkpoint_seconds=options.checkpoint,
        executor=options.executor,
        ray=RayJobs(
            num_gpus=float(device.type == "cuda") if options.ray.num_gpus is None else options.ray.num_gpus,
            resources=options.ray.resources,
            runtime_env=options.ray.runtime_env,
        ),
        slurm=options.slurm,
        log=tuple(dict.fromkeys(options.log)),
    )


def resolve_engine(asked: str, who: str = "the suite says so") -> ChosenEngine:
    """The engine that is meant on this machine.

    Args:
        asked: `auto`, `torch` or `compiled`.
        who: said so.

    Raises:
        UserError: the compiled one is asked for and cannot be used here.
    """
    if asked == "torch":
        return ChosenEngine("torch", who)
    found = status()
    if found.library is not None:
        if asked == "auto":
            return ChosenEngine("compiled", f"kernels for {found.library.built}", open=True)
        return ChosenEngine("compiled", who)
    if asked == "auto":
        return ChosenEngine("torch", found.reason, open=True)
    problem = f"the compiled engine is asked for ({who}), and cannot be used here: {found.reason}"
    remedy = f"{found.remedy}; or --engine torch, which makes the runs with torch" if found.remedy else "--engine torch"
    raise UserError(problem, remedy=remedy)


def _device(asked: str, *, here: bool) -> Device:
    if asked == "auto":
        return Device("cpu", "networks this small train faster on a processor core than on an accelerator")
    if asked == "cuda" and here:
        import torch

        if not torch.cuda.is_available():
            built = "finds no usable CUDA device" if torch.version.cuda else "was built without CUDA"
            raise UserError(
                f"the device cuda is asked for, but PyTorch {torch.__version__} {built}",
                remedy="set device to cpu or auto, or fix the installation (haepo-bench doctor)",
            )
    return Device(asked, "the suite says so")
