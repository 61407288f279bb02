"""Prompts with responses as tensors of tokens: prompts end, and responses begin, in the same column."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Responses:
    """Rows of tokens [row, prompt column + response column] int64: prompts padded on the left, responses on the right.

    Args:
        tokens: padding may be any token; the two counts alone say what is padding.
        prompt_columns: before the first token of a response.
        prompt_lengths: [row] tokens of each prompt, at least 1.
        lengths: [row] tokens of each response, its stop token included.
        padded: whether any prompt is shorter than the longest.
    """

    tokens: Tensor
    prompt_columns: int
    prompt_lengths: Tensor
    lengths: Tensor
    padded: bool

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad: int) -> "Responses":
        """Rows from lists of token ids."""
        P, T = max(map(len, prompts)), max(map(len, responses), default=0)
        rows = [
            [pad] * (P - len(prompt)) + [*prompt, *response] + [pad] * (T - len(response))
            for prompt, response in zip(prompts, responses, strict=True)
        ]
        return cls(
            torch.tensor(rows, dtype=torch.int64),
            P,
            torch.tensor([len(prompt) for prompt in prompts]),
            torch.tensor([len(response) for response in responses]),
            any(len(prompt) < P for prompt in prompts),
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def columns(self) -> int:
        """Of responses: the longest has as many tokens, unless rows were left out."""
        return self.tokens.shape[1] - self.prompt_columns

    @property
    def mask(self) -> Tensor:
        """[row, response column] bool, true where a token was taken."""
        return torch.arange(self.columns, device=self.tokens.device) < self.lengths[:, None]

    @property
    def total_lengths(self) -> Tensor:
        """[row] tokens of prompt and response."""
        return self.prompt_lengths + self.lengths

    def select(self, rows: Tensor) -> "Responses":
        """Some rows, without the columns that none of them needs."""
        prompt_lengths, lengths = self.prompt_lengths[rows], self.lengths[rows]
        P, T = int(prompt_lengths.max()), int(lengths.max())
        first = self.prompt_columns - P
        tokens = self.tokens[rows, first : self.prompt_columns + T]
        return Responses(tokens, P, prompt_lengths, lengths, bool((prompt_lengths < P).any()))

    def to(self, device: str) -> "Responses":
        """The same rows on a device."""
        if self.tokens.device.type == device:
            return self
        return Responses(
            self.tokens.to(device),
            self.prompt_columns,
            self.prompt_lengths.to(device),
            self.lengths.to(device),
            self.padded,
        )

    def texts(self) -> list[list[int]]:
        """Token ids of each response, its stop token included."""
        rows = self.tokens[:, self.prompt_columns :].tolist()
        return [row[:length] for row, length in zip(rows, self.lengths.tolist(), strict=True)]

    def padding(self) -> dict[str, Tensor]:
        """What a model needs as input so that padding on the left is not seen; nothing where there is none.

        Padding on the right needs no telling: attention is causal.
        """
        if not self.padded:
            return {}
        first = (self.prompt_columns - self.prompt_lengths)[:, None]
        columns = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return {"attention_mask": (columns >= first).long(), "position_ids": (columns - first).clamp(min=0)}
