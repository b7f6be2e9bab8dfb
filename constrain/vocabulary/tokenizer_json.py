"""Reads the token table out of a Hugging Face `tokenizer.json`.

The file's *decoder* says how spellings become text. Its steps are applied here to each token
alone, and give bytes, not text: a decoder that looks at neighbours (WordPiece, CTC) has no
bytes per token and is refused. What a decoder does to the first token of a text only (dropping
SentencePiece's leading space) is left out: what a model writes follows its prompt, and there
`▁a` is `b" a"`.

Neither `tokenizers` nor `transformers` is imported: their objects can write the same JSON.

Source: the decoders of huggingface/tokenizers 0.23 (`tokenizers/src/decoders`), as documented.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from constrain.errors import VocabularyError, shorten
from constrain.vocabulary.token_bytes import (
    CONTROL_NAMES,
    TokenTable,
    byte_level_bytes,
    byte_token_bytes,
    named_end_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Step = Callable[[str | bytes], str | bytes]

_MAX_ID: Final = 2**24
"""Larger ids are damage, not a vocabulary: every hole below the largest id takes memory."""


def read_tokenizer(source: object) -> TokenTable:
    """Read tokens, end ids and control ids from a tokenizer.

    Args:
        source: a `transformers` fast tokenizer, a `tokenizers.Tokenizer`, a path to a
            tokenizer.json or to the folder that holds it, or the JSON text.

    Raises:
        VocabularyError: the source is none of these, is damaged, or its decoder does not give
            each token bytes of its own.
    """
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return _token_table(_parse(source, "tokenizer.json"), set())
    if isinstance(source, str | os.PathLike):
        return _read_folder(Path(os.fsdecode(source)))
    backend = getattr(source, "backend_tokenizer", source)
    to_str = getattr(backend, "to_str", None)
    if not callable(to_str):
        raise VocabularyError(
            f"{shorten(source)} is no fast tokenizer; expected a tokenizers.Tokenizer, a "
            "transformers tokenizer built on one, or a tokenizer.json (path or text)"
        )
    configured = getattr(source, "eos_token_id", None)
    return _token_table(_parse(str(to_str()), "tokenizer.json"), _as_ids(configured))


def _read_folder(path: Path) -> TokenTable:
    """The tokenizer.json at the path, with the end tokens that the files beside it name."""
    if path.is_dir():
        path /= "tokenizer.json"
    tokenizer = _load(path)
    configured: set[int | str] = set()
    generation = path.with_name("generation_config.json")
    if generation.is_file():
        configured |= _as_ids(_load(generation).get("eos_token_id"))
    config = path.with_name("tokenizer_config.json")
    if config.is_file():
        eos = _load(config).get("eos_token")
        name = eos.get("content") if isinstance(eos, dict) else eos
        configured |= {name} if isinstance(name, str) else set()
    try:
        return _token_table(tokenizer, configured)
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise VocabularyError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path}: not JSON: not UTF-8 at byte {error.start}") from error
    return _parse(text, str(path))


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise VocabularyError(f"{name}: not JSON: {error}") from error
    except RecursionError as error:
        raise VocabularyError(f"{name}: JSON nested too deeply") from error
    if not isinstance(parsed, dict):
        raise VocabularyError(f"{name}: a JSON object was expected, not {shorten(parsed)}")
    return parsed


def _as_ids(value: object) -> set[int | str]:
    """The ids in an `eos_token_id`, which is a number, a list of numbers or null."""
    listed = value if isinstance(value, list | tuple) else [value]
    return {item for item in listed if isinstance(item, int)}


def _token_table(tokenizer: Mapping[str, Any], configured: set[int | str]) -> TokenTable:
    """Bytes of every id; `configured` are end tokens that other sources name, by id or name."""
    model = tokenizer.get("model")
    if not isinstance(model, dict) or "vocab" not in model:
        raise VocabularyError("no Hugging Face tokenizer: the key 'model.vocab' is missing")
    spellings = _model_spellings(model)
    added = _added_tokens(tokenizer)
    steps = _decoder_steps(tokenizer.get("decoder"))
    byte_level = _byte_level_or_spelling in steps
    n_tokens = 1 + max([*spellings, *added], default=-1)
    tokens = [b""] * n_tokens
    control_ids = set(range(n_tokens)) - spellings.keys() - added.keys()
    control_ids |= _unknown_ids(model, spellings)
    for token_id, spelling in spellings.items():
        tokens[token_id] = _decode(spelling, steps)
    for token_id, (content, special) in added.items():
        # An added token is cut out of the text before byte-level spelling: its content is text.
        literal = special or byte_level
        tokens[token_id] = content.encode() if literal else _decode(content, steps)
        control_ids.discard(token_id)
        if special or content in CONTROL_NAMES:
            control_ids.add(token_id)
    added_names = {content: token_id for token_id, (content, _special) in added.items()}
    all_names = {spelling: token_id for token_id, spelling in spellings.items()} | added_names
    end_ids = named_end_ids(added_names)
    for end in configured:
        if isinstance(end, str) and end not in all_names:
            raise VocabularyError(f"the configured end token {shorten(end)} is not in 'vocab'")
        end_ids.add(all_names[end] if isinstance(end, str) else end)
    return TokenTable(tokens, end_ids, control_ids)


def _model_spellings(model: Mapping[str, Any]) -> dict[int, str]:
    """Spelling by id, from BPE's {spelling: id} or Unigram's [[spelling, score], …]."""
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise VocabularyError(
                f"'model.{key}' is {shorten(model[key])}: the bytes of such tokens depend on "
                "their neighbours"
            )
    vocab = model["vocab"]
    if isinstance(vocab, list):
        entries = [(entry[0] if isinstance(entry, list) and entry else None) for entry in vocab]
        pairs = list(zip(entries, range(len(entries)), strict=True))
    elif isinstance(vocab, dict):
        pairs = list(vocab.items())
    else:
        raise VocabularyError(f"'model.vocab' is {shorten(vocab)}, not an object or an array")
    spellings: dict[int, str] = {}
    for spelling, token_id in pairs:
        if not isinstance(spelling, str):
            raise VocabularyError(f"'model.vocab' has no spelling for id {token_id}")
        _check_id(token_id, spelling)
        if token_id in spellings:
            raise VocabularyError(
                f"'model.vocab' gives id {token_id} to {shorten(spellings[token_id])} "
                f"and to {shorten(spelling)}"
            )
        spellings[token_id] = spelling
    return spellings


def _check_id(token_id: object, spelling: str) -> None:
    if type(token_id) is not int or not 0 <= token_id < _MAX_ID:
        raise VocabularyError(
            f"token {shorten(spelling)} has the id {shorten(token_id)}, "
            f"expected a whole number below {_MAX_ID}"
        )


def _added_tokens(tokenizer: Mapping[str, Any]) -> dict[int, tuple[str, bool]]:
    """Content, and whether it is special, by id."""
    added: dict[int, tuple[str, bool]] = {}
    for entry in tokenizer.get("added_tokens") or []:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str):
            raise VocabularyError(f"'added_tokens' has {shorten(entry)}, which has no content")
        _check_id(entry.get("id"), content)
        added[entry["id"]] = (content, bool(entry.get("special")))
    return added


def _unknown_ids(model: Mapping[str, Any], spellings: Mapping[int, str]) -> set[int]:
    """The token that stands for unknown text; it is no text itself."""
    unknown = model.get("unk_token")
    by_name = {token_id for token_id, spelling in spellings.items() if spelling == unknown}
    unk_id = model.get("unk_id")
    return by_name | ({unk_id} & spellings.keys() if isinstance(unk_id, int) else set())


def _decode(spelling: str, steps: list[Step]) -> bytes:
    data: str | bytes = spelling
    for step in steps:
        data = step(data)
    try:
        return data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise VocabularyError(f"token {shorten(spelling)} holds a lone surrogate") from error


def _decoder_steps(decoder: object) -> list[Step]:
    """What the decoder does to one token, in order."""
    if not isinstance(decoder, dict):
        raise VocabularyError(
            "it has no decoder, so the bytes of its tokens are not defined; "
            "give them to Vocabulary(tokens, end_ids) yourself"
        )
    parts = decoder.get("decoders") if decoder.get("type") == "Sequence" else [decoder]
    steps: list[Step] = []
    whole_text = False
    for part in parts if isinstance(parts, list) else [decoder]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "Fuse":
            whole_text = True
        elif kind == "Strip" and whole_text and not part.get("stop"):
            continue  # the leading space of a whole text; see the module's head
        elif whole_text:
            raise _unsupported_decoder(part)
        else:
            steps.append(_decoder_step(part))
            whole_text = kind == "ByteLevel"
    return steps


def _decoder_step(part: object) -> Step:
    if isinstance(part, dict):
        kind = part.get("type")
        if kind == "ByteLevel":
            return _byte_level_or_spelling
        if kind == "ByteFallback":
            return _byte_fallback
        if kind == "Metaspace" and isinstance(part.get("replacement"), str):
            return _replace_step(part["replacement"], " ")
        pattern = part.get("pattern")
        if kind == "Replace" and isinstance(pattern, dict) and "String" in pattern:
            return _replace_step(str(pattern["String"]), str(part.get("content", "")))
    raise _unsupported_decoder(part)


def _unsupported_decoder(part: object) -> VocabularyError:
    return VocabularyError(
        f"the decoder step {shorten(part)} does not give each token bytes of its own; "
        "supported are ByteLevel, Metaspace, and Replace (of a string) and ByteFallback "
        "before Fuse and Strip"
    )


def _replace_step(old: str, new: str) -> Step:
    return lambda data: data.replace(old, new) if isinstance(data, str) else data


def _byte_fallback(data: str | bytes) -> str | bytes:
    byte = byte_token_bytes(data) if isinstance(data, str) else None
    return data if byte is None else byte


def _byte_level_or_spelling(data: str | bytes) -> str | bytes:
    """Byte-level decoding; a spelling that is not byte-level stands for itself, as there."""
    decoded = byte_level_bytes(data) if isinstance(data, str) else data
    return data if decoded is None else decoded
