"""The formats `date`, `time`, `date-time` and `duration` as regular nodes over characters.

Source: RFC 3339 section 5.6 and appendix A; leap years as in its appendix C, leap seconds as in
section 5.7: second 60 only where UTC is 23:59.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from constrain.grammar.ir import Choice, Intersect, Literal, Node, Sequence
from constrain.schema.strings import matching

_LEAP_YEAR: Final = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE: Final = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR: Final = r"(?:[01]\d|2[0-3])"
_FRACTION: Final = r"(?:\.\d+)?"
_OFFSET: Final = rf"(?:[Zz]|[+\-]{_HOUR}:[0-5]\d)"
_CLOCK: Final = r"T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
_DURATION: Final = (
    rf"P(?:\d+W|{_CLOCK}|(?:\d+D|\d+M(?:\d+D)?|\d+Y(?:\d+M(?:\d+D)?)?)(?:{_CLOCK})?)"
)
_N_HOURS: Final = 24
_N_MINUTES: Final = 60


@cache
def date() -> Node:
    """RFC 3339 full-date."""
    return matching(_DATE)


@cache
def duration() -> Node:
    """RFC 3339 duration."""
    return matching(_DURATION)


@cache
def time() -> Node:
    """RFC 3339 full-time; second 60 only where UTC is 23:59.

    With an offset of +h:m, UTC 23:59 is local h:(m-1), or (h-1):59 when m is 0; with -h:m it
    is (23-h):(59-m). Hours and minutes of both ends are told apart by intersection.
    """
    late = matching(rf":60{_FRACTION}")
    two = matching(r"\d\d")

    def hours(sign: str, local: int, middle: Node, after: Node) -> Node:
        """Local hour (shift - h or h - shift, as the sign says) before offset hour h."""
        return Choice(
            tuple(
                Sequence(
                    (
                        Literal(f"{(h + local if sign == '+' else local - h) % _N_HOURS:02}:"),
                        middle,
                        Literal(f"{sign}{h:02}:"),
                        after,
                    )
                )
                for h in range(_N_HOURS)
            )
        )

    def minutes(sign: str, first: int) -> Node:
        before, between = matching(r"\d\d:"), Sequence((late, Literal(sign), two))
        return Choice(
            tuple(
                Sequence(
                    (
                        before,
                        Literal(f"{m - 1 if sign == '+' else _N_MINUTES - 1 - m:02}"),
                        between,
                        Literal(f":{m:02}"),
                    )
                )
                for m in range(first, _N_MINUTES)
            )
        )

    any_late = Sequence((two, late))
    return Choice(
        (
            matching(rf"{_HOUR}:[0-5]\d:[0-5]\d{_FRACTION}{_OFFSET}"),
            matching(rf"23:59:60{_FRACTION}[Zz]"),
            hours("+", -1, Sequence((Literal("59"), late)), Literal("00")),
            Intersect((hours("+", 0, any_late, two), minutes("+", 1))),
            Intersect((hours("-", _N_HOURS - 1, any_late, two), minutes("-", 0))),
        )
    )


@cache
def date_time() -> Node:
    """RFC 3339 date-time, with the letter T."""
    return Sequence((date(), matching("[Tt]"), time()))
