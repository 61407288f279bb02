"""Classes of feedback: what is compared like for like, and what is not.

An algorithm that sees a reward at every step, or which of two trajectories a true return prefers, receives more than
one that sees returns; a critic is more machinery. Verdicts name the class of every baseline that is of another class
than the candidate, and say what holds against each class alone.
"""

from collections.abc import Iterable, Sequence

from haepo_bench.results.record import Information
from haepo_bench.results.selection import SelectedCell

UNKNOWN = "feedback not stated"


def feedback_class(information: Iterable[Information | None]) -> str:
    """The class in words, of what an algorithm receives on the tasks of a suite: `per-step rewards, critic`.

    Where it differs between tasks, all of them.
    """
    found = dict.fromkeys(_words(each) for each in information if each is not None)
    return " or ".join(found) or UNKNOWN


def feedback_classes(cells: Sequence[SelectedCell]) -> dict[str, str]:
    """{algorithm: its class}, over the tasks of a suite."""
    found: dict[str, list[Information | None]] = {}
    for cell in cells:
        found.setdefault(cell.algorithm, []).append(cell.information)
    return {name: feedback_class(own) for name, own in found.items()}


def _words(information: Information) -> str:
    if information.told is None:
        return UNKNOWN
    told = "oracle pairs" if information.told == "oracle preferences" else information.told
    parts = [told, *(["critic"] if information.critic else []), *(["expert"] if "expert" in information.label else [])]
    return ", ".join(parts)
