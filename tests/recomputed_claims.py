"""The scorecard and the table of all pairs once more, from the stored files, with nothing of ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from plain_formulas import shares
from plain_verdicts import bets, greatest_ruled_out, passed_when, rising

if TYPE_CHECKING:
    from recomputation import Suite

#: What a uniform policy has of the measure of a claim that it could win; None where that is not known.
GUARDED = {"exploration": 0.5, "not_collapsed": None}
#: Primary measure, its bounds (None: the task's), second looks (name, measure, wrappers), whether at par is claimed.
CLAIMS: list[tuple[str, tuple[float, float] | None, list[tuple[str, tuple[str, ...]]], bool]] = [
    ("area", None, [("time_to_threshold", ()), ("area_in_time", ())], False),
    (
        "exploration",
        (0.0, 1.0),
        [("relative_coverage", ()), ("goals_retained", ()), ("first_success_sooner", ())],
        False,
    ),
    ("reward_alignment", (-1.0, 1.0), [("final_score", ("noise", "proxy"))], False),
    ("not_collapsed", (0.0, 1.0), [("cvar", ()), ("final_score", ("noise", "scale"))], False),
    ("final_score", None, [("score_in_time", ())], True),
]
#: Of the second declaration: some runs were made under another one.
LEVEL = 0.025


class Pair:
    """Two algorithms seed by seed, until a run is missing."""

    def __init__(self, suite: Suite, names: tuple[str, str], tasks: Sequence[str], measure: str, bounds: Any) -> None:
        self.tasks = [task for task in tasks if all(measure in suite.table[task, name] for name in names)]
        ends = [bounds or suite.bounds[task] for task in self.tasks]
        weights = shares(self.tasks)
        self.low, self.high = (sum(w * end[i] for w, end in zip(weights, ends, strict=True)) for i in (0, 1))
        self.x: list[float] = []
        self.y: list[float] = []
        self.y_most: list[float] = []
        self.failed, self.clipped = 0, 0
        # Runs of another declaration, which there is none of in the folder, were there before.
        before = {run["seed"] for task in self.tasks for name in names for run in suite.at[task, name].runs
                  if run["provenance"]["declaration"] != suite.declaration}  # fmt: skip
        self.seeds = [seed for seed in suite.at[self.tasks[0], names[0]].seeds if seed not in before]
        for seed in self.seeds:
            row, failed, clipped = np.zeros(3), 0, 0
            for task, weight, (low, high) in zip(self.tasks, weights, ends, strict=True):
                for name, places in ((names[0], (0,)), (names[1], (1, 2))):
                    cell = suite.at[task, name]
                    found = [r["seed"] for r in cell.runs]
                    if seed not in found and seed not in cell.failed:
                        return
                    value = suite.table[task, name][measure][found.index(seed)] if seed in found else None
                    failed += value is None
                    clipped += value is not None and not low <= value <= high
                    for place in places:
                        instead = high if place == 2 else low
                        row[place] += weight * (instead if value is None else min(max(value, low), high))
            self.x.append(float(row[0]))
            self.y.append(float(row[1]))
            self.y_most.append(float(row[2]))
            self.failed += failed
            self.clipped += clipped

    def above(self, theta: float) -> list[float]:
        return bets(self.x, self.y_most, theta, self.low, self.high)

    def below(self, theta: float) -> list[float]:
        return bets(self.y, self.x, -theta, self.low, self.high)


def most(path: Sequence[float]) -> float:
    return max([0.0, *path])


def scorecard(suite: Suite) -> dict[str, Any]:
    claims = [_claim(suite, *each) for each in CLAIMS]
    return {
        "margin": suite.claims["margin"],
        "threshold": suite.claims["threshold"],
        "level": LEVEL,
        "declaration": 2,
        "families": sum(
            2 * (1 + bool(each["by_task"]) + bool(each["by_feedback"])) for each in claims if each["tested"]
        ),
        "claims": claims,
    }


def _claim(suite: Suite, measure: str, bounds: Any, looks: Any, at_par: bool) -> dict[str, Any]:
    candidates, baselines = suite.claims["candidates"], suite.claims["baselines"]
    tasks = [t for t in suite.judged if any(measure in suite.table[t, name] for name in suite.names)]
    margin = suite.claims["margin"]
    claimed, ruled_out = (-margin, -margin) if at_par else (0.0, margin)
    sensitive = [t for t in tasks if not at_par or _sensitive(suite, t, baselines, margin)]

    def family(rows: list[tuple[str, list[str], list[str]]]) -> list[dict[str, Any]]:
        pairs = [[Pair(suite, (x, y), own, measure, bounds) for y in others] for x, own, others in rows]
        up = [_least([rising(pair.above(claimed)) for pair in own]) for own in pairs]
        down = [rising(_together([pair.below(ruled_out) for pair in own])) for own in pairs]
        worse = [rising(_together([pair.below(0.0) for pair in own])) for own in pairs]
        steps = [passed_when(paths, LEVEL) for paths in (up, down, worse)]
        earned = [_earned(suite, *row[:2], measure, bounds, margin, len(rows)) for row in rows]
        return [
            _reading(suite, row, own, paths, [of[i] for of in steps], claimed, ruled_out, sensitive, at_par, earned[i])
            for i, (row, own, *paths) in enumerate(zip(rows, pairs, up, down, strict=True))
        ]

    readings = family([(x, tasks, baselines) for x in candidates])
    classes = {name: _feedback(suite, name) for name in baselines}
    kinds = list(dict.fromkeys(classes.values()))
    of_kind = [[name for name in baselines if classes[name] == kind] for kind in kinds]
    for reading, x in zip(readings, candidates, strict=True):
        for comparison, y in zip(reading["comparisons"], baselines, strict=True):
            found = [suite.look(*look, (x, y)) for look in looks]
            comparison["looks"] = [each for each in found if each]
    return {
        "margin": margin,
        "supported": sum(each["verdict"] == "supported" for each in readings),
        "tested": sum(each["verdict"] != "not assessable" for each in readings),
        "readings": readings,
        "by_task": family([(x, [t], baselines) for x in candidates for t in tasks]) if len(tasks) > 1 else [],
        "by_feedback": family([(x, tasks, own) for x in candidates for own in of_kind]) if len(kinds) > 1 else [],
    }


def _feedback(suite: Suite, name: str) -> tuple[Any, ...]:
    """What a baseline receives, wherever it ran."""
    found = [
        run["information"] for task in suite.tasks if (task, name) in suite.at for run in suite.at[task, name].runs
    ]
    return tuple(dict.fromkeys((each["told"], each["critic"], "expert" in each["label"]) for each in found))


def _earned(suite: Suite, name: str, tasks: list[str], measure: str, bounds: Any, margin: float, rows: int) -> bool:
    """Above a random policy's score, 0, by the margin, and not below what a uniform policy has of the measure."""
    if measure not in GUARDED:
        return True
    asked = [(Pair(suite, (name, name), tasks, "final_score", None), 0.0, margin)]
    if GUARDED[measure] is not None:
        asked.append((Pair(suite, (name, name), tasks, measure, bounds), GUARDED[measure], -margin))
    return all(
        most(bets(own.x, [known] * len(own.x), by, own.low, own.high)) >= math.log(rows / LEVEL)
        for own, known, by in asked
    )


def _least(paths: Sequence[Sequence[float]]) -> list[float]:
    """The smallest of several rising paths; one that is shorter stays where it is."""
    longest = max(map(len, paths))
    return [min(path[min(n, len(path) - 1)] if path else 0.0 for path in paths) for n in range(longest)]


def _together(paths: Sequence[Sequence[float]]) -> list[float]:
    """The mean of the capital, at common numbers of seeds."""
    return [math.log(sum(map(math.exp, at)) / len(paths)) for at in zip(*paths, strict=False)]


def _sensitive(suite: Suite, task: str, baselines: Sequence[str], margin: float) -> bool:
    low, high = suite.bounds[task]
    paths = []
    for name in baselines:
        cell, values = suite.at[task, name], []
        found = [run["seed"] for run in cell.runs]
        for seed in cell.seeds:
            if seed not in found and seed not in cell.failed:
                break
            values.append(suite.table[task, name]["final_score"][found.index(seed)] if seed in found else low)
        paths.append(bets(values, [0.0] * len(values), margin, low, high))
    return most(_together(paths)) >= math.log(1 / LEVEL)


def _reading(
    suite: Suite,
    row: tuple[str, list[str], list[str]],
    pairs: Sequence[Pair],
    paths: Sequence[list[float]],
    steps: Sequence[tuple[float, int | None]],
    claimed: float,
    ruled_out: float,
    sensitive: Sequence[str],
    at_par: bool,
    earned: bool,
) -> dict[str, Any]:
    name, tasks, baselines = row
    (needed_up, after_up), (needed_down, after_down), (_, after_worse) = steps
    verdict, state, n = "undecided", "undecided", min(len(pair.x) for pair in pairs)
    if after_up:
        sure = earned and all(task in sensitive for task in tasks)
        verdict = state = "supported" if sure else "not assessable"
        n = after_up if verdict == "supported" else n
    elif after_down:
        verdict, n = "not supported", after_down
        state = "worse" if at_par or after_worse else "no better"
    lows = [_ruled_out(pair, pair.above, needed_up, claimed) for pair in pairs]
    highs = [-_ruled_out(pair, lambda theta, pair=pair: pair.below(-theta), needed_down, ruled_out) for pair in pairs]
    span = min(pair.high - pair.low for pair in pairs)
    together = greatest_ruled_out(
        lambda theta: most(_together([pair.below(-theta) for pair in pairs])), math.log(needed_down), span
    )
    return {
        "verdict": verdict,
        "state": state,
        "pairs": n,
        "for_claim": {
            "log_evidence": paths[0], "needed": needed_up, "decided_after": after_up, "bound": min(lows),
        },
        "against_claim": {
            "log_evidence": paths[1], "needed": needed_down, "decided_after": after_down, "bound": -together,
        },
        "comparisons": [
            {
                "pairs": len(pair.x),
                "seeds": len(pair.seeds),
                "failed": pair.failed,
                "clipped": pair.clipped / (2 * len(pair.tasks) * len(pair.x)) if pair.x else 0.0,
                "candidate": float(np.mean(pair.x)),
                "against": float(np.mean(pair.y)),
                "difference": float(np.mean(pair.x) - np.mean(pair.y)),
                "low": low,
                "high": high,
                "supporting": most(pair.above(claimed)),
                "opposing": most(pair.below(ruled_out)),
                "candidate_runs": suite.count(name, pair.tasks),
                "baseline_runs": suite.count(baseline, pair.tasks),
                "looks": [],
            }
            for pair, low, high, baseline in zip(pairs, lows, highs, baselines, strict=True)
        ],
    }  # fmt: skip


def _ruled_out(pair: Pair, evidence: Callable[[float], list[float]], needed: float, pivot: float) -> float:
    return greatest_ruled_out(lambda theta: most(evidence(theta)), math.log(needed), pair.high - pair.low)


def pairwise(suite: Suite) -> dict[str, Any]:
    names = suite.names
    tasks = [t for t in suite.judged if any("final_score" in suite.table[t, name] for name in names)]
    pairs = [Pair(suite, (a, b), tasks, "final_score", None) for a in names for b in names if a != b]
    paths = [rising(pair.above(0.0)) for pair in pairs]
    made = []
    for pair, path, (needed, after) in zip(pairs, paths, passed_when(paths, 0.05), strict=True):
        low = greatest_ruled_out(
            lambda theta, pair=pair: most(pair.above(theta)), math.log(needed), pair.high - pair.low
        )
        made.append(
            {
                "pairs": len(pair.x),
                "difference": float(np.mean(pair.x) - np.mean(pair.y)),
                "low": low if after else None,
                "log_evidence": path[-1] if path else 0.0,
                "needed": needed,
            }
        )
    return {"level": 0.05, "comparisons": made}
