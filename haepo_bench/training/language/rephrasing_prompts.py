"""What a policy is shown that is to rephrase an expert's response."""

import re
from collections.abc import Sequence

from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example

_PROMPT, _DEMONSTRATION = "{prompt}", "{demonstration}"
_PLACES = re.compile(r"(\{prompt\}|\{demonstration\})")


def rephrasing_prompts(template: str, task: LanguageTask) -> Sequence[str]:
    """What the policy is shown for each example of the task's `train`."""
    pieces = _PLACES.split(template)

    def shown(example: Example) -> str:
        text = {_PROMPT: example.prompt, _DEMONSTRATION: task.expert_response(example)}
        return "".join(text.get(piece, piece) for piece in pieces)

    return [shown(example) for example in task.train]
