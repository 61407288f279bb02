"""Where in responses the reward is that policies imply, as a table: on which tokens, and whether they add up."""

from haepo_bench.report.document import AlgorithmResult, TaskResult
from haepo_bench.report.tables.per_task import (
    Footnotes,
    Table,
    TableCell,
    absences,
    estimate_cell,
    name_cell,
    return_decimals,
)

TITLE = "credit token by token"
_PLACES = {
    "credit_first_third": "First third of the tokens",
    "credit_middle_third": "Middle third",
    "credit_last_third": "Last third",
    "credit_largest_tenth": "Tenth with most",
    "credit_answer": "Answer",
    "credit_answer_tokens": "Answer, share of tokens",
}
_NOTES = (
    "Implicit reward: beta sum (log pi - log initial) over a response's tokens, mean over the sampled responses of the "
    "last evaluation. It is the reward for which the policy is optimal, up to a constant per prompt, where the initial "
    "policy is the loss's reference; where the previous one is, it is what the iterations have added up.",
    "The other columns: how much of it, in absolute values token by token, is on which tokens. Spread evenly, a third "
    "has about 1/3 and the tenth with most little more than 1/10 (of short responses: one token of n).",
)
_ANSWER_NOTE = (
    "Answer: the tokens that write the answer after a working, in responses that have both; spread evenly, as much as "
    "its share of the tokens."
)


def credit_table(task: TaskResult) -> Table | None:
    """None where no algorithm has an implicit reward token by token."""
    results = [result for result in task.algorithms if "implicit_reward" in result.diagnostics]
    if not results:
        return None
    footnotes = Footnotes(results)
    places = [name for name in _PLACES if any(name in result.diagnostics for result in results)]
    decimals = return_decimals([result.diagnostics["implicit_reward"] for result in results])
    rows = [
        [
            name_cell(result, footnotes),
            TableCell(f"{len(result.seeds.shown) - len(result.seeds.diverged)}/{len(result.seeds.planned)}"),
            estimate_cell(result.diagnostics["implicit_reward"], decimals),
            *(estimate_cell(result.diagnostics.get(name), 2) for name in places),
        ]
        for result in results
    ]
    notes = [*footnotes.lines, *_NOTES, *([_ANSWER_NOTE] if "credit_answer" in places else []), _telescoping(results)]
    columns = ["Algorithm", "Seeds done n/N", "Implicit reward per response", *(_PLACES[name] for name in places)]
    return Table(f"{task.task}: {TITLE}", columns, rows, [*notes, *absences(task)])


def _telescoping(results: list[AlgorithmResult]) -> str:
    """Whether the tokens' credit adds up to what the loss has of the whole response."""
    found = [result.diagnostics.get("credit_telescoping") for result in results]
    largest = max((each.mean for each in found if each is not None and each.mean is not None), default=None)
    if largest is None:
        return "Whether tokens add up to the implicit reward of their response was not recorded."
    return f"Tokens add up to the implicit reward of their response, computed apart, within {largest:.1g} (reward)."
