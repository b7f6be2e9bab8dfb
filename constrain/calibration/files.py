"""Calibrations as JSON files: versioned, and checked when they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from constrain.calibration.arrays import checked_labels
from constrain.calibration.fits import Calibration, Isotonic, Platt, Temperature
from constrain.errors import CalibrationError, shorten

_FORMAT = "constrain calibration"
_VERSION = 1
_CLASSES = {kind.method: kind for kind in (Temperature, Platt, Isotonic)}


def save(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write a calibration to a file.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(to_json(calibration), encoding="utf-8")


def load(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration from a file.

    Raises:
        CalibrationError: it holds no calibration, or one of a later version.
        OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        return from_json(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: byte {error.start} is not UTF-8") from error
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def to_json(calibration: Calibration) -> str:
    """The calibration as JSON text; numbers keep all their digits."""
    values = {f.name: getattr(calibration, f.name) for f in fields(calibration)}
    values["made_with"] = dict(calibration.made_with)
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "method": calibration.method,
        **values,
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def from_json(text: str) -> Calibration:
    """The calibration that `to_json` wrote.

    Raises:
        CalibrationError: the text is something else; says what was expected.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise CalibrationError(f'no calibration: expected "format": "{_FORMAT}"')
    version, method = document.get("version"), document.get("method")
    if version != _VERSION or isinstance(version, bool):
        raise CalibrationError(
            f"version is {shorten(version)}; this version of constrain reads {_VERSION}"
        )
    if not isinstance(method, str) or method not in _CLASSES:
        raise CalibrationError(f"method is {shorten(method)}; expected one of {[*_CLASSES]}")
    return _CLASSES[method](**_parameters(_CLASSES[method], document))


def _parameters(kind: type[Calibration], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the class, each of its own JSON type."""
    rest = {k: v for k, v in document.items() if k not in ("format", "version", "method")}
    names = [f.name for f in fields(kind)]
    if set(rest) != set(names):
        wrong = sorted(set(rest) ^ set(names))
        raise CalibrationError(f"{wrong[0]!r} is missing or unknown; expected {names}")
    return {name: _PARSERS[name](name, rest[name]) for name in names}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalibrationError(f"{name} is {shorten(value)}; expected a number")
    try:
        return float(value)
    except OverflowError as error:
        raise CalibrationError(f"{name} is {shorten(value)}; expected a number") from error


def _array(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise CalibrationError(f"{name} is {shorten(value)}; expected an array")
    return value


def _numbers(name: str, value: object) -> tuple[float, ...]:
    return tuple(_number(name, item) for item in _array(name, value))


def _curves(name: str, value: object) -> tuple[tuple[float, ...], ...]:
    return tuple(_numbers(name, item) for item in _array(name, value))


def _labels(name: str, value: object) -> tuple[str, ...]:
    return checked_labels(_array(name, value))


def _texts(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise CalibrationError(f"{name} is {shorten(value)}; expected an object of texts")
    return value


_PARSERS = {
    "labels": _labels,
    "made_with": _texts,
    "temperature": _number,
    "slopes": _numbers,
    "intercepts": _numbers,
    "knots": _curves,
    "values": _curves,
}
