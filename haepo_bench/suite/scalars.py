"""What the values of a suite file are made of: names, counts, seeds and durations, and the errors that name a key."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from haepo_bench.suite.document import GLUED
from haepo_bench.tasks.address import canonical

_Entry = TypeVar("_Entry")

MAX_STEPS = 10**12
#: Stable-Baselines3 seeds NumPy's global generator, which takes 32 bits.
MAX_SEED = 2**32 - 1
MAX_SEEDS = 10_000
MAX_TIMEOUT_SECONDS = 30 * 86_400

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = r"[0-9]+(\.[0-9]+)?[smhd]"


def suite_error(message: str, remedy: str = "") -> PydanticCustomError:
    """A problem with a value, and what to do about it; pydantic adds the key."""
    # The text goes in as values: PydanticCustomError would take braces in it for placeholders.
    return PydanticCustomError("suite", "{problem}", {"problem": message, "remedy": remedy})


def errors_at(found: Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]) -> None:
    """Raises all problems at once, each at its key.

    Raises:
        ValidationError: there is one.
    """
    details: list[InitErrorDetails] = [{"type": error, "loc": place, "input": None} for place, error in found]
    if details:
        raise ValidationError.from_exception_data("Suite", details)


def whole(value: Any) -> Any:
    """The whole number that a float such as 1e6 is; anything else as it is."""
    # 1e6 is a whole number to everybody but the type system.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_path(name: str) -> str:
    if name in {".", ".."}:
        raise suite_error(f"'{name}' is a folder, not a name")
    return name


def _seed_list(value: Any) -> Any:
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise suite_error(
                f"must be between 1 and {MAX_SEEDS:,} seeds, got {value}", "seeds: 5 means the seeds 0 to 4"
            )
        return list(range(value))
    if not isinstance(value, list):
        raise suite_error("must be a number of seeds or a list of them", "seeds: 5 means [0, 1, 2, 3, 4]")
    return [whole(seed) for seed in value]


def each_once(what: str) -> AfterValidator:
    """Refuses lists that name one of their entries, which `what` calls them, more than once."""

    def check(entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
        repeated = [entry for entry, count in Counter(entries).items() if count > 1]
        if repeated:
            problem = f"the {what} {', '.join(map(str, repeated))} is named more than once"
            raise suite_error(problem, f"a {what} counts once: remove the others")
        return entries

    return AfterValidator(check)


def parse_duration(value: Any, *, least: float = 1.0) -> Any:
    """Seconds of `90`, `45s`, `30m`, `1.5h` or `2d`; at least so many."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        value = float(value[:-1]) * _UNITS[value[-1]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise suite_error(f"'{value}' is not a duration", "write seconds, or a number with s, m, h or d, such as 30m")
    if not least <= value <= MAX_TIMEOUT_SECONDS:
        raise suite_error(f"must be between {'one second' if least else '0 seconds'} and 30 days")
    return float(value)


def no_key_in(text: str, entry: type[BaseModel]) -> str:
    """The text, which is not one of the entry's keys with a value behind it."""
    glued = GLUED.fullmatch(text)
    if glued and glued[1] in entry.model_fields:
        raise suite_error(f"a space is missing behind the colon of '{text}'", f"write {glued[1]}: {glued[2]}")
    return text


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=64), AfterValidator(_no_path)]
#: Spaces may follow a comma, as in `noise(gym/CartPole-v1, 0.5)`; the canonical spelling has none.
TaskId = Annotated[str, Field(pattern=r"^[!-~]+(, +[!-~]+)*$", max_length=100), AfterValidator(canonical)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
EnvSteps = Annotated[Steps, BeforeValidator(whole, json_schema_input_type=Steps)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Episodes = Annotated[Count, BeforeValidator(whole, json_schema_input_type=Count)]

_Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
_SeedInput = Annotated[int, Field(ge=1, le=MAX_SEEDS)] | Annotated[list[_Seed], Field(min_length=1)]
Seeds = Annotated[
    tuple[_Seed, ...],
    Strict(False),
    Field(min_length=1, max_length=MAX_SEEDS),
    BeforeValidator(_seed_list, json_schema_input_type=_SeedInput),
    each_once("seed"),
]

Timeout = Annotated[
    float,
    BeforeValidator(
        parse_duration,
        json_schema_input_type=Annotated[float, Field(ge=1, le=MAX_TIMEOUT_SECONDS)]
        | Annotated[str, Field(pattern=f"^{_DURATION}$")],
    ),
]


Pause = Annotated[
    float,
    BeforeValidator(
        partial(parse_duration, least=0.0),
        json_schema_input_type=Annotated[float, Field(ge=0, le=MAX_TIMEOUT_SECONDS)]
        | Annotated[str, Field(pattern=f"^{_DURATION}$")],
    ),
]


Files = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Strict(False)]
FILES = (
    "data files that the code of its Python file reads, relative to the suite's folder; their content is part of a "
    "run's identity"
)


class Section(BaseModel):
    """A mapping with fixed keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: Any) -> Any:
        # `params:` with nothing behind it, because all of it is commented out, is a key that is not there.
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
