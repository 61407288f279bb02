"""declarations.jsonl: what was claimed in a results folder, one line per declaration, in the order of their times.

Lines are added and never changed: a declaration replaced after a look at results was a chance of its own to be wrong.
The first one about a candidate is tested at 5 %, the k-th at that times 2^-(k-1), so that all of them
together are wrong with at most twice that chance. Runs that were there before a declaration never confirm it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from haepo_bench.files import read_regular, reason_of
from haepo_bench.results.claims import declaration_document
from haepo_bench.results.identity import CellKey
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.store import FileState, Store, Unusable
from haepo_bench.results.writing import write_atomically


class Declaration(NamedTuple):
    """One line.

    Args:
        hash: empty where the line cannot be read: it was a declaration about anything.
        candidates: catalogue names of the algorithms that something was claimed of.
        settings: (task and algorithm, settings hash) of the cells that it was about.
    """

    hash: str
    candidates: frozenset[str]
    settings: frozenset[tuple[CellKey, str]]


class Declarations(tuple[Declaration, ...]):
    """All of a folder, in order."""

    def place(self, declaration: str) -> int:
        """Where a declaration was first made; at the end, where it is not among these."""
        return next((place for place, each in enumerate(self) if each.hash == declaration), len(self))

    def number(self, declaration: str, candidates: Iterable[str], made_under: Iterable[str]) -> int:
        """Which declaration about its candidates one is, from 1.

        Args:
            candidates: catalogue names of its candidates.
            made_under: declarations under which stored runs of these candidates were made. Those that are not among
                these count as earlier ones, too: the file may have been lost.
        """
        own, place = frozenset(candidates), self.place(declaration)
        earlier = [each for each in self[:place] if not each.hash or each.candidates & own]
        lost = {made for made in made_under if made and made != declaration} - {each.hash for each in self}
        return 1 + len(earlier) + len(lost)

    def precedes(self, made_under: str, declaration: str) -> bool:
        """Whether a run was made before a declaration.

        Args:
            made_under: the declaration that the run's provenance names; empty where it names none.
        """
        if made_under == declaration:
            return False
        known = {each.hash for each in self}
        return made_under not in known or self.place(made_under) < self.place(declaration)


def declare(store: Store, plan: PlanFile) -> None:
    """Adds what a plan claims, unless it has been declared in this folder already; nothing where it claims nothing.

    Call it with the lock held, before anything of the plan is run.

    Raises:
        UserError: the file cannot be read or written.
    """
    if plan.claims is None or not plan.declaration:
        return
    text = _text(store)
    if isinstance(text, Unusable):
        raise text.error()
    if plan.declaration in {each.hash for each in _parse(text)}:
        return
    document = declaration_document(plan.claims, plan.bounds, plan.cells, plan.search)
    _write(store, text, [json.dumps({"declaration": plan.declaration, "written": plan.written, **document})])


def join(store: Store, others: Sequence[Store]) -> None:
    """Adds the declarations of other folders of the same suite, in the order of their times.

    Raises:
        UserError: one of the files cannot be read or written.
    """
    texts = [_text(each) for each in (store, *others)]
    for text in texts:
        if isinstance(text, Unusable):
            raise text.error()
    own, *more = (text.splitlines() for text in texts if isinstance(text, str))
    known = {each.hash for each in _parse("\n".join(own))} | set(own)
    added: dict[str, str] = {}
    for line in sorted((line for lines in more for line in lines), key=_written):
        # Of lines that cannot be read each is a declaration of its own.
        key = _declaration(line).hash or line
        if line.strip() and key not in known:
            added.setdefault(key, line)
    if added:
        _write(store, "".join(f"{line}\n" for line in own), list(added.values()))


def read_declarations(store: Store) -> Declarations | Unusable:
    """What has been declared in a folder; `Unusable` where that cannot be read."""
    text = _text(store)
    return text if isinstance(text, Unusable) else Declarations(_parse(text))


def _text(store: Store) -> str | Unusable:
    path = store.declarations_path
    try:
        # What is not UTF-8 is a line that cannot be read, and stays one.
        return read_regular(path).decode("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return Unusable(path, reason_of(error), FileState.UNREADABLE)


def _write(store: Store, before: str, lines: Sequence[str]) -> None:
    if before and not before.endswith("\n"):
        before += "\n"
    text = before + "".join(f"{line}\n" for line in lines)
    write_atomically(store.declarations_path, text.encode("utf-8", errors="surrogateescape"))


def _parse(text: str) -> list[Declaration]:
    return [_declaration(line) for line in text.splitlines() if line.strip()]


def _declaration(line: str) -> Declaration:
    try:
        document: Any = json.loads(line)
        names = set(document["claims"]["candidates"])
        cells = [
            (CellKey(str(task), str(name)), str(uses), str(settings))
            for task, name, uses, settings, *_ in document["cells"]
        ]
        return Declaration(
            str(document["declaration"]),
            frozenset(uses for key, uses, _ in cells if key.algorithm in names),
            frozenset((key, settings) for key, _, settings in cells),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return Declaration("", frozenset(), frozenset())


def _written(line: str) -> str:
    try:
        return str(json.loads(line)["written"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
