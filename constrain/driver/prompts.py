"""Prompts as the model's tokens: texts as they are, chat messages through its own template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from constrain.arguments import require
from constrain.driver.chat import ChatTemplate, Message
from constrain.errors import ArgumentError, DecodeError, shorten

if TYPE_CHECKING:
    from constrain.driver.llama import LlamaWeights
    from constrain.vocabulary import Vocabulary

Prompt = str | Sequence[Message]


def check_prompt(name: str, prompt: object) -> None:
    """Whether it is a text or a sequence (of chat messages, which are looked at later).

    Raises:
        ArgumentError: it is neither.
    """
    is_prompt = isinstance(prompt, Sequence) and not isinstance(prompt, bytes | bytearray)
    require(is_prompt, name, prompt, "a text or a list of chat messages")


class PromptReader:
    """Turns prompts into tokens for one model.

    Args:
        weights: its tokenizer and metadata.
        vocabulary: which of its tokens are control and end tokens.
    """

    def __init__(self, weights: LlamaWeights, vocabulary: Vocabulary) -> None:
        self._weights = weights
        self._vocabulary = vocabulary

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """The model's tokens for a text, nothing added before it.

        Raises:
            ArgumentError: it is no text, or holds a lone surrogate.
        """
        require(isinstance(text, str), "text", text, "a text")
        return self._weights.tokenize(_utf8(text), control=control)

    def tokens(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt, a beginning token included.

        Raises:
            ArgumentError: it is no prompt, or a message is malformed.
            DecodeError: the prompt is empty and the model has no beginning token, or the
                model's template refuses the messages.
        """
        check_prompt("prompt", prompt)
        if isinstance(prompt, str):
            token_ids = self.tokenize(prompt, control=True)
        else:
            token_ids = self._template.tokens(prompt, self._tokenize_part)
        bos = self._weights.bos_id
        wants_bos = self._weights.adds_bos or not token_ids
        if bos is not None and wants_bos and token_ids[:1] != [bos]:
            token_ids.insert(0, bos)
        if not token_ids:
            raise DecodeError("the prompt is empty, and the model has no beginning token")
        return token_ids

    @cached_property
    def _template(self) -> ChatTemplate:
        source = self._weights.chat_template
        if source is None:
            raise DecodeError(
                "the model file has no chat template: pass the prompt as one string, written "
                "the way the model was trained"
            )
        text = self._weights.token_text
        bos, eos = self._weights.bos_id, self._weights.eos_id
        control = set(self._vocabulary.control_ids) | set(self._vocabulary.end_ids)
        return ChatTemplate(
            source,
            {
                "bos_token": "" if bos is None else text(bos),
                "eos_token": "" if eos is None else text(eos),
            },
            map(text, sorted(control)),
        )

    def _tokenize_part(self, data: bytes, control: bool) -> list[int]:
        return self._weights.tokenize(data, control=control)


def _utf8(text: str) -> bytes:
    """The text as the tokenizer reads it."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"the text holds a lone surrogate at index {error.start}: {shorten(text)}",
            name="text",
            value=text,
        ) from error
