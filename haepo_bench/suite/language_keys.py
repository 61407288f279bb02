"""The keys `data` and `model` of a task entry: another way to write parts of a language task's address."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from haepo_bench.errors import TaskError, UnknownName
from haepo_bench.tasks.address import Address, parse

#: Of the part of a folder's name that is the task's; file systems take 255 bytes, and the algorithm needs some.
MAX_FOLDER_NAME = 160
#: The language model that is made from a config (tasks/lm/base.py, which this module must not load).
TINY = "tiny"


class KeyProblem(NamedTuple):
    """What is wrong with a key."""

    key: str
    problem: str
    remedy: str


def with_keys(address: str, data: str | None, model: str | None) -> str:
    """The address with data and model in their places."""
    layers, innermost = _taken_apart(address)
    if data is not None:
        innermost = f"{innermost}/{data}"
    if model not in (None, TINY):
        innermost = f"{innermost}@{model}"
    return str(Address(layers, innermost))


def key_problems(address: str, data: str | None, model: str | None) -> Iterable[KeyProblem]:
    """Keys that do not suit the address as it was written."""
    innermost = _taken_apart(address).innermost
    kind, at, _ = innermost.partition("@")
    if model is not None and not innermost.startswith("lm/"):
        yield KeyProblem("model", f"'{address}' is not a language task", "remove it; it is for the tasks lm/...")
    elif model is not None and at:
        yield KeyProblem("model", f"'{address}' names a model already", "remove one of the two")
    if data is not None and kind.startswith("lm/preferences/"):
        yield KeyProblem("data", f"'{address}' names its data already", "remove one of the two")
    elif data is not None and kind != "lm/preferences":
        yield KeyProblem("data", f"'{address}' has data of its own", "remove it; it is for lm/preferences")
    elif data is not None and at:
        yield KeyProblem("data", "the model is in the id, where the data should be", "write model: as a key, too")
    whole = with_keys(address, data, model)
    if len(quote(whole, safe="")) > MAX_FOLDER_NAME:
        remedy = "use shorter paths, such as ones that count from the folder of the command"
        yield KeyProblem("id", f"'{whole}' is too long for the name of a folder", remedy)


def _taken_apart(address: str) -> Address:
    try:
        return parse(address)
    except (TaskError, UnknownName):  # said when the task is made
        return Address((), address)
