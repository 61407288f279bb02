"""Every number of a report once more, from the stored files, with `plain_formulas` and nothing of ours."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from plain_formulas import (
    Sum,
    Values,
    band,
    beats,
    cvar,
    estimate,
    known,
    mean_of_tails,
    quantile_mean,
    rates,
    shares,
    weighted_quantile,
)
from plain_verdicts import bounded_band, bounded_estimate
from recomputed_claims import pairwise as all_pairs
from recomputed_claims import scorecard

MEASURES = [
    "final_score",
    "final_score_greedy",
    "area",
    "final_return",
    "final_return_greedy",
    "area_return",
    "score_in_time",
    "area_in_time",
    "return_in_time",
]
COSTS = [
    "wall_seconds",
    "cpu_seconds",
    "env_steps_collected",
    "gradient_steps",
    "episodes",
    "evaluation_env_steps",
    "evaluation_seconds",
    "peak_memory_bytes",
]
#: Curve columns that say how far a run was and how well it did, not how training went.
NO_DIAGNOSTICS = {
    "env_steps",
    "gradient_steps",
    "wall_seconds",
    "cpu_seconds",
    "eval_return",
    "eval_return_greedy",
    "eval_return_std",
}


class Cell:
    """An algorithm on a task, from its files."""

    def __init__(self, root: Path, planned: dict[str, Any]) -> None:
        self.task, self.algorithm, self.seeds = planned["task"], planned["algorithm"], planned["seeds"]
        runs = []
        for seed in sorted(self.seeds):
            path = root / planned["folder"] / f"seed-{seed}.json"
            if path.exists():
                runs.append(json.loads(path.read_text()))
        self.runs = [run for run in runs if run["status"] in ("done", "diverged")]
        self.failed = {run["seed"] for run in runs if run["status"] in ("failed", "timed_out")}
        self.missing = len(self.seeds) - len(self.runs)
        self.references = runs[0]["references"] if runs else None
        self.scored = self.references is not None
        self.done = [run for run in self.runs if run["status"] == "done"]
        self.marks = self.runs[0]["curve"]["env_steps"] if self.runs else []
        self.returns = [self._filled(run, "eval_return") for run in self.runs]
        self.greedy = [self._filled(run, "eval_return_greedy") for run in self.runs]
        self.scores = [self._score(row) for row in self.returns]
        self.values: dict[str, Values] = {}

    def _filled(self, run: dict[str, Any], name: str) -> Values:
        """After divergence, which the sampled return shows, the random policy's return."""
        gone = [value is None for value in run["curve"]["eval_return"]]
        random = self.references["random"] if self.references else None
        column = run["curve"][name]
        return [random if lost else value for lost, value in zip(gone, column, strict=True)]

    def _score(self, row: Values) -> Values:
        if not self.references:
            return [None] * len(row)
        random, solved = self.references["random"], self.references["solved"]
        return [None if value is None else (value - random) / (solved - random) for value in row]

    def area(self, row: Values) -> float | None:
        if None in row[:-1]:
            return None
        steps = zip(row, pairwise(self.marks), strict=False)
        return sum(value * (after - before) for value, (before, after) in steps if value is not None) / self.marks[-1]

    def measure(self, seconds: float | None) -> None:
        """Fills `values`: a number a run, in the order of the runs."""
        greedy = [self._score(row) for row in self.greedy]
        self.values = {
            "final_score": [row[-1] for row in self.scores],
            "final_score_greedy": [row[-1] for row in greedy],
            "area": [self.area(row) for row in self.scores],
            "final_return": [row[-1] for row in self.returns],
            "final_return_greedy": [row[-1] for row in self.greedy],
            "area_return": [self.area(row) for row in self.returns],
            "score_in_time": [self.at(seconds, *each) for each in zip(self.runs, self.scores, strict=True)],
            "area_in_time": [self.until(seconds, *each) for each in zip(self.runs, self.scores, strict=True)],
            "return_in_time": [self.at(seconds, *each) for each in zip(self.runs, self.returns, strict=True)],
        }

    def clock(self, run: dict[str, Any]) -> list[float]:
        times: list[float] = []
        for time in run["curve"]["cpu_seconds"]:
            times.append(times[-1] if time is None else time)
        return times

    def at(self, seconds: float | None, run: dict[str, Any], row: Values) -> float | None:
        if seconds is None:
            return None
        return [value for value, time in zip(row, self.clock(run), strict=True) if time <= seconds][-1]

    def until(self, seconds: float | None, run: dict[str, Any], row: Values) -> float | None:
        if seconds is None or None in row:
            return None
        times = [0.0, *self.clock(run)[1:], math.inf]
        spans = [min(after, seconds) - min(before, seconds) for before, after in pairwise(times)]
        return sum(value * span for value, span in zip(row, spans, strict=True) if value is not None) / seconds

    def last(self, run: dict[str, Any], name: str) -> float | None:
        return next((value for value in reversed(run["curve"].get(name, [])) if value is not None), None)

    def claimed(self, threshold: float, first_known: bool, declared_success: bool) -> dict[str, Values]:
        """What claims are judged by: a number a run; measures that no run has are absent."""
        found = {
            name: self.values[name] for name in ("area", "final_score", "final_return", "area_in_time", "score_in_time")
        }
        for name in ("goals_retained", "reward_alignment"):
            own = [self.last(run, name) for run in self.runs]
            if known(own):
                lost = [run["status"] == "diverged" for run in self.runs]
                found[name] = [0.0 if gone else value for gone, value in zip(lost, own, strict=True)]
        coverage = [known(run["curve"].get("relative_coverage", [])) for run in self.runs]
        found["relative_coverage"] = [float(np.mean(row)) if row else None for row in coverage]
        if declared_success:
            budget = self.marks[-1]
            first = [self.last(run, "first_success") for run in self.runs]
            found["exploration"] = [0.0 if value is None else 1 - min(value, budget) / budget for value in first]
        else:
            found["exploration"] = [None if value is None else value / 2 for value in found["relative_coverage"]]
        if first_known:
            first = [self.last(run, "relative_first_success") for run in self.runs]
            found["first_success_sooner"] = [float(value is not None and value < 1) for value in first]
        if self.scored:
            found["time_to_threshold"] = [self._time(row, threshold) for row in self.scores]
            found["collapse"] = [self._collapsed(row) for row in self.scores]
            found["not_collapsed"] = [1 - value for value in found["collapse"]]
        return {name: values for name, values in found.items() if known(values)}

    def _time(self, row: Values, threshold: float) -> float:
        above = [value is not None and value >= threshold for value in row]
        held = [mark for mark, both in zip(self.marks, pairwise(above), strict=False) if all(both)]
        return float([*held, self.marks[-1]][0] / self.marks[-1])

    def _collapsed(self, row: Values) -> float:
        held = max(min(pair) for pair in pairwise(known(row)))
        return float(held >= 0.2 and known(row)[-1] < 0.5 * held)


class Suite:
    """A whole folder."""

    def __init__(self, root: Path) -> None:
        plan = json.loads((root / "plan.json").read_text())
        self.claims, self.declaration = plan["claims"], plan["declaration"]
        self.uniform_success: dict[str, float] = plan.get("uniform_success", {})
        self.bounds = {task: (each["low"], each["high"]) for task, each in plan["bounds"].items()}
        self.cells = [Cell(root, cell) for cell in plan["cells"]]
        self.tasks = list(dict.fromkeys(cell.task for cell in self.cells))
        # Where training is paid at random nobody is judged.
        self.judged = [task for task in self.tasks if "random-reward(" not in task]
        self.names = list(dict.fromkeys(cell.algorithm for cell in self.cells))
        self.at = {(cell.task, cell.algorithm): cell for cell in self.cells}
        self.seconds = {}
        for task in self.tasks:
            ends = [known([run["curve"]["cpu_seconds"][-1] for run in cell.runs]) for cell in self.of(task)]
            self.seconds[task] = min((float(np.mean(end)) for end in ends if end), default=None)
        for cell in self.cells:
            cell.measure(self.seconds[cell.task])
        self.table: dict[tuple[str, str], dict[str, Values]] = {}
        for cell in self.cells:
            others = [other.last(run, "relative_first_success") for other in self.of(cell.task) for run in other.runs]
            success = cell.task in self.uniform_success
            self.table[cell.task, cell.algorithm] = cell.claimed(self.claims["threshold"], bool(known(others)), success)

    def of(self, task: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.task == task]

    def seen(self, task: str, measure: str) -> tuple[float, float]:
        values = [v for cell in self.of(task) for v in known(self.table[task, cell.algorithm].get(measure, []))]
        return min(values), max(values)

    def column(self, key: tuple[str, str], measure: str, fill: int | None = None) -> list[float]:
        """A cell's numbers; with `fill`, the lowest (0) or highest (1) of the task in place of missing runs."""
        own = known(self.table[key][measure])
        return own if fill is None else [*own, *[self.seen(key[0], measure)[fill]] * self.at[key].missing]

    def count(self, name: str, tasks: Sequence[str]) -> dict[str, int]:
        own = [self.at[task, name] for task in tasks]
        return {"shown": sum(len(c.runs) for c in own), "planned": sum(len(c.seeds) for c in own)}

    def short(self, names: Sequence[str], tasks: Sequence[str]) -> bool:
        return any(self.at[task, name].missing for task in tasks for name in names)

    # Below: the document, place by place.

    def document(self) -> dict[str, Any]:
        scored = [t for t in self.judged if any("final_score" in self.table[t, c.algorithm] for c in self.of(t))]
        on = {n: [t for t in scored if "final_score" in self.table.get((t, n), {})] for n in self.names}
        names = [n for n in self.names if len(on[n]) >= len(scored) / 2]
        tasks = [t for t in scored if all(t in on[n] for n in names)]
        return {
            "runs_planned": sum(len(cell.seeds) for cell in self.cells),
            "runs_shown": sum(len(cell.runs) for cell in self.cells),
            "scorecard": scorecard(self),
            "pairwise": all_pairs(self),
            "aggregates": [
                {"values": [self.aggregate(statistic, name, tasks) for name in names]}
                for statistic in ("mean", "iqm", "optimality_gap", "cvar", "collapse_rate")
            ],
            "profiles": [self.profile(name, tasks) for name in names],
            "improvement": list(self.improvements(tasks)),
            "tasks": [self.task(task) for task in self.tasks],
        }

    def task(self, task: str) -> dict[str, Any]:
        cells = self.of(task)
        references = next((cell.references for cell in cells if cell.references), None)
        return {
            "references": references and {name: references[name] for name in ("random", "solved")},
            "score_bounds": list(self.bounds[task]) if task in self.bounds else None,
            "budget": cells[0].marks[-1],
            "common_seconds": self.seconds[task],
            "common_clock": None if self.seconds[task] is None else "cpu_seconds",
            "algorithms": [self.algorithm(cell) for cell in cells],
            "improvement": list(self.improvements([task])),
        }

    def algorithm(self, cell: Cell) -> dict[str, Any]:
        added = [run["seed"] for run in cell.runs if run["provenance"]["declaration"] != self.declaration]
        columns = {name for run in cell.done for name in run["curve"]} - NO_DIAGNOSTICS
        bounds = self.bounds.get(cell.task)
        diagnostics = {name: estimate([cell.last(run, name) for run in cell.done]) for name in columns}
        passes = {name for run in cell.done for name in run["final"] if "pass_at" in name}
        diagnostics |= {name: estimate([run["final"][name] for run in cell.done]) for name in passes}
        missing = {}
        for name in MEASURES:
            seen = [value for other in self.of(cell.task) for value in known(other.values[name])]
            own = known(cell.values[name])
            if seen and len(own) < len(cell.seeds):
                ends = [[*own, *[end] * (len(cell.seeds) - len(own))] for end in (min(seen), max(seen))]
                missing[name] = {"lowest": float(np.mean(ends[0])), "highest": float(np.mean(ends[1]))}
        of_returns = bounds and tuple(
            cell.references["random"] + end * (cell.references["solved"] - cell.references["random"]) for end in bounds
        )
        estimates: dict[str, Any] = {
            name: bounded_estimate(cell.values[name], of_returns if "return" in name else bounds) for name in MEASURES
        }
        if not cell.scored:
            estimates |= {name: None for name in MEASURES if "score" in name or name in ("area", "area_in_time")}
        clocks = {
            name: [float(np.mean(at)) for at in zip(*(run["curve"][name] for run in cell.done), strict=True)]
            for name in ("wall_seconds", "cpu_seconds")
        }
        return {
            **estimates,
            "information": {"discount": cell.runs[0]["information"]["discount"]},
            "seeds": {
                "planned": cell.seeds,
                "shown": [run["seed"] for run in cell.runs],
                "diverged": [{"seed": run["seed"]} for run in cell.runs if run["status"] == "diverged"],
                "missing": [{"seed": s} for s in cell.seeds if s not in [run["seed"] for run in cell.runs]],
                "exploratory": added,
            },
            "if_missing": missing,
            "cost": {name: estimate([run["cost"].get(name) for run in cell.runs])["mean"] for name in COSTS},
            "diagnostics": diagnostics,
            "curve": {
                "env_steps": cell.marks,
                **clocks,
                "score": bounded_band(cell.scores, bounds) if cell.scored else None,
                "eval_return": bounded_band(cell.returns, of_returns),
                "single": {
                    "seeds": [run["seed"] for run in cell.runs][:20],
                    "places": list(range(len(cell.marks))),
                    "eval_return": [
                        [None if value is None else float(f"{value:.4e}") for value in row] for row in cell.returns[:20]
                    ],
                },
            },
            "overoptimisation": self.overoptimisation(cell),
            "runs": [
                {
                    "seed": run["seed"],
                    "measures": {name: cell.values[name][i] for name in MEASURES},
                    "cost": {name: run["cost"].get(name) for name in COSTS},
                }
                for i, run in enumerate(cell.runs)
            ],
        }

    def overoptimisation(self, cell: Cell) -> dict[str, Any] | None:
        if not any(known(run["curve"].get("kl_initial", [])) for run in cell.runs):
            return None
        roots = [[math.sqrt(kl) for kl in run["curve"]["kl_initial"]] for run in cell.done]
        root = [float(np.mean(at)) for at in zip(*roots, strict=True)]
        bounds = self.bounds.get(cell.task)
        of_returns = bounds and tuple(
            cell.references["random"] + end * (cell.references["solved"] - cell.references["random"]) for end in bounds
        )
        gold, proxy = bounded_band(cell.returns, of_returns), band([run["curve"]["proxy_return"] for run in cell.done])
        peak = max(range(len(cell.marks)), key=lambda mark: gold["mean"][mark])

        def at(mark: int) -> dict[str, Any]:
            rewards = {
                name: {part: values[part][mark] for part in ("mean", "low", "high", "n")}
                for name, values in (("gold", gold), ("proxy", proxy))
            }
            return {"env_steps": cell.marks[mark], "sqrt_kl": root[mark], **rewards}

        def rise(run: dict[str, Any], name: str) -> float:
            curve = run["curve"]
            return float((curve[name][-1] - curve[name][0]) / curve[f"{name}_std"][0])

        falls = [row[peak] - row[-1] for row in cell.returns if row[peak] is not None and row[-1] is not None]
        return {
            "sqrt_kl": root,
            "gold": gold,
            "proxy": proxy,
            "start": at(0),
            "peak": at(peak),
            "end": at(len(cell.marks) - 1),
            "fall": estimate(falls) if peak < len(cell.marks) - 1 else None,
            "gap": estimate([rise(run, "proxy_return") - rise(run, "eval_return") for run in cell.done]),
        }

    def improvements(self, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
        for x in self.claims["candidates"]:
            for y in self.claims["baselines"]:
                measure = "final_score" if all(self.at[task, x].scored for task in tasks) else "final_return"

                def over(fill: tuple[int | None, int | None], x=x, y=y, measure=measure) -> tuple[float, float, float]:
                    each = [
                        beats(self.column((t, x), measure, fill[0]), self.column((t, y), measure, fill[1]))
                        for t in tasks
                    ]
                    w = np.array(shares(tasks))
                    mean, low, high = np.array(each).T
                    down, up = math.sqrt(w**2 @ (mean - low) ** 2), math.sqrt(w**2 @ (high - mean) ** 2)
                    return float(w @ mean), float(w @ mean - down), float(w @ mean + up)

                probability, low, high = over((None, None))
                short = self.short([x, y], tasks)
                yield {
                    "probability": probability,
                    "low": low,
                    "high": high,
                    "candidate_runs": self.count(x, tasks),
                    "baseline_runs": self.count(y, tasks),
                    "lowest": over((0, 1))[0] if short else None,
                    "highest": over((1, 0))[0] if short else None,
                }

    def aggregate(self, statistic: str, name: str, tasks: Sequence[str]) -> dict[str, Any]:
        measure = "collapse" if statistic == "collapse_rate" else "final_score"

        def value(tasks: Sequence[str], fill: int | None = None) -> float:
            groups, w = [self.column((task, name), measure, fill) for task in tasks], shares(tasks)
            if statistic == "iqm":
                runs = [v for group in groups for v in group]
                return quantile_mean(runs, [s / len(g) for g, s in zip(groups, w, strict=True) for _ in g], 0.25, 0.75)
            of_task = {
                "mean": np.mean,
                "collapse_rate": np.mean,
                "cvar": cvar,
                "optimality_gap": lambda group: 1 - np.mean(np.minimum(group, 1)),
            }[statistic]
            return sum(s * float(of_task(group)) for s, group in zip(w, groups, strict=True))

        groups, w = [self.column((task, name), measure) for task in tasks], shares(tasks)
        found = value(tasks)
        if statistic == "collapse_rate":
            _, low, high = rates(groups, w)
        elif statistic == "iqm":
            runs = [v for group in groups for v in group]
            of_run = [s / len(g) for g, s in zip(groups, w, strict=True) for _ in g]
            edges = [weighted_quantile(runs, of_run, level) for level in (0.25, 0.75)]
            around = Sum([(np.clip(group, *edges) / 0.5).tolist() for group in groups], w)
            low, high = (found + end - around.estimate for end in around.interval(0.95))
        elif statistic == "optimality_gap":
            below = Sum([np.minimum(group, 1).tolist() for group in groups], w).interval(0.95)
            low, high = 1 - below[1], 1 - below[0]
        elif statistic == "cvar":
            low, high = mean_of_tails(groups, w)
        else:
            low, high = Sum(groups, w).interval(0.95)
        without = [value([other for other in tasks if other != task]) for task in tasks]
        ends = [value(tasks, fill) for fill in (0, 1)]
        return {
            "value": found,
            "low": low,
            "high": high,
            "runs": self.count(name, tasks),
            "lowest_without": {"value": min(without)},
            "highest_without": {"value": max(without)},
            "if_missing": {"lowest": min(ends), "highest": max(ends)} if self.short([name], tasks) else None,
        }

    def profile(self, name: str, tasks: Sequence[str]) -> dict[str, Any]:
        every = [v for t in tasks for other in self.names for v in self.column((t, other), "final_score")]
        ends = round(max(min(0.0, *every), -1) / 0.02), round(min(max(1.0, *every), 2) / 0.02)
        thresholds = [round(0.02 * i, 2) for i in range(ends[0], ends[1] + 1)]
        groups, w = [np.array(self.column((task, name), "final_score")) for task in tasks], shares(tasks)
        ends_of = [rates([(group > t).astype(float).tolist() for group in groups], w) for t in thresholds]
        share, low, high = (list(end) for end in zip(*ends_of, strict=True))
        runs = self.count(name, tasks)
        return {
            "thresholds": thresholds,
            "band": {"mean": share, "low": low, "high": high, "n": [runs["shown"]] * len(thresholds)},
            "runs": runs,
        }

    def look(self, measure: str, wrappers: tuple[str, ...], pair: tuple[str, str]) -> dict[str, Any] | None:
        column = "final_score" if measure == "cvar" else measure
        tasks = [t for t in self.judged if all(column in self.table[t, n] for n in pair)]
        tasks = [t for t in tasks if not wrappers or set(t.split("(")[:-1]) & set(wrappers)]
        if not tasks:
            return None
        w = shares(tasks)
        signs = [*w, *(-s for s in w)]

        def groups(fill: tuple[int | None, int | None]) -> list[list[float]]:
            return [self.column((t, n), column, end) for n, end in zip(pair, fill, strict=True) for t in tasks]

        mean: Callable[[list[float]], Any] = cvar if measure == "cvar" else np.mean

        def difference(fill: tuple[int | None, int | None]) -> float:
            return sum(s * float(mean(group)) for s, group in zip(signs, groups(fill), strict=True))

        own = groups((None, None))
        means = [
            sum(s * float(mean(g)) for s, g in zip(w, part, strict=True)) for part in (own[: len(w)], own[len(w) :])
        ]
        is_rate = measure in ("collapse", "first_success_sooner")
        low, high = rates(own, signs)[1:] if is_rate else Sum(own, signs).interval(0.95)
        if measure == "cvar":
            low, high = mean_of_tails(own, signs)
        ends = sorted([difference((0, 1)), difference((1, 0))]) if self.short(pair, tasks) else [None, None]
        return {
            "candidate": means[0],
            "baseline": means[1],
            "difference": means[0] - means[1],
            "low": low,
            "high": high,
            "lowest": ends[0],
            "highest": ends[1],
            "candidate_runs": self.count(pair[0], tasks),
            "baseline_runs": self.count(pair[1], tasks),
        }
