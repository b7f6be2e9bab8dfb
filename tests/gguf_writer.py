"""GGUF files made by hand: a head, metadata, no tensors."""

from __future__ import annotations

import struct
from typing import Any


def gguf_string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def gguf_value(value: Any) -> bytes:
    """A value with its type number, little-endian (docs/gguf.md of ggml-org/ggml)."""
    if isinstance(value, bytes):
        return struct.pack("<i", 8) + gguf_string(value)
    if isinstance(value, int):
        return struct.pack("<iI", 4, value)
    if isinstance(value[0], bytes):
        return struct.pack("<iiQ", 9, 8, len(value)) + b"".join(map(gguf_string, value))
    kind, code = (6, "f") if isinstance(value[0], float) else (5, "i")
    return struct.pack(f"<iiQ{len(value)}{code}", 9, kind, len(value), *value)


def gguf_bytes(entries: dict[str, Any], *, version: int = 3) -> bytes:
    """A GGUF file without tensors."""
    head = b"GGUF" + struct.pack("<Iqq", version, 0, len(entries))
    items = ((gguf_string(key.encode()), gguf_value(value)) for key, value in entries.items())
    return head + b"".join(key + value for key, value in items)
