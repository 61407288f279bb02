"""What `gym/` needs to know about MinAtar (Young and Tian 2019, arXiv 1903.03176), whose ids begin so.

Its games have no time limit but Freeway, which ends after 2,500 steps; here all are cut off there.
"""

from typing import Any

import gymnasium

from haepo_bench.errors import TaskError

PREFIX = "MinAtar/"
#: Steps after which an episode is cut off.
LIMIT = 2_500


def load() -> None:
    """Registers MinAtar's environments.

    Raises:
        TaskError: it is not installed.
    """
    try:
        import minatar.gym

        if f"{PREFIX}Breakout-v1" not in gymnasium.registry:
            minatar.gym.register_envs()
    except ImportError as error:
        raise TaskError(
            f"MinAtar's environments need a package that cannot be imported: {error}",
            remedy="pip install 'haepo-bench[minatar]'",
        ) from error


class Apart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """One of its environments, with episodes that know nothing of those before.

    Actions stick: with probability 0.1 the last one is repeated, which MinAtar does not forget at an episode's end.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        answer = self.env.reset(seed=seed, options=options)
        self._unwrapped.game.last_action = 0
        return answer

    def go_on_with(self, seed: int) -> None:
        """Draws what comes from another seed: MinAtar has a generator of its own, not gymnasium's `np_random`."""
        self._unwrapped.seed(seed)

    @property
    def _unwrapped(self) -> Any:
        return self.env.unwrapped
