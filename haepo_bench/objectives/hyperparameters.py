"""How hyper-parameters are declared: meaning, unit, who chose the default, where searched, whether they came later."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_serializer, field_validator

from haepo_bench.objectives.spaces import WRITTEN, Space

#: Who chose a default that no publication gives.
OURS = "ours"

#: Says that a hyper-parameter stands in the settings document whatever its value.
_NEVER: Any = object()


def hyper(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    source: str = OURS,
    omit_at: Any = _NEVER,
    search: Space | None = None,
    **bounds: Any,
) -> Any:
    """Declares a hyper-parameter: its default, what it means, its unit, and who chose the default.

    Args:
        omit_at: value of a hyper-parameter that came later (as JSON has it) at which runs are those of the time
            before. There it is left out of the settings document, so that stored runs and baselines stay the same.
        search: where `haepo-bench tune` searches it, of at most five hyper-parameters of an algorithm, such as
            `spaces.log(1e-4, 1.0)`; None: not.

    Raises:
        TypeError: `search` is not a space.
        ValueError: it is one that nothing can be drawn from.
    """
    if search is not None:
        if not isinstance(search, Space):
            raise TypeError(f"search={search!r} is not a space: write one of {WRITTEN}")
        Space.of(search.document)  # a user's own may have ends in the wrong order, or one value only
    extra: dict[str, Any] = {"unit": unit, "source": source} | ({} if omit_at is _NEVER else {"omit_at": omit_at})
    extra |= {} if search is None else {"search": search.document}
    return Field(default, description=meaning, json_schema_extra=extra, **bounds)


class Hyperparameters(BaseModel):
    """A frozen set of hyper-parameters; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False)

    @field_validator("*", mode="after")
    @classmethod
    def _as_stored(cls, value: Any) -> Any:
        """Refuses, in fields of any type, what a record would hold as something else or not at all."""
        for part in _leaves(value):
            if isinstance(part, float) and not math.isfinite(part):
                raise ValueError(f"{part} is not a finite number")
            if isinstance(part, str) and has_half_character(part):
                raise ValueError(f"{part!r:.60} has half a character (a lone surrogate)")
        return value

    @field_serializer("*", mode="wrap")
    def _in_an_order(self, value: Any, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Sets in an order that is the same in every process: they are part of a run's identity."""
        found = as_usual(value)
        return sorted(found, key=repr) if isinstance(value, set | frozenset) else found

    @property
    def omitted(self) -> frozenset[str]:
        """Names that the settings document leaves out, because they have their value `omit_at`."""
        values = self.model_dump(mode="json")
        declared = {name: field.json_schema_extra for name, field in type(self).model_fields.items()}
        return frozenset(
            name
            for name, extra in declared.items()
            if isinstance(extra, dict) and "omit_at" in extra and extra["omit_at"] == values[name]
        )


def has_half_character(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, for which UTF-8 has no bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _leaves(value: Any) -> Iterator[Any]:
    """What is in a value that may be nested."""
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
