"""Caps that keep texts from running away: most items of an array, most digits of a number.

A cap narrows the declared text form and never takes the last value away: where a schema asks
for more, the cap gives way as far as it must. Not here: the limits that a schema itself sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from constrain.arguments import as_int
from constrain.errors import ArgumentError, shorten
from constrain.grammar.ir import Chars, Choice, Intersect, Literal, Node, Repeat, Sequence
from constrain.schema.arrays import ArrayCase
from constrain.schema.bounds import least
from constrain.schema.decimals import DIGIT, MAX_DIGITS, NONZERO, Number
from constrain.schema.numbers import (
    ANY_INTEGER,
    ANY_NUMBER,
    NumberCase,
    conjoin_numbers,
    number_text,
)

_SIGN = Repeat(Literal("-"), 0, 1)


@dataclass(frozen=True, slots=True)
class Caps:
    """What a text may have at most, unless its schema needs more.

    Attributes:
        max_items: items of an array; None: no cap.
        max_digits: digits of a number before the point, after it, and in an exponent.
    """

    max_items: int | None = None
    max_digits: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges; the numbers become Python ints.

        Raises:
            ArgumentError: `max_items` is no integer >= 0, or `max_digits` none from 1 to 1 000.
        """
        given = self.max_items, self.max_digits
        items, digits = (None if value is None else as_int(value) for value in given)
        if given[0] is not None and (items is None or items < 0):
            reason = f"max_items must be an integer >= 0, not {shorten(given[0])}"
            raise ArgumentError(reason, name="max_items", value=given[0])
        if given[1] is not None and (digits is None or not 1 <= digits <= MAX_DIGITS):
            reason = f"max_digits must be from 1 to {MAX_DIGITS}, not {shorten(given[1])}"
            raise ArgumentError(reason, name="max_digits", value=given[1])
        object.__setattr__(self, "max_items", items)
        object.__setattr__(self, "max_digits", digits)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said of the caps on a grammar."""
        notes = []
        if self.max_items is not None:
            notes.append(f"arrays have at most {self.max_items} items, unless more are needed")
        if self.max_digits is not None:
            notes.append(
                f"numbers have at most {self.max_digits} digits on either side of the point, "
                "unless more are needed"
            )
        return tuple(notes)

    def longest(self, case: ArrayCase) -> int | None:
        """The most items of an array of the case.

        Where items are counted, all that may have to be there are the first ones, which have
        needs of their own, and enough of each kind behind them; and one more than is enough
        to be let off.
        """
        if self.max_items is None:
            return case.longest
        needed = case.shortest
        if case.tallies:
            first = max(len(case.prefix), *(len(tally.prefix) for tally in case.tallies))
            counted = first + sum(tally.least for tally in case.tallies)
            let_off = (tally.over + 1 for tally in case.tallies if tally.over is not None)
            needed = max(needed, counted, *let_off)
        return least(case.longest, max(self.max_items, needed))

    def text(self, case: NumberCase) -> Node | None:
        """The JSON texts of the numbers of a case; None as `number_text` says."""
        if self.max_digits is None:
            return number_text(case)
        return _capped_text(case, self.max_digits)


NO_CAPS = Caps()


@lru_cache(maxsize=1024)
def _capped_text(case: NumberCase, most: int) -> Node | None:
    if case.values is not None:
        return number_text(case)
    if case == ANY_INTEGER:
        return Sequence((_SIGN, _whole(most)))
    if case == ANY_NUMBER:
        return Sequence((_SIGN, _whole(most), _fraction(most), _exponent(most)))
    most = n_digits(case, most)
    # Bounds, where there is a divisor: a bounded range of multiples has a text of its own.
    text = number_text(conjoin_numbers(case, _below(most)) if case.multiple else case)
    shape = Sequence((_SIGN, Repeat(DIGIT, 1, most), _fraction(most)))
    return None if text is None else Intersect((text, shape))


def n_digits(case: NumberCase, most: int) -> int:
    """The fewest digits on either side of the point, `most` or more, that some number has.

    Where numbers are excluded, as many as surely suffice.

    >>> n_digits(NumberCase(low=1000), 2), n_digits(NumberCase(multiple=(1, 8), high=0), 2)
    (4, 2)
    """
    enough = max(most, _sufficient(case))
    if case.excluded:
        return enough
    for count in range(most, enough):
        cut = NumberCase(multiple=(1, 10**count))
        if not conjoin_numbers(conjoin_numbers(case, _below(count)), cut).is_empty:
            return count
    return enough


def _below(count: int) -> NumberCase:
    """Numbers of at most so many digits before the point."""
    return NumberCase(low=-(10**count), low_open=True, high=10**count, high_open=True)


def _sufficient(case: NumberCase) -> int:
    """So many digits that some number of the case has no more.

    Beyond all bounds the case repeats itself with the least common multiple of all divisors;
    and nothing tells apart the numbers between two neighbours of the grid on which all bounds
    and multiples lie, so one more digit than the grid's is enough.
    """
    parts = list(_parts(case))
    bounds = [_length(number) for part in parts for number in _bounds(part)]
    divisors = [part.multiple for part in parts if part.multiple is not None]
    period = sum(over.bit_length() for over, _ in divisors)
    places = max((under.bit_length() for _, under in divisors), default=0)
    return 1 + max([*bounds, places]) + period if bounds else 1 + places + period


def _parts(case: NumberCase) -> Iterator[NumberCase]:
    """The case and all that it excludes, at any depth."""
    pending = [case]
    while pending:
        part = pending.pop()
        yield part
        pending.extend(part.excluded)


def _bounds(case: NumberCase) -> Iterator[Number]:
    yield from (bound for bound in (case.low, case.high) if bound is not None)
    yield from case.values or ()


def _length(number: Number) -> int:
    """Digits on the side of the point that has more, or more than that."""
    if isinstance(number, int):
        return len(str(abs(number)))
    _, digits, exponent = number.as_tuple()
    return len(digits) + abs(int(exponent))


def _whole(most: int) -> Node:
    return Choice((Literal("0"), Sequence((NONZERO, Repeat(DIGIT, 0, most - 1)))))


def _fraction(most: int) -> Node:
    return Repeat(Sequence((Literal("."), Repeat(DIGIT, 1, most))), 0, 1)


def _exponent(most: int) -> Node:
    sign = Repeat(Chars(((0x2B, 0x2B), (0x2D, 0x2D))), 0, 1)
    letter = Chars(((0x45, 0x45), (0x65, 0x65)))
    return Repeat(Sequence((letter, sign, Repeat(DIGIT, 1, most))), 0, 1)
