"""Finds files that code opens without declaring them, so that a change of them would go unnoticed."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from haepo_bench.conformance.findings import Fault

OPENS_NOTHING_ELSE = "opens no file that is not declared"


def refuse_undeclared(run: Callable[[], object], allowed: Collection[Path], again: str) -> None:
    """Looks at what is opened while code runs.

    Args:
        run: imports the code and uses it.
        allowed: files that it may open.
        again: Python that shows it.

    Raises:
        Fault: it opens another file than these, libraries' and Python's own.
    """
    opened: set[Path] = set()
    with _watching(opened):
        run()
    may = {path.resolve() for path in allowed}
    libraries = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), *_places(sys.modules.values())}
    undeclared = sorted(
        path
        for path in opened
        if path.suffix not in {".py", ".pyc", ".so", ".pth"}
        and path not in may
        and not any(path.is_relative_to(place) for place in libraries)
        and not path.is_relative_to("/proc")
        and not path.is_relative_to("/dev")
    )
    if undeclared:
        raise Fault(
            f"it opens {undeclared[0]}, which is not declared: a change of it would not be noticed. Name it below "
            "files: in the suite",
            again,
        )


def _places(modules: Collection[Any]) -> set[Path]:
    """Folders of installed libraries, wherever they are."""
    found = {Path(place).resolve() for place in sys.path if place and place.endswith("-packages")}
    for module in modules:
        file = getattr(module, "__file__", None)
        if getattr(module, "__name__", "") in ("haepo_bench", "gymnasium", "numpy", "torch") and file:
            found.add(Path(file).resolve().parent)
    return found


class _watching:  # noqa: N801 (a context manager, used like a function)
    """Collects the files that are opened within; an audit hook stays for the life of the process."""

    _sinks: list[set[Path]] = []  # noqa: RUF012 (shared by the one hook)
    _hooked = False

    def __init__(self, sink: set[Path]) -> None:
        self._sink = sink

    def __enter__(self) -> None:
        if not _watching._hooked:
            _watching._hooked = True
            sys.addaudithook(_watching._opened)
        _watching._sinks.append(self._sink)

    def __exit__(self, *_: object) -> None:
        _watching._sinks.remove(self._sink)

    @classmethod
    def _opened(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and cls._sinks and isinstance(arguments[0], str | bytes):
            name = arguments[0].decode(errors="surrogateescape") if isinstance(arguments[0], bytes) else arguments[0]
            for sink in cls._sinks:
                sink.add(Path(name).resolve())
