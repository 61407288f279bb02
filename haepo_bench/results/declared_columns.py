"""Columns beyond the registry: names apart from the program's own, and what the code that records a column says of it.

An objective, an algorithm or a task declares its own columns (`columns` of each). The declaration of what a run
recorded is stored with the run, in `provenance.columns`, so that a report needs no code of others.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from haepo_bench.results.columns import CLOCK_COLUMNS, COLUMNS, Column
from haepo_bench.text import plain

#: Where a run's provenance holds the declarations of columns that the registry does not name.
PROVENANCE_KEY = "columns"

_STORED = ("title", "unit", "meaning", "clock")
#: A declaration is text of others: no more of it than this is read.
_LONGEST = 400


def apart(name: str, taken: Container[str]) -> str:
    """The name under which a column called `name` is kept where that is among `taken`; else `name`."""
    return f"{name}_recorded" if name in taken else name


def own_name(name: str) -> str:
    """The column of what an objective reports as `name`: another one where the program measures a column so called."""
    known = COLUMNS.get(name)
    return name if known is None or known.kind == "objective" else apart(name, COLUMNS)


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once: those of the registry in its order, then the others in the order in which they are met."""
    found = dict.fromkeys(names)
    return [name for name in COLUMNS if name in found] + [name for name in found if name not in COLUMNS]


def declaration(columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """Those of `columns` that the registry does not name, as a run's provenance holds them."""
    return {
        column.name: {key: value for key in _STORED if (value := getattr(column, key))}
        for column in columns
        if column.name not in COLUMNS
    }


def declared(provenance: Mapping[str, Any]) -> dict[str, Column]:
    """The columns that a run declares; what is not a declaration is passed over, for a record may be anybody's."""
    found = provenance.get(PROVENANCE_KEY)
    columns = {}
    for name, fields in found.items() if isinstance(found, Mapping) else ():
        if isinstance(name, str) and isinstance(fields, Mapping) and name not in COLUMNS:
            title, unit, meaning = (_words(fields.get(key)) for key in _STORED[:3])
            columns[name] = Column(name, title, unit=unit, meaning=meaning, clock=fields.get("clock") is True)
    return columns


def clocks(provenance: Mapping[str, Any]) -> frozenset[str]:
    """The clock columns of a run: the registry's and those that it declares."""
    return CLOCK_COLUMNS | {column.name for column in declared(provenance).values() if column.clock}


def described(name: str, declarations: Mapping[str, Column]) -> Column:
    """The column called `name`: as the registry has it, else as declared, else as its name alone says."""
    return COLUMNS.get(name) or declarations.get(name) or Column(name)


def _words(value: object) -> str:
    return plain(value[:_LONGEST])[:_LONGEST] if isinstance(value, str) else ""
