"""Two copies of one algorithm under two names: the small sister of studies/equal_search.py.

At equal search either verdict is wrong with a chance of at most 5 %, so that with other draws right code would fail
here in at most 27 % of cases; of 200 studies of the larger sister none was wrong. The draws are fixed: nothing is left
to chance.
"""

from pathlib import Path

from benchmark_scripts import load


def test_two_copies_differ_when_each_is_searched_once_and_not_at_equal_search(tmp_path: Path) -> None:
    program = load("equal_search")
    rough = next(each for each in program.LANDSCAPES if each.name == "rough")
    found = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(program.study(rough, number, replicates=20, trials=2, seeds=40, folder=folder))
    assert [each.at_equal_search for each in found] == [False] * 3
    # The settings of a single search differ in merit, which fresh seeds show.
    assert sum(each.searched_once for each in found) >= 2
