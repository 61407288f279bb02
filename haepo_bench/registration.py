"""The tasks under gymnasium ids, for any library that calls `gymnasium.make`.

    import gymnasium
    import haepo_bench.registration

    gymnasium.make("haepo_bench/random-walk-20-v1")

or, where nothing can be imported first, `gymnasium.make("haepo_bench.registration:haepo_bench/random-walk-20-v1")`:
since version 1.0 gymnasium itself imports no plugins. Every other address, of wrapped tasks as well, is made by
`gymnasium.make("haepo_bench/Task-v0", address=...)`.
"""

from typing import Any

import gymnasium

from haepo_bench import catalogue

NAMESPACE = "haepo_bench"
#: Any task, by its address.
ANY = f"{NAMESPACE}/Task-v0"

#: Addresses with ids of their own, and the version of each task, which is the id's.
ADDRESSES = {
    "bandit/10-arm": 2,
    "bandit/1000-arm": 2,
    "bandit/deceptive": 2,
    "bandit/contextual": 2,
    "bandit/pi-squared": 2,
    "random-walk/20": 1,
    "random-walk/100": 1,
    "random-walk/500": 1,
    "corridor/equal": 1,
    **{f"corridor/{horizon}": 1 for horizon in (8, 16, 32, 64, 128, 256, 512)},
    **{f"deep-sea/{size}": 1 for size in (4, 6, 8, 10, 12, 14, 20)},
    **{f"multi-goal/{goals}": 1 for goals in (2, 4, 8)},
    **{f"key-door/{size}": 1 for size in (5, 7, 9)},
    **{f"umbrella/{delay}": 1 for delay in (5, 10, 20, 50)},
    **{f"t-maze/{length}": 1 for length in (5, 10, 20)},
}


def gymnasium_id(address: str) -> str:
    """The id of an address in `ADDRESSES`: `random-walk/20` is `haepo_bench/random-walk-20-v1`."""
    return f"{NAMESPACE}/{address.replace('/', '-')}-v{ADDRESSES[address]}"


def environment(address: str, *, training: bool = False, time_limit: int | None = None) -> "gymnasium.Env[Any, Any]":
    """A single environment of a task.

    Args:
        training: as training sees it; only tasks with wrapped rewards tell the two apart.
        time_limit: steps after which an episode is cut off; needed for environments that have no limit of their own.

    Raises:
        UserError: there is no such task.
    """
    task = catalogue.task(address, time_limit=time_limit)
    return (task.training() if training else task).environment()


def register() -> None:
    """Registers every id that is not registered yet; importing this module does it."""
    ids = {gymnasium_id(address): {"address": address} for address in ADDRESSES} | {ANY: {}}
    for name, arguments in ids.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=f"{__name__}:environment", kwargs=arguments)


register()
