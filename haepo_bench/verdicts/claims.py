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
        guarded: a policy that never learns could win it, so the claim needs competence as well (guards.py).
    """

    name: str
    measure: str
    absent: str
    bounds: tuple[float, float] | None = None
    clipped: bool = False
    looks: tuple[SecondaryMeasure, ...] = ()
    at_par: bool = False
    guarded: bool = False


#: Why a task is left out of claims about scores.
NO_SCORE = "it has no reference returns, so no score"
#: What competence is judged by.
SCORE = Claim("competence", "final_score", NO_SCORE)

CLAIMS = (
    Claim(
        "converges fast",
        "area",
        NO_SCORE,
        looks=(
            SecondaryMeasure("time_to_threshold", "time_to_threshold"),
            SecondaryMeasure("area_in_time", "area_in_time"),
        ),
    ),
    Claim(
        "explores thoroughly",
        "exploration",
        "neither successes nor coverage relative to a uniform policy are counted there",
        # Coverage has no bound that all tasks share: twice a uniform policy's is enough to claim.
        bounds=(0.0, 1.0),
        clipped=True,
        looks=(
            SecondaryMeasure("relative_coverage", "relative_coverage"),
            SecondaryMeasure("goals_retained", "goals_retained"),
            SecondaryMeasure("first_success_sooner_than_uniform", "first_success_sooner", rate=True),
        ),
        guarded=True,
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
        NO_SCORE,
        bounds=(0.0, 1.0),
        looks=(
            SecondaryMeasure("cvar", "cvar"),
            SecondaryMeasure("final_score_under_noise_and_scale", "final_score", ("noise", "scale")),
        ),
        guarded=True,
    ),
    Claim(
        "better or at par",
        "final_score",
        NO_SCORE,
        looks=(SecondaryMeasure("score_in_time", "score_in_time"),),
        at_par=True,
    ),
)
