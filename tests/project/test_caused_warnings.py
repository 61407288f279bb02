"""Warnings that our own code causes are errors in tests; those that other packages cause among themselves are not."""

import warnings

import numpy as np
import pytest
import torch
from caused_warnings import caused_are_errors


def package(name: str, text: str) -> dict[str, object]:
    """A module of somebody else."""
    names: dict[str, object] = {"__name__": name}
    exec(compile(text, f"/site-packages/{name}.py", "exec"), names)
    return names


THEIRS = package(
    "theirs",
    """
import warnings
import numpy
import torch

def deprecated():
    warnings.warn("use another", FutureWarning, stacklevel=2)

def uses_itself():
    deprecated()

def doubtful():
    warnings.warn("think again", UserWarning)

def mean_of_nothing():
    numpy.mean([])

class Model(torch.nn.Module):
    def forward(self, inner=None):
        if inner is None:
            warnings.warn("use another", FutureWarning, stacklevel=2)
        else:
            inner()
""",
)
OTHERS = package("others", "def call(function):\n    function()\n")


def model() -> None:
    THEIRS["Model"]()()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("cause", "category"),
    [
        (THEIRS["deprecated"], FutureWarning),
        (THEIRS["doubtful"], UserWarning),
        (model, FutureWarning),
        (lambda: np.mean([]), RuntimeWarning),
        (lambda: np.log(np.zeros(1)), RuntimeWarning),
        (lambda: torch.tensor(1.0, requires_grad=True).mul(2).grad, UserWarning),
        (lambda: warnings.warn("ours", stacklevel=1), UserWarning),
    ],
)
def test_what_our_code_causes_is_an_error(cause, category: type[Warning]) -> None:
    with pytest.raises(category):
        cause()


@pytest.mark.parametrize(
    "cause",
    [
        THEIRS["uses_itself"],
        THEIRS["mean_of_nothing"],
        lambda: OTHERS["call"](THEIRS["deprecated"]),
        lambda: OTHERS["call"](THEIRS["doubtful"]),
        lambda: OTHERS["call"](THEIRS["Model"]()),
        lambda: THEIRS["Model"]()(THEIRS["deprecated"]),
    ],
)
def test_what_other_packages_cause_is_shown_and_no_more(cause) -> None:
    with warnings.catch_warnings(record=True) as shown, caused_are_errors():
        warnings.simplefilter("always")
        cause()
    assert shown
