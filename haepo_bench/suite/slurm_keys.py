"""How a suite is spread over a Slurm cluster: the section `execution.slurm` of a suite file."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from haepo_bench.suite.scalars import Section, Timeout, errors_at, parse_duration, suite_error, whole

#: Below it submitit takes every preemption for a time limit, of which it forgives only some.
LEAST_LIMIT = "11m"
DEFAULT_CHUNK = "20m"
_LEAST_CHUNK, _LONGEST_CHUNK = "10m", "30m"


def _limit(value: Any) -> Any:
    seconds = parse_duration(value)
    if seconds < parse_duration(LEAST_LIMIT):
        raise suite_error(
            f"a time limit of less than {LEAST_LIMIT} leaves no room to tell a preempted job from one out of time",
            f"write {LEAST_LIMIT} or more; jobs that need less end early",
        )
    return seconds


def _word(value: Any) -> Any:
    if not isinstance(value, str) or not value or not value.isprintable() or value != value.strip():
        raise suite_error(f"'{value}' is not a name", "write it in quotes where YAML takes it for something else")
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int):
        raise suite_error("must be text, a whole number, or true for an option without a value")
    return value


_Word = Annotated[str, BeforeValidator(_word)]
_Lines = Annotated[tuple[str, ...], Strict(False)]
_Processors = Annotated[int, Field(ge=1, le=1024)]
_Gpus = Annotated[int, Field(ge=0, le=64)]
_Parallel = Annotated[int, Field(ge=1, le=10_000)]


class SlurmOptions(Section):
    """What is asked of Slurm. Nothing here changes a result."""

    cluster: Literal["slurm", "local"] = Field(
        default="slurm",
        description="slurm, or local: the same jobs as processes of this machine, to try it out without Slurm",
    )
    partition: _Word | None = Field(default=None, description="partition; the cluster's default where left out")
    account: _Word | None = Field(default=None, description="account that is charged")
    qos: _Word | None = Field(default=None, description="quality of service")
    constraint: _Word | None = Field(
        default=None, description="features that a node must have, such as a kind of processor"
    )
    cpus: Annotated[_Processors, BeforeValidator(whole, json_schema_input_type=_Processors)] = Field(
        default=1, description="processors of one job, and worker processes in it"
    )
    gpus: Annotated[_Gpus, BeforeValidator(whole, json_schema_input_type=_Gpus)] = Field(
        default=0, description="GPUs of one job"
    )
    memory: Annotated[float, Field(gt=0, le=100_000), Strict(False)] | None = Field(
        default=None, description="GB of one job; the partition's default where left out"
    )
    time: Annotated[float, BeforeValidator(_limit, json_schema_input_type=float | str)] | None = Field(
        default=None,
        description=f"time limit of one job, at least {LEAST_LIMIT}; seconds, or such as 2h; three times what the "
        "longest one should take where left out, and at least 1h",
    )
    chunk: Timeout = Field(
        default=parse_duration(DEFAULT_CHUNK),
        description=f"what one job should take, {_LEAST_CHUNK} to {_LONGEST_CHUNK}, with cluster: local also less; "
        f"{DEFAULT_CHUNK} by default",
    )
    parallel: Annotated[_Parallel, BeforeValidator(whole, json_schema_input_type=_Parallel)] | None = Field(
        default=None, description="jobs that run at a time at most; 256, or as many as this machine has processors for"
    )
    setup: _Lines = Field(default=(), description="shell commands before each job, such as `module load python`")
    extra: dict[str, Annotated[str | int | bool, BeforeValidator(_scalar)]] = Field(
        default={}, description="other options of sbatch, without the dashes, such as {mail-type: END}"
    )

    @model_validator(mode="after")
    def _chunks_worth_a_job(self) -> "SlurmOptions":
        most = parse_duration(_LONGEST_CHUNK)
        if self.cluster == "slurm" and not parse_duration(_LEAST_CHUNK) <= self.chunk <= most:
            problem = f"must be between {_LEAST_CHUNK} and {_LONGEST_CHUNK}"
            remedy = "shorter jobs mostly start, longer ones lose more when they are preempted"
            errors_at([(("chunk",), suite_error(problem, remedy))])
        return self
