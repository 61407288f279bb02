"""What can be claimed of an algorithm: a claim, the measure that decides it, and what that measure is bounded by."""

from typing import NamedTuple


class SecondaryMeasure(NamedTuple):
    """A secondary measure, which decides nothing.

    Args:
        wrappers: only tasks with one of these around them; all where empty.
        rate: of zeros and ones, whose difference gets an interval for rates.
    """

    name: str
    measure: str
    wrappers: tuple[str, ...] = ()
    rate: bool = False


class Claim(NamedTuple):
    """What can be claimed.

    Args:
        name: in plain words.
        measure: the primary endpoint, a measure of which more is better.
        absent: why a task without it is left out.
        bounds: least and greatest value; None: the task's bounds of the score.
        clipped: values are clipped to `bounds`, so that the claim is about the clipped mean.
        at_par: claimed is "not worse by the margin", not "better".
    """

    name: str
    measure: str
    absent: str
    bounds: tuple[float, float] | None = None
    clipped: bool = False
    looks: tuple[SecondaryMeasure, ...] = ()
    at_par: bool = False


_NO_SCORE = "it has no reference returns, so no score"
#: Coverage relative to a uniform policy has no bound that all tasks share: twice a uniform policy's is enough to claim.
COVERAGE_BOUNDS = (0.0, 2.0)

CLAIMS = (
    Claim("converges fast", "area", _NO_SCORE, looks=(SecondaryMeasure("time_to_threshold", "time_to_threshold"),)),
    Claim(
        "explores thoroughly",
        "relative_coverage",
        "no coverage relative to a uniform policy is counted there",
        bounds=COVERAGE_BOUNDS,
        clipped=True,
        looks=(
            SecondaryMeasure("goals_retained", "goals_retained"),
            SecondaryMeasure("first_success_sooner_than_uniform", "first_success_sooner", rate=True),
        ),
    ),
    Claim(
        "aligns with true rewards",
        "reward_alignment",
        "it has no probe set",
        bounds=(-1.0, 1.0),
        looks=(SecondaryMeasure("clean_score_under_noise_and_proxy", "final_score", ("noise", "proxy")),),
    ),
    Claim(
        "robust",
        "not_collapsed",
        _NO_SCORE,
        bounds=(0.0, 1.0),
        looks=(
            SecondaryMeasure("cvar", "cvar"),
            SecondaryMeasure("final_score_under_noise_and_scale", "final_score", ("noise", "scale")),
        ),
    ),
    Claim("better or at par", "final_score", _NO_SCORE, at_par=True),
)
