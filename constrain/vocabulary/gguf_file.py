"""Reads the token table out of a GGUF file's metadata.

The weights are never touched: a 100-GB model costs as much as its vocabulary. This is a reader
of our own because the `gguf` package needs 2.7 s for SmolLM2's metadata (one numpy view per
array element; this reader: 0.2 s on the same 2-core server), brings numpy, pyyaml, requests and
tqdm, and answers a damaged file with whatever numpy raises; and because llama.cpp, asked for
the vocabulary alone, ends the whole process on some files (two tokens spelled alike, for one).

Source: docs/gguf.md of ggml-org/ggml (format); src/llama-vocab.cpp of ggml-org/llama.cpp, as in
llama-cpp-python 0.3.36 (what token types and names mean).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from constrain.errors import VocabularyError, shorten
from constrain.vocabulary.token_bytes import (
    CONTROL_NAMES,
    SPACE_MARK,
    TokenTable,
    byte_level_bytes,
    byte_token_bytes,
    named_end_ids,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

MetadataValue: TypeAlias = (
    "int | float | bool | bytes | list[bytes] | tuple[int | float | bool, ...]"
)

_HEAD_BYTES: Final = 8  # magic and version
_VERSIONS: Final = (2, 3)
_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip

_TYPE_NORMAL: Final = 1
_TYPE_UNKNOWN: Final = 2
_TYPE_CONTROL: Final = 3
_TYPE_USER_DEFINED: Final = 4
_TYPE_BYTE: Final = 6

_PREFIX: Final = "tokenizer.ggml."
_SPACE_MARK_PRE: Final = frozenset({b"gemma4", b"granite-embed-multi-311m", b"sarvam-moe"})
"""Values of `tokenizer.ggml.pre` whose BPE spells spaces as SentencePiece does."""


class _Cursor:
    """A position in the file's bytes; every read checks that the bytes are there."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._position = 0

    def skip(self, n_bytes: int) -> int:
        """Move on; returns where the skipped bytes begin."""
        start = self._position
        if n_bytes > len(self._data) - start:
            raise VocabularyError(
                f"truncated: {n_bytes} bytes expected at offset {start}, "
                f"the file has {len(self._data)} bytes"
            )
        self._position = start + n_bytes
        return start

    def scalars(self, code: str, count: int) -> tuple[int | float | bool, ...]:
        size = struct.calcsize("<" + code)
        start = self.skip(size * count)
        return struct.unpack_from(f"<{count}{code}", self._data, start)

    def integer(self, code: str) -> int:
        return int(self.scalars(code, 1)[0])

    def string(self) -> bytes:
        n_bytes = self.integer("Q")
        start = self.skip(n_bytes)
        return self._data[start : start + n_bytes]


def read_gguf(path: str | os.PathLike[str]) -> TokenTable:
    """Read tokens, end ids and control ids from a GGUF file.

    Raises:
        VocabularyError: the file cannot be opened, is not a little-endian GGUF file of version
            2 or 3, is truncated, holds no vocabulary, or one whose bytes are not known exactly.

    Cost: linear in the metadata; the tensors are not read.
    """
    try:
        metadata = _entries(Path(path), _is_tokenizer_key)
        return _token_table({key.removeprefix(_PREFIX): metadata[key] for key in metadata})
    except OSError as error:
        raise VocabularyError(f"cannot read {path}: {error.strerror}") from error
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error


def read_metadata(
    path: str | os.PathLike[str], wanted: Callable[[str], bool]
) -> dict[str, MetadataValue]:
    """The metadata entries of a GGUF file whose keys are `wanted`; strings as bytes.

    Raises:
        VocabularyError: as `read_gguf`, for the file's form.
    """
    try:
        return _entries(Path(path), wanted)
    except OSError as error:
        raise VocabularyError(f"cannot read {path}: {error.strerror}") from error
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error


def _is_tokenizer_key(key: str) -> bool:
    return key.startswith(_PREFIX) and key != _PREFIX + "merges"


def _entries(path: Path, wanted: Callable[[str], bool]) -> dict[str, MetadataValue]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head[:4] != b"GGUF":
            raise VocabularyError(f"not a GGUF file: it begins with {shorten(head[:4])}")
        if len(head) < _HEAD_BYTES:
            raise VocabularyError(f"truncated: the file has {len(head)} bytes")
        (version,) = struct.unpack("<I", head[4:])
        if version not in _VERSIONS:
            big_endian = version & 0xFFFF == 0
            kind = "big-endian GGUF" if big_endian else f"GGUF version {version}"
            raise VocabularyError(f"{kind} is not supported; convert it to version 3")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_entries(_Cursor(data), wanted)


def _read_entries(cursor: _Cursor, wanted: Callable[[str], bool]) -> dict[str, MetadataValue]:
    cursor.skip(_HEAD_BYTES)
    cursor.integer("q")  # the number of tensors
    n_entries = cursor.integer("q")
    metadata: dict[str, MetadataValue] = {}
    for _ in range(n_entries):
        key = cursor.string().decode("utf-8", "replace")
        value = _read_value(cursor, key, wanted=wanted(key))
        if value is not None:
            metadata[key] = value
    return metadata


def _read_value(cursor: _Cursor, key: str, *, wanted: bool) -> MetadataValue | None:
    kind = cursor.integer("i")
    if kind == _STRING:
        text = cursor.string()
        return text if wanted else None
    if kind in _SCALARS:
        scalar = cursor.scalars(_SCALARS[kind], 1)[0]
        return scalar if wanted else None
    if kind != _ARRAY:
        raise VocabularyError(f"damaged: {shorten(key)} has the unknown value type {kind}")
    item_kind = cursor.integer("i")
    count = cursor.integer("Q")
    if item_kind == _STRING:
        return _read_strings(cursor, count, wanted=wanted)
    if item_kind not in _SCALARS:
        raise VocabularyError(f"damaged: {shorten(key)} is an array of value type {item_kind}")
    code = _SCALARS[item_kind]
    if wanted:
        return cursor.scalars(code, count)
    cursor.skip(struct.calcsize("<" + code) * count)
    return None


def _read_strings(cursor: _Cursor, count: int, *, wanted: bool) -> list[bytes] | None:
    if wanted:
        return [cursor.string() for _ in range(count)]
    for _ in range(count):
        cursor.skip(cursor.integer("Q"))
    return None


def _token_table(metadata: Mapping[str, MetadataValue]) -> TokenTable:
    spellings = metadata.get("tokens")
    if "model" not in metadata or not isinstance(spellings, list):
        raise VocabularyError(
            "no vocabulary in it (tokenizer.ggml.model and tokenizer.ggml.tokens); "
            "of a model in several files, give the first"
        )
    types = metadata.get("token_type", (_TYPE_NORMAL,) * len(spellings))
    if not isinstance(types, tuple) or len(types) < len(spellings):
        raise VocabularyError("tokenizer.ggml.token_type does not have a type for every token")
    spell = _spelling_rule(metadata)
    tokens: list[bytes] = []
    control_ids: set[int] = set()
    n_unmapped = 0
    for token_id, (spelling, kind) in enumerate(zip(spellings, types, strict=False)):
        data = _piece(spelling, kind, spell)
        if data is None:
            n_unmapped += 1
        if kind not in {_TYPE_NORMAL, _TYPE_USER_DEFINED, _TYPE_BYTE}:
            control_ids.add(token_id)
        tokens.append(data or b"")
    if n_unmapped * 10 > len(spellings):
        raise VocabularyError(
            f"{n_unmapped} of {len(spellings)} tokens are not spelled in byte-level BPE; "
            "load the model and use Vocabulary.from_llama"
        )
    ids_by_name = {name.decode("utf-8", "replace"): i for i, name in enumerate(spellings)}
    end_ids = {i for i in _end_ids(metadata, ids_by_name) if 0 <= i < len(tokens)}
    control_ids |= {ids_by_name[name] for name in CONTROL_NAMES & ids_by_name.keys()}
    return TokenTable(tokens, end_ids, control_ids)


def _spelling_rule(metadata: Mapping[str, MetadataValue]) -> Callable[[bytes], bytes | None]:
    """How this tokenizer's normal tokens are spelled."""
    model = metadata["model"]
    if model in {b"llama", b"gemma4"}:
        return _space_mark_bytes
    if model == b"gpt2":
        return _space_mark_bytes if metadata.get("pre") in _SPACE_MARK_PRE else _stand_in_bytes
    name = model.decode("utf-8", "replace") if isinstance(model, bytes) else model
    raise VocabularyError(
        f"tokenizer.ggml.model is {shorten(name)}: only 'gpt2', 'llama' and 'gemma4' are read "
        "from the file; load the model and use Vocabulary.from_llama"
    )


def _space_mark_bytes(spelling: bytes) -> bytes | None:
    return spelling.replace(SPACE_MARK.encode(), b" ")


def _stand_in_bytes(spelling: bytes) -> bytes | None:
    try:
        return byte_level_bytes(spelling.decode())
    except UnicodeDecodeError:
        return None


def _piece(
    spelling: bytes, kind: float, spell: Callable[[bytes], bytes | None]
) -> bytes | None:
    """The bytes llama.cpp writes for a token; None when it has none that are meant as text."""
    if kind == _TYPE_NORMAL:
        return spell(spelling)
    if kind == _TYPE_BYTE:
        data = byte_token_bytes(spelling.decode("utf-8", "replace"))
        if data is None:
            raise VocabularyError(f"byte token {shorten(spelling)} is not of the form <0x0A>")
        return data
    if kind in {_TYPE_UNKNOWN, _TYPE_CONTROL, _TYPE_USER_DEFINED}:
        return spelling
    return b""


def _end_ids(metadata: Mapping[str, MetadataValue], ids_by_name: Mapping[str, int]) -> set[int]:
    """The ends that the file names by key, and those known by name.

    One difference from llama.cpp is meant: where a file names no end token, llama.cpp takes id
    11 (byte-level) or 2 (SentencePiece), which may well be an ordinary piece of text.
    """
    ends = named_end_ids(ids_by_name)
    for key in ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"):
        token_id = metadata.get(f"{key}_token_id")
        if isinstance(token_id, int):
            ends.add(token_id)
    return ends
