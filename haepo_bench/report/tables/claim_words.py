"""Verdicts on claims in words: one sentence for each variant, and how to read them."""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import NamedTuple

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_scorecard import ClaimResult, Comparison, Evidence, Reading, Scorecard, State
from haepo_bench.results.searches import default_name, per_task_name, published_name
from haepo_bench.wording import fixed, many

#: What each measure is, for a reader who sees it alone.
MEASURE_TITLES = {
    "area": "area under the score curve, at equal env steps",
    "exploration": "share of the budget left at the first success; where none is counted, half the relative coverage",
    "relative_coverage": "states visited, relative to a uniformly random policy, mean over training",
    "reward_alignment": "reward alignment, Kendall's tau-b from -1 to 1",
    "not_collapsed": "share of seeds that did not collapse",
    "cvar": "CVaR: mean final score of the worst fifth of the seeds",
    "final_score": "mean final score, at equal env steps",
    "time_to_threshold": "time to threshold (share of the budget; never counts as 1)",
    "area_in_time": "area under the score curve, at equal CPU seconds",
    "score_in_time": "score, at equal CPU seconds",
    "goals_retained": "goals retained (fraction)",
    "first_success_sooner_than_uniform": "seeds that succeeded sooner than a uniform policy would (fraction)",
    "clean_score_under_noise_and_proxy": "clean final score under noise and proxy rewards",
    "final_score_under_noise_and_scale": "clean final score under noise and scaled rewards",
}
RULE_TITLES = {
    "betting": "betting on pairs of seeds, valid at whatever moment one stops",
    "wins": "wins against losses, seed by seed (sign rule), valid at whatever moment one stops",
    "fixed": "corrected Welch at the declared number of seeds, looked at once; right if no collapse stayed unseen",
}
#: The order in which states are listed.
STATES: tuple[State, ...] = ("supported", "worse", "no better", "undecided", "not assessable")


class Line(NamedTuple):
    """What was found of a claim.

    Args:
        lead: in how many variants it is supported.
        sentences: by what measure, and one for each variant.
        brief: sentences for what is decided, and names alone for the rest.
    """

    lead: str
    sentences: str
    brief: str


#: What verdicts hold for, by what was done about hyper-parameters.
_TUNING = {
    "untuned": "Untuned: neither candidates nor baselines had a hyper-parameter search; the verdicts hold for these "
    "settings.",
    "settings found by tuning": "Settings found by tuning: every algorithm had the same search, and these settings are "
    "its outcome; the verdicts hold for them, not for another search.",
    "at equal search": "At equal search: what is called a seed here is a replicate of the whole search, what it chose "
    "trained again on a seed of its own; the verdicts hold for algorithms with this much search, not for any settings "
    "found.",
    "not all at equal search": "Not all at equal search: what is called a seed here is a replicate of the whole "
    "search, what it chose trained again on a seed of its own; some algorithms were not searched.",
}


def variants(suite: SuiteResult) -> str:
    """What a suite's candidates are called: variants of one method, or algorithms."""
    uses = {result.algorithm: result.uses for task in suite.tasks for result in task.algorithms}
    named = suite.scorecard.candidates if suite.scorecard else []
    families = {uses.get(name, name).partition("-")[0] for name in named}
    return "variant" if families == {"haepo"} else "algorithm"


def scorecard_lines(suite: SuiteResult) -> list[Line]:
    """What was found, claim by claim, in plain words; nothing where nothing is claimed."""
    card = suite.scorecard
    uses = {result.algorithm: result.uses for task in suite.tasks for result in task.algorithms}
    return [_claim_line(claim, card, variants(suite), uses) for claim in card.claims] if card else []


def how_to_declare(suite: SuiteResult) -> list[str]:
    """How claims are declared, for a suite that has none."""
    shown = dict.fromkeys(result.algorithm for task in suite.tasks for result in task.algorithms)
    # Rows that searches add have names which no suite file knows.
    rows = {row(name) for name in shown for row in (default_name, per_task_name, published_name)}
    names = [name for name in shown if name not in rows]
    if suite.scorecard is not None or len(names) < 2:
        return []
    others = ", ".join(names[1:3])
    return [
        "Nothing was claimed before the runs, so nothing is decided here but in the table of all pairs. To have a "
        f"claim judged, declare it in the suite file before the runs: claims: {{candidate: {names[0]}, "
        f"baselines: [{others}]}}."
    ]


def scorecard_notes(suite: SuiteResult) -> list[str]:
    """What was claimed of whom, and how to read the verdicts; nothing where nothing is claimed."""
    scorecard = suite.scorecard
    if scorecard is None:
        return []
    level = f"{100 * scorecard.level:g} %"
    notes = [
        f"Candidate: {listed(scorecard.candidates)}. Baselines: {listed(scorecard.baselines)}."
        + (f" Left out by declaration: {listed(scorecard.left_out)}." if scorecard.left_out else ""),
        _TUNING[scorecard.status],
    ]
    if suite.search is not None:
        searched = {own.algorithm for own in suite.search.algorithms}
        others = [name for name in (*scorecard.candidates, *scorecard.baselines) if name not in searched]
        if others:
            notes.append(
                f"Not searched: {listed(others)}. A verdict with one of them on either side is not at equal search: "
                "the other side was tuned, and it was not."
            )
    if scorecard.declaration is None:
        notes.append(
            f"Exploratory: {scorecard.exploratory}. Nothing here confirms a claim; take it as a hypothesis for new "
            "seeds."
        )
    elif scorecard.exploratory:
        notes.append(
            f"Exploratory: {scorecard.exploratory}. Runs that were there before the declaration do not count in "
            "verdicts; everything else shows them."
        )
    if scorecard.declaration is not None and scorecard.declaration > 1:
        notes.append(
            f"Declaration number {scorecard.declaration} about these candidates in this folder: tested at {level} (the "
            "first at 5 %, each further one at half of the one before, all together at most 10 %)."
        )
    if scorecard.siblings:
        notes.append(
            f"Other settings of the same cells were run or declared here: {'; '.join(scorecard.siblings)}. The best of "
            "several settings on the same seeds shows nothing."
        )
    return [
        *notes,
        "Each claim is decided by one measure. Supported: shown to be better than every baseline that counts (better "
        "or at par: less than the margin worse). Not supported: shown to lack that advantage over one of them, either "
        "as worse or as no better by the margin. Undecided: neither yet. Not assessable: nothing could decide it. Over "
        "several tasks the mean difference counts, families of tasks weighing alike.",
        "Evidence of 40 : 1: bets that the claim is right, which cannot be expected to win where it is wrong, have won "
        "forty times their stake. Where it is wrong that happens at most once in forty times, at whatever moment one "
        "stops. The more variants, the more is needed.",
        "Seeds count in their declared order, each when all its runs are there on both sides. A run in which the "
        "algorithm failed counts at the bound that hurts the claim; one that is missing ends the count until it is "
        "made.",
        scorecard.promise,
        f"The verdicts here are {scorecard.families} families (each claim in either direction, over all tasks, by "
        f"feedback and task by task), each with its own chance of {level}: five claims are five chances. The table of "
        "all pairs is one more.",
    ]


def _claim_line(claim: ClaimResult, card: Scorecard, noun: str, uses: Mapping[str, str]) -> Line:
    name = claim.claim[0].upper() + claim.claim[1:]
    title = MEASURE_TITLES[claim.measure]
    if not claim.tasks:
        why = f"Nothing here measures it ({title})."
        return Line(f"{name}: not assessable.", why, why)
    count = many(len(claim.readings), noun)
    decided = f"supported in {claim.supported} of {count}, {card.status}{_but(claim, uses)}"
    lead = f"{name}: {decided if claim.tested else 'not assessable'}."
    ordered = sorted(claim.readings, key=lambda reading: STATES.index(reading.state))
    sentences = {reading.algorithm: reading_sentence(claim, reading, card.feedback) for reading in ordered}
    brief = [sentences[r.algorithm] for r in ordered if r.state not in ("undecided", "not assessable")]
    for state in ("undecided", "not assessable"):
        those = [r.algorithm for r in ordered if r.state == state]
        brief += [f"{state[0].upper()}{state[1:]}: {listed(those)}."] if those else []
    return Line(lead, f"By {title}: {' '.join(sentences.values())}", " ".join(brief))


def _but(claim: ClaimResult, uses: Mapping[str, str]) -> str:
    """Which baselines the verdicts say nothing about; another implementation does not speak for one of them."""
    if not claim.without:
        return ""
    text = "; not against " + ", ".join(f"{each.baseline} ({each.reason})" for each in claim.without)
    counted = {each.baseline for reading in claim.readings for each in reading.comparisons if each.counts}
    out = {uses.get(each.baseline, each.baseline): each.baseline for each in claim.without}
    for name in sorted(counted):
        original = out.get(uses.get(name, name).removesuffix("-batched"))
        if original is not None:
            text += f"; {name} is not shown to be equivalent to {original}"
    return text


def reading_sentence(claim: ClaimResult, reading: Reading, feedback: Mapping[str, str]) -> str:
    """One variant's verdict; *beats* only where that is decided.

    Args:
        feedback: class of feedback by algorithm; baselines of another class than the variant's are said with theirs.
    """
    own = feedback.get(reading.algorithm, "")
    counted = [each for each in reading.comparisons if each.counts]
    name, names = reading.algorithm, [with_feedback(each.baseline, each.feedback, own) for each in counted]
    if reading.state == "not assessable" or not counted:
        return f"{name}: not assessable, {reading.reason}."
    if reading.state == "undecided":
        return f"{name} {distance(counted)} (not decided after {many(reading.pairs, 'seed')}): {progress(reading)}."
    if reading.state == "supported":
        if claim.at_par:
            better = f", and beats {'them' if len(names) > 1 else 'it'}" if reading.better else ""
            what = f"is at par with {listed(names, last=' and ')} (less than {claim.margin:g} worse){better}"
        elif claim.rule == "wins":
            what = f"wins against {listed(names, last=' and ')} more often than it loses"
        else:
            what = f"beats {listed(names, last=' and ')}"
        return f"{name} {what}: {decided(claim, reading)}."
    shown = [each for each in counted if (each.worse if reading.state == "worse" else each.named)]
    against = listed([with_feedback(each.baseline, each.feedback, own) for each in shown], last=" and ")
    against = against or (names[0] if len(names) == 1 else f"one of {listed(names, last=' and ')}")
    extent = "worse" if reading.state == "worse" else f"less than {claim.margin:g} better"
    what = f"is {extent} than {against}"
    return f"{name} {what}: {decided(claim, reading)}."


def with_feedback(name: str, kind: str, own: str) -> str:
    """`dpo (oracle pairs)` where that is another class of feedback than the candidate's."""
    return name if kind == own else f"{name} ({kind})"


def decided(claim: ClaimResult, reading: Reading) -> str:
    """`+0.21 [at least +0.04 at the level that decides], 14 seeds; evidence 52 : 1, needed 40 : 1`."""
    counted = [each for each in reading.comparisons if each.counts]
    side = reading.for_claim if reading.verdict == "supported" else reading.against_claim
    end = "at least" if reading.verdict == "supported" else "at most"
    of = "wins minus losses " if claim.rule == "wins" else ""
    bound = f" [{of}{end} {signed(side.bound)} at the level that decides]" if side.bound is not None else ""
    smallest = _smallest(counted)
    difference = signed(smallest.difference) if smallest and smallest.difference is not None else ""
    evidence = f"evidence {odds(_reached(side))}, needed {odds(log(side.needed))}"
    of_all = len(side.log_evidence)
    seeds = many(reading.pairs, "seed")
    if reading.pairs < of_all:
        # "Worse" is more than "not supported", and can take more seeds than these.
        seeds = f"{reading.verdict} after {reading.pairs} of {many(of_all, 'seed')}"
    return f"{difference}{bound}, {seeds}; {evidence}".lstrip(" ,")


def distance(counted: Sequence[Comparison]) -> str:
    """`is higher than grpo by 0.04`: of the baseline that is hardest to beat."""
    smallest = _smallest(counted)
    if smallest is None or smallest.difference is None:
        return "cannot be compared yet" if not any(each.pairs for each in counted) else "has no finite difference"
    if abs(smallest.difference) < 0.005:
        return f"equals {smallest.baseline} so far"
    best = f"{smallest.baseline}{', the best of them,' if len(counted) > 1 else ''}"
    way = "higher" if smallest.difference > 0 else "lower"
    return f"is {way} than {best} by {fixed(abs(smallest.difference), 2)}"


def progress(reading: Reading) -> str:
    """`evidence 7 : 1 for (needs 40 : 1), 1 : 1 against (needs 40 : 1); about 9 more seeds`."""
    sides = [("for", reading.for_claim), ("against", reading.against_claim)]
    parts = [f"{odds(_reached(side))} {name} (needs {odds(log(side.needed))})" for name, side in sides]
    text = f"evidence {', '.join(parts)}"
    if reading.reason:
        return f"{text}; {reading.reason}"
    ended = list(dict.fromkeys(each.ended_by for each in reading.comparisons if each.counts and each.ended_by))
    if ended:
        return f"{text}; the next seed waits for {ended[0]}"
    if reading.more_seeds is not None:
        return f"{text}; about {many(reading.more_seeds, 'more seed')}"
    return text


def odds(log_evidence: float) -> str:
    """`52 : 1`, `1.6 : 1`."""
    if log_evidence > 20:
        return "more than 100,000,000 : 1"
    value = exp(log_evidence)
    return f"{value:,.0f} : 1" if value >= 9.95 else f"{value:.2g} : 1"


def signed(value: float) -> str:
    """Two decimals with their sign."""
    return f"{'+' if value >= 0.005 else ''}{fixed(value, 2)}"


def listed(names: Sequence[str], *, last: str = ", ") -> str:
    """`a, b, c`, or with another word before the last one."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])}{last}{names[-1]}"


def _reached(side: Evidence) -> float:
    return side.log_evidence[-1] if side.log_evidence else 0.0


def _smallest(counted: Sequence[Comparison]) -> Comparison | None:
    known = [each for each in counted if each.difference is not None]
    return min(known, key=lambda each: each.difference or 0.0) if known else None
