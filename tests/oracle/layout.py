"""Where white space may stand in a JSON text, form by form, written as IR nodes.

SLOW ON PURPOSE, FOR TESTS ONLY: this is the table of the four forms, read by
`tests/oracle/json_text.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from constrain.grammar import ir

NOTHING = ir.Literal("")
SPACE = ir.Literal(" ")
# Nothing, one space, or a new line with 0 to 40 spaces or 0 to 20 tabs of indentation.
INDENTED = ir.Choice(
    (
        NOTHING,
        SPACE,
        ir.Sequence((ir.Literal("\n"), ir.Repeat(ir.Literal(" "), 0, 40))),
        ir.Sequence((ir.Literal("\n"), ir.Repeat(ir.Literal("\t"), 0, 20))),
    )
)
# RFC 8259 section 2: ws = *( %x20 / %x09 / %x0A / %x0D )
ANYTHING = ir.Repeat(ir.Chars(((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20))))


@dataclass(frozen=True)
class Layout:
    """What may stand around the structural characters of one white-space form."""

    around: ir.Node = NOTHING
    after_open: ir.Node = NOTHING
    before_close: ir.Node = NOTHING
    before_comma: ir.Node = NOTHING
    after_comma: ir.Node = NOTHING
    before_colon: ir.Node = NOTHING
    after_colon: ir.Node = NOTHING

    def opening(self, bracket: str) -> ir.Node:
        """An opening bracket and what follows it, also in an empty container."""
        return ir.Sequence((ir.Literal(bracket), self.after_open))

    def closing(self, bracket: str) -> ir.Node:
        """A closing bracket after at least one member."""
        return ir.Sequence((self.before_close, ir.Literal(bracket)))

    def comma(self) -> ir.Node:
        """What separates two members."""
        return ir.Sequence((self.before_comma, ir.Literal(","), self.after_comma))

    def colon(self) -> ir.Node:
        """What separates a key from its value."""
        return ir.Sequence((self.before_colon, ir.Literal(":"), self.after_colon))


LAYOUTS: dict[ir.Whitespace, Layout] = {
    "compact": Layout(),
    "spaced": Layout(after_comma=SPACE, after_colon=SPACE),
    "bounded": Layout(
        after_open=INDENTED,
        before_close=INDENTED,
        after_comma=INDENTED,
        after_colon=ir.Choice((NOTHING, SPACE)),
    ),
    "flexible": Layout(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING),
}
