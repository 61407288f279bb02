"""Texts to tokens and back, as a task's model has them."""

from collections.abc import Sequence
from typing import Any

from haepo_bench.errors import TaskError


class Texts:
    """A model's tokenizer, and what ends a response.

    Args:
        tokenizer: of Hugging Face.
        stops: tokens that end a response, besides the tokenizer's own; may be empty.
        chat: whether prompts go through the chat template, where there is one.
        known: tokens that the model knows, counted from 0; None for all of the tokenizer's.

    Raises:
        TaskError: here and below, of a token that the model does not know.
    """

    def __init__(
        self, tokenizer: Any, stops: Sequence[int] = (), *, chat: bool = True, known: int | None = None
    ) -> None:
        self._tokenizer, self._known = tokenizer, known
        self._chat = chat and bool(getattr(tokenizer, "chat_template", None))
        own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        self.stops = tuple(dict.fromkeys([*own, *stops]))
        pad = tokenizer.pad_token_id
        self.pad = int(pad) if pad is not None else self.stops[0] if self.stops else 0
        self._checked([[self.pad, *self.stops[:1]]])  # others of a model's own can at worst never be sampled

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each prompt."""
        if self._chat:
            return self._checked(
                [
                    list(
                        self._tokenizer.apply_chat_template(
                            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
                        )
                    )
                    for text in texts
                ]
            )
        return self._checked([list(ids) for ids in self._tokenizer(list(texts))["input_ids"]]) if texts else []

    def responses(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each response, ended by a stop token."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return self._checked([[*ids, *self.stops[:1]] for ids in found])

    def decode(self, responses: Sequence[Sequence[int]]) -> list[str]:
        """Texts of responses, each up to its stop token."""
        stops = set(self.stops)
        kept = [ids[:-1] if ids and ids[-1] in stops else ids for ids in responses]
        return list(self._tokenizer.batch_decode(kept, skip_special_tokens=True)) if kept else []

    def _checked(self, texts: list[list[int]]) -> list[list[int]]:
        highest = max((max(ids, default=0) for ids in texts), default=0)
        if self._known is not None and highest >= self._known:
            shown = self._tokenizer.convert_ids_to_tokens(highest)
            raise TaskError(
                f"the tokenizer does not belong to the model: its token {highest:,}, {shown!r}, is beyond the "
                f"{self._known:,} that the model knows",
                remedy="save the model's own tokenizer beside it, or resize_token_embeddings of the model",
            )
        return texts
