"""Chat messages to tokens, by the model's own Jinja template.

The template is text that came with the model and may write control tokens; the messages may
not. Where a message contains the text of a control token (`<|im_end|>`), that stretch is
replaced by a private mark before the template is rendered, and afterwards tokenized by
itself as ordinary text. So a template may trim, test and join contents as it likes, a
message without such text is tokenized in one go with its surroundings, exactly as the model
was trained, and no message can end its turn or begin another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from constrain.errors import ArgumentError, DecodeError, shorten

Message = Mapping[str, Any]

# Marks are made of characters of a private use plane, which no template or text uses; a
# message that does use them is refused.
_OPEN, _CLOSE = "\U0010fff0", "\U0010fff1"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class ChatTemplate:
    """A model's chat template, ready to use.

    Args:
        source: the Jinja template.
        variables: what it may name besides the messages (`bos_token`, `eos_token`).
        control_texts: texts of the model's control tokens.

    Raises:
        DecodeError: the template is no Jinja, or jinja2 is not installed.
    """

    def __init__(
        self, source: str, variables: Mapping[str, str], control_texts: Iterable[str]
    ) -> None:
        self._render = _compile(source)
        self._variables = dict(variables)
        self._control_texts = sorted({t for t in control_texts if t}, key=len, reverse=True)

    def tokens(
        self, messages: Sequence[Message], tokenize: Callable[[bytes, bool], list[int]]
    ) -> list[int]:
        """The prompt that asks the model for the next message.

        Args:
            messages: each with a "role" and a "content" text, oldest first; other keys are
                passed to the template.
            tokenize: text (UTF-8) to tokens; the flag says whether the text of a control
                token becomes that token.

        Raises:
            ArgumentError: a message is malformed, or there is none.
            DecodeError: the template refuses the conversation.
        """
        marks: list[str] = []
        checked = [self._marked(_checked(m, i), marks) for i, m in enumerate(messages)]
        if not checked:
            raise ArgumentError(
                'no messages: pass at least one, such as {"role": "user", "content": "…"}'
            )
        text = self._render(
            messages=checked,
            add_generation_prompt=True,
            tools=None,
            documents=None,
            **self._variables,
        )
        token_ids: list[int] = []
        for i, part in enumerate(_MARK.split(text)):
            if i % 2:
                token_ids += tokenize(marks[int(part)].encode(), False)
            elif part:
                token_ids += tokenize(part.encode(), True)
        return token_ids

    def _marked(self, value: Any, marks: list[str]) -> Any:
        """A copy of a message's value with a mark for each control token's text in it."""
        if isinstance(value, str):
            return self._marked_text(value, marks)
        if isinstance(value, Mapping):
            return {key: self._marked(item, marks) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self._marked(item, marks) for item in value]
        return value

    def _marked_text(self, text: str, marks: list[str]) -> str:
        if _OPEN in text or _CLOSE in text:
            raise ArgumentError(f"a message holds U+10FFF0 or U+10FFF1: {shorten(text)}")
        if not self._control_texts:
            return text

        def mark(found: re.Match[str]) -> str:
            marks.append(found[0])
            return f"{_OPEN}{len(marks) - 1}{_CLOSE}"

        whole = "|".join(map(re.escape, self._control_texts))
        text = re.sub(whole, mark, text)
        tail = self._unfinished(text)
        if tail:
            marks.append(text[-tail:])
            text = f"{text[:-tail]}{_OPEN}{len(marks) - 1}{_CLOSE}"
        return text

    def _unfinished(self, text: str) -> int:
        """Length of the longest end of `text` that begins a control token's text.

        It is marked too, so that two contents side by side cannot make up the whole of one.
        """
        longest = max(map(len, self._control_texts)) - 1
        for n in range(min(longest, len(text)), 0, -1):
            if any(t.startswith(text[-n:]) for t in self._control_texts):
                return n
        return 0


def _checked(message: object, index: int) -> Message:
    """The message, if it is one."""
    if not isinstance(message, Mapping):
        raise ArgumentError(
            f"message {index} is {shorten(message)}; expected a dict with 'role' and 'content'"
        )
    for key in ("role", "content"):
        if not isinstance(message.get(key), str):
            raise ArgumentError(
                f"message {index} has {key} {shorten(message.get(key))}; expected a text"
            )
    if not re.fullmatch(r"[A-Za-z0-9_-]+", message["role"]):
        raise ArgumentError(
            f"message {index} has role {shorten(message['role'])}; expected "
            "a word such as 'user'"
        )
    return message


def _compile(source: str) -> Callable[..., str]:
    """The template's render function, in a sandbox, with what transformers' templates use.

    Source: the environment that `apply_chat_template` of Hugging Face transformers documents
    (trimmed blocks, loop controls, `raise_exception`, `strftime_now`, `tojson` as plain JSON).
    """
    try:
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise DecodeError(
            "chat messages need jinja2 to render the model's template: pip install jinja2, "
            "or pass the prompt as one string"
        ) from error
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: (
        datetime.now().astimezone().strftime(form)
    )
    try:
        template = environment.from_string(source)
    except TemplateError as error:
        raise DecodeError(f"the model's chat template is no valid Jinja: {error}") from error

    def render(**variables: object) -> str:
        try:
            return template.render(**variables)
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise DecodeError(f"the model's chat template refuses: {error}") from error

    return render


def _to_json(value: object, indent: int | None = None) -> str:
    """JSON as templates expect it: not escaped for HTML, not for ASCII."""
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)
