"""What `auto` means on this machine: worker processes and device."""

import os
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.suite.plan import Execution
from haepo_bench.suite.schema import ExecutionOptions


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
        UserError: CUDA is asked for where PyTorch has none.
    """
    device = _device(options.device)
    return Execution(
        workers=options.workers or usable_cores(),
        device=device.type,
        device_reason=device.reason,
        timeout_seconds=options.timeout,
        checkpoint_seconds=options.checkpoint,
    )


def _device(asked: str) -> Device:
    if asked == "auto":
        return Device("cpu", "networks this small train faster on a processor core than on an accelerator")
    if asked == "cuda":
        import torch

        if not torch.cuda.is_available():
            built = "finds no usable CUDA device" if torch.version.cuda else "was built without CUDA"
            raise UserError(
                f"the device cuda is asked for, but PyTorch {torch.__version__} {built}",
                remedy="set device to cpu or auto, or fix the installation (haepo-bench doctor)",
            )
    return Device(asked, "the suite says so")
