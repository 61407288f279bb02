"""How many seeds a claim needs, and what the seeds there are can show.

Power of Welch's t-test on two independent groups of n seeds each, through the noncentral t distribution: Cohen (1988),
Statistical Power Analysis for the Behavioral Sciences, section 2.5; exact for normal scores of equal spread, an
approximation elsewhere. Spreads come from a pilot, and those of few seeds are uncertain themselves: of five seeds the
true one lies between 0.6 and 2.9 times the measured (95 %, normal scores).

For "at par within a margin" the difference is the true one plus the margin, and the alternative one-sided.
"""

from math import ceil, inf, isnan, nan, sqrt
from typing import Literal

Sides = Literal["two-sided", "one-sided"]

#: Nobody runs more; beyond, a bracketing search would only end in the numbers' own limits.
MOST_SEEDS = 10**7


def power(
    difference: float, sd_x: float, sd_y: float, n: int, *, alpha: float = 0.05, sides: Sides = "two-sided"
) -> float:
    """Scalars -> chance that n seeds a group show a true difference of means of this size.

    Degrees of freedom as Welch's test has them at these spreads. NaN with fewer than two seeds; 1 where nothing varies
    and there is a difference.
    """
    from scipy import special, stats

    if n < 2 or isnan(difference + sd_x + sd_y):
        return nan
    spread = sd_x**2 + sd_y**2
    if spread == 0:
        return 1.0 if difference else alpha
    degrees = (n - 1) * spread**2 / (sd_x**4 + sd_y**4)
    shift = abs(difference) / sqrt(spread / n)
    critical = special.stdtrit(degrees, 1 - (alpha / 2 if sides == "two-sided" else alpha))
    if shift > critical + 12:  # far beyond doubt, and beyond where noncentral t is calculated reliably
        return 1.0
    above = stats.nct.sf(critical, degrees, shift)
    # Beyond a shift of 7 less than 1e-13 lies in the other tail, which scipy calculates as NaN here and there.
    below = stats.nct.cdf(-critical, degrees, shift) if sides == "two-sided" and shift < 7 else 0.0
    return float(above + below)


def seeds_needed(
    difference: float,
    sd_x: float,
    sd_y: float,
    *,
    target: float = 0.8,
    alpha: float = 0.05,
    sides: Sides = "two-sided",
) -> float:
    """Scalars -> seeds a group with which a true difference of this size shows with the target power; at least 2.

    Starts from the normal formula n = (z(1 - alpha / 2) + z(power))^2 (sd_x^2 + sd_y^2) / difference^2 and looks for
    the smallest n whose power by `power` suffices. Infinite where there is no difference, or more than ten million are
    needed; NaN where an argument is.
    """
    from scipy import special

    if isnan(difference + sd_x + sd_y):
        return nan
    if difference == 0:
        return inf
    z = special.ndtri(1 - (alpha / 2 if sides == "two-sided" else alpha)) + special.ndtri(target)
    start = z**2 * (sd_x**2 + sd_y**2) / difference**2
    if start > MOST_SEEDS:
        return inf
    n = max(2, ceil(start))
    while power(difference, sd_x, sd_y, n, alpha=alpha, sides=sides) < target:
        n += 1
    while n > 2 and power(difference, sd_x, sd_y, n - 1, alpha=alpha, sides=sides) >= target:
        n -= 1
    return float(n)


def smallest_detectable_difference(
    sd_x: float,
    sd_y: float,
    n: int,
    *,
    target: float = 0.8,
    alpha: float = 0.05,
    sides: Sides = "two-sided",
) -> float:
    """Scalars -> the true difference of means that n seeds a group show with the target power; NaN below two seeds."""
    from scipy import optimize

    if n < 2 or isnan(sd_x + sd_y):
        return nan
    error = sqrt((sd_x**2 + sd_y**2) / n)
    if error == 0:
        return 0.0

    def lacking(shift: float) -> float:
        return power(shift * error, sd_x, sd_y, n, alpha=alpha, sides=sides) - target

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return float(optimize.brentq(lacking, 0.0, high, xtol=1e-12)) * error
