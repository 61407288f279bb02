"""How a suite is run: the section `execution` of a suite file."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from haepo_bench.suite.scalars import Pause, Section, Timeout, parse_duration, suite_error, whole
from haepo_bench.suite.slurm_keys import SlurmOptions

DEFAULT_TIMEOUT = "1h"
DEFAULT_CHECKPOINT = "60s"

#: What runs jobs.
ExecutorName = Literal["local", "ray", "slurm"]
#: Tools that curves may be logged to as they happen.
LoggerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]


def _workers(value: Any) -> Any:
    value = whole(value)
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise suite_error("must be 'auto' or a number of worker processes")
    return value


class RayOptions(Section):
    """What a job asks of a Ray cluster, beside one processor core."""

    num_gpus: Annotated[float, Field(ge=0, le=64)] | None = Field(
        default=None,
        strict=False,
        description="GPUs of a job; a part of one, such as 0.25, lets jobs share it; 1 by default with device: cuda, "
        "else none",
    )
    resources: dict[str, Annotated[float, Field(gt=0, strict=False)]] = Field(
        default={}, description="resources that a node must offer, by the name that it was started with"
    )
    runtime_env: dict[str, Any] = Field(
        default={}, description="Ray's runtime environment of the workers, such as {env_vars: {HF_HOME: /shared/hf}}"
    )


class ExecutionOptions(Section):
    """How a suite is run. Nothing here changes a result, except the device type and the engine."""

    executor: ExecutorName = Field(
        default="local",
        description="what runs the jobs: processes on this machine, a Ray cluster, or an array of Slurm jobs",
    )
    ray: RayOptions = Field(default=RayOptions(), description="with executor: ray")
    slurm: SlurmOptions = Field(default=SlurmOptions(), description="with executor: slurm")
    workers: Annotated[
        Annotated[int, Field(ge=1, le=1024)] | None,
        BeforeValidator(_workers, json_schema_input_type=Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]),
    ] = Field(default=None, description="worker processes; auto is one for each core this process may use")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where networks are trained; auto is the CPU for small networks"
    )
    engine: Literal["auto", "torch", "compiled"] = Field(
        default="auto",
        description="what computes the runs of native algorithms on small policies: torch, or the compiled kernels for "
        "all that these can do; auto takes the kernels where they are installed and the processor can run them. Each "
        "is exactly repeatable; the same run differs between them in rounding",
    )
    timeout: Timeout = Field(
        default=parse_duration(DEFAULT_TIMEOUT),
        description=f"for one job, a block of one algorithm's seeds on one task; seconds, or such as 30m; "
        f"{DEFAULT_TIMEOUT} by default",
    )
    checkpoint: Pause = Field(
        default=parse_duration(DEFAULT_CHECKPOINT),
        description="between two checkpoints of a run that can go on from one; seconds, or such as "
        f"5m; {DEFAULT_CHECKPOINT} by default",
    )
    log: list[LoggerName] = Field(default=[], description="tools that every run's curve is logged to as it happens")
