"""Addresses of tasks: `family/variant`, or a wrapper around another address, such as `noise(gym/CartPole-v1,0.5)`.

An address has one canonical spelling, without spaces and with each number in one form, which is the task's id and part
of a run's identity. Nothing here knows which families exist: names are looked up in the catalogue.
"""

import re
from typing import NamedTuple

from haepo_bench.errors import TaskError, UnknownName

#: Wrappers around wrappers around ...: more than anybody means.
MAX_DEPTH = 8

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CALL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\((.*)", re.DOTALL)


class Parameter(NamedTuple):
    """A wrapper's number.

    Args:
        low: least value, inclusive.
        high: greatest value, inclusive.
        example: for messages.
    """

    name: str
    low: float
    high: float
    example: str
    whole: bool = False

    @property
    def bounds(self) -> str:
        """Such as `a number from 0 to 1`."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {format_number(self.low)} to {format_number(self.high)}"


class Signature(NamedTuple):
    """How a wrapper is written.

    Args:
        parameter: the number behind the task; None where there is none.
        target: `module:function` that takes a task and a `Layer` and returns the wrapped task.
    """

    name: str
    parameter: Parameter | None
    summary: str
    target: str

    @property
    def usage(self) -> str:
        """Such as `noise(<task>,<sigma>)`."""
        return f"{self.name}(<task>{f',<{self.parameter.name}>' if self.parameter else ''})"

    @property
    def example(self) -> str:
        """Such as `noise(gym/CartPole-v1,0.5)`."""
        return f"{self.name}(gym/CartPole-v1{f',{self.parameter.example}' if self.parameter else ''})"


#: Every wrapper.
WRAPPERS = {
    signature.name: signature
    for signature in (
        Signature(
            "noise",
            Parameter("sigma", 0, 1e6, "0.5"),
            "training rewards plus Gaussian noise of that standard deviation",
            "haepo_bench.tasks.wrappers.rewards:noise",
        ),
        Signature(
            "scale",
            Parameter("factor", 1e-3, 1e3, "0.01"),
            "training rewards times a factor",
            "haepo_bench.tasks.wrappers.rewards:scale",
        ),
        Signature(
            "delayed",
            None,
            "training receives the whole return at an episode's last step",
            "haepo_bench.tasks.wrappers.rewards:delayed",
        ),
        Signature(
            "proxy",
            Parameter("bonus", 0, 1e6, "0.1"),
            "training rewards the first action with a bonus that is not part of the true return",
            "haepo_bench.tasks.wrappers.rewards:proxy",
        ),
        Signature(
            "random-reward",
            None,
            "training receives 0 or 1 at random, whatever was done: the control, also for language tasks",
            "haepo_bench.tasks.wrappers.random_reward:random_reward",
        ),
        Signature(
            "flip",
            Parameter("p", 0, 1, "0.1"),
            "the order of two returns is reported reversed with probability p to algorithms that learn from pairs",
            "haepo_bench.tasks.wrappers.flipped_pairs:flip",
        ),
        Signature(
            "window",
            Parameter("n", 1, 1000, "4", whole=True),
            "shows the last n observations",
            "haepo_bench.tasks.wrappers.observations:window",
        ),
        Signature(
            "normalised",
            None,
            "shows observations brought from their bounds to [-1, 1]",
            "haepo_bench.tasks.wrappers.observations:normalised",
        ),
    )
}


class Layer(NamedTuple):
    """One wrapper of an address, with its number."""

    wrapper: str
    value: float | None

    def around(self, address: str) -> str:
        """The canonical address of the wrapped task."""
        number = "" if self.value is None else f",{format_number(self.value)}"
        return f"{self.wrapper}({address}{number})"


class Address(NamedTuple):
    """An address taken apart.

    Args:
        layers: the wrappers, outermost first.
        innermost: `family/variant`, as it was written.
    """

    layers: tuple[Layer, ...]
    innermost: str

    def __str__(self) -> str:
        """The canonical spelling."""
        text = self.innermost
        for layer in reversed(self.layers):
            text = layer.around(text)
        return text


def parse(text: str) -> Address:
    """Takes an address apart.

    Raises:
        UnknownName: there is no such wrapper.
        TaskError: brackets that do not match, or a number that is missing or out of bounds.
    """
    layers: list[Layer] = []
    rest = text
    while (call := _CALL.fullmatch(rest)) is not None:
        name, behind = call.groups()
        if name not in WRAPPERS:
            raise UnknownName("wrapper", name, WRAPPERS, more="`haepo-bench list tasks`")
        if len(layers) == MAX_DEPTH:
            raise TaskError(f"more than {MAX_DEPTH} wrappers around a task", remedy="leave some out")
        task, *numbers = _arguments(text, behind)
        layers.append(Layer(name, _value(WRAPPERS[name], numbers)))
        rest = task
    if not layers:
        return Address((), text)
    if not rest.strip():
        raise TaskError(f"'{text}' wraps no task", remedy=f"write for example {WRAPPERS[layers[-1].wrapper].example}")
    return Address(tuple(layers), rest.strip())


def canonical(text: str) -> str:
    """The canonical spelling; the text itself where it is not an address."""
    try:
        return str(parse(text))
    except (TaskError, UnknownName):
        return text


def format_number(value: float) -> str:
    """The one text of a number: the shortest that reads back as the same one."""
    return repr(value + 0.0).removesuffix(".0")


def _arguments(text: str, behind: str) -> list[str]:
    """What stands between the opening bracket, which is not in `behind`, and its closing one, cut at its commas."""
    arguments, depth, start = [], 1, 0
    for place, character in enumerate(behind):
        depth += (character == "(") - (character == ")")
        if depth == 0 or (depth == 1 and character == ","):
            arguments.append(behind[start:place])
            start = place + 1
        if depth == 0:
            break
    if depth:
        raise TaskError(
            f"'{text}' has a bracket that is not closed",
            remedy="close it; inside [ ] or { } of a YAML file an address with a comma needs quotes",
        )
    if behind[start:].strip():
        raise TaskError(f"'{text}' goes on behind its closing bracket", remedy=f"remove '{behind[start:].strip()}'")
    return arguments


def _value(signature: Signature, numbers: list[str]) -> float | None:
    """The wrapper's number, checked."""
    parameter, write = signature.parameter, f"write for example {signature.example}"
    if len(numbers) != (parameter is not None):
        wants = "a task and nothing else" if parameter is None else f"a task and {parameter.name}"
        raise TaskError(f"{signature.name} takes {wants}: {signature.usage}", remedy=write)
    if parameter is None:
        return None
    text = numbers[0].strip()
    value = float(text) + 0.0 if _NUMBER.fullmatch(text) else None  # + 0.0: minus zero is zero
    if value is None or not parameter.low <= value <= parameter.high or (parameter.whole and not value.is_integer()):
        raise TaskError(f"{signature.name}'s {parameter.name} is {parameter.bounds}, not '{text}'", remedy=write)
    return value
