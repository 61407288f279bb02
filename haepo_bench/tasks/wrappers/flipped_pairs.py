"""`flip(<task>,<p>)`: preferences that are sometimes wrong.

Algorithms that learn from pairs receive the order of two returns from an oracle that never errs. Here the order of each
pair in a batch is reversed with probability p, independently of all others (the noise of Ray Chowdhury, Kini and
Natarajan 2024, Provably Robust DPO, arXiv 2403.00409); the fixed preferences of a language task are reversed likewise,
once for all. Algorithms that receive returns or rewards receive them as they are, and evaluation
sees the task itself: the true return beside what noisy preferences taught.
"""

from typing import TYPE_CHECKING, Any

from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Pair
from haepo_bench.tasks.wrappers.base import WrappedTask
from haepo_bench.tasks.wrappers.language import WrappedLanguageTask

if TYPE_CHECKING:
    import gymnasium

#: Key of the draws that reverse fixed preferences.
KEY = 93


class FlippedPairs(WrappedTask):
    """A task whose pairs are reported in the wrong order with probability `flip`; all else is the task inside."""

    def __init__(self, inner: Task, layer: Layer, flip: float) -> None:
        super().__init__(inner, layer, lambda vector: vector, summary=_summary(flip), tags=("robustness",))
        self.flip = flip

    def training(self) -> Task:
        return self._inner.training()

    def environment(self) -> "gymnasium.Env[Any, Any]":
        return self._inner.environment()

    @property
    def probe_name(self) -> str:
        """The clean task's: what is asked about is aligned with its reward."""
        return self._inner.probe_name


class FlippedLanguagePairs(WrappedLanguageTask):
    """A language task whose pairs are reported in the wrong order with probability `flip`."""

    def __init__(self, inner: LanguageTask, layer: Layer, flip: float, p: float) -> None:
        super().__init__(inner, layer, summary=_summary(flip), tags=("robustness",))
        self.flip = flip
        draws = Draws(KEY)
        self.pairs = tuple(
            Pair(pair.prompt, pair.rejected, pair.chosen) if draws.chance(p) else pair for pair in inner.pairs
        )


def flip(inner: Task, layer: Layer) -> Task:
    """`flip(<task>,<p>)`; around another, an order stays that is reversed by both or by neither."""
    p = layer.value
    assert p is not None
    both = p * (1 - inner.flip) + inner.flip * (1 - p)
    if isinstance(inner, LanguageTask):
        return FlippedLanguagePairs(inner, layer, both, p)
    return FlippedPairs(inner, layer, both)


def _summary(flip: float) -> str:
    return f"the order of two returns is reported reversed with probability {flip:g}"
