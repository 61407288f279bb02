"""How numbers are put into words."""

import pytest

from haepo_bench.wording import duration, named_seeds, seed_ranges


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((0, 1, 2), "0-2"), ((3,), "3"), ((9, 4, 5, 0), "0, 4, 5, 9"), ((1, 3), "1, 3"), ((7, 0, 2, 1, 3), "0-3, 7")],
)
def test_seed_ranges(seeds: tuple[int, ...], text: str) -> None:
    assert seed_ranges(seeds) == text
    assert named_seeds(seeds) == ("seed " if len(seeds) == 1 else "seeds ") + text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (90, "1 min 30 s"), (1800, "30 min"), (3600, "1 h"), (7500, "2 h 5 min"), (90_061, "25 h 1 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
