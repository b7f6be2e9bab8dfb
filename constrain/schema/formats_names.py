"""The formats of hosts and mail boxes as regular nodes over decoded characters.

Sources: RFC 1123 section 2.1 (hostname), RFC 5321 section 4.1.2 (email) without the limits on
sizes of its section 4.5.3, RFC 6531 section 3.3 (idn-email), RFC 2673 section 3.2 (ipv4),
RFC 4291 section 2.2 (ipv6).

Labels that begin with `xn--` are left out of `hostname`: whether such an A-label is the
Punycode of an internationalized label is not a regular property.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from constrain.grammar.ir import Chars, Choice, Intersect, Literal, Node, Repeat, Sequence
from constrain.schema.strings import ANY_CHAR, matching

MAX_HOSTNAME: Final = 253
LEFT_OUT: Final = "A-labels (xn--...)"

_LABEL: Final = r"[0-9A-Za-z](?:[0-9A-Za-z\-]{0,61}[0-9A-Za-z])?"
_LOCAL: Final = (
    r"(?:[{0}0-9A-Za-z!#$%&'*+/=?^_`{{|}}~\-]+(?:\.[{0}0-9A-Za-z!#$%&'*+/=?^_`{{|}}~\-]+)*"
    r'|"(?:[{0}\x20\x21\x23-\x5B\x5D-\x7E]|\\[\x20-\x7E])*")@'
)
_WIDE: Final = "\u0080-\U0010ffff"


@cache
def ipv4() -> Node:
    """Four decimal octets without leading zeros."""
    octet = matching(r"25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d")
    return Sequence((octet, Repeat(Sequence((Literal("."), octet)), 3, 3)))


@cache
def ipv6() -> Node:
    """Eight groups, `::` once in the place of one or more, maybe an IPv4 address at the end."""
    group = matching("[0-9A-Fa-f]{1,4}")
    colon = Literal(":")
    led = Sequence((group, colon))
    pair = Choice((Sequence((led, group)), ipv4()))
    gap = Literal("::")
    forms: list[Node] = [Sequence((Repeat(led, 6, 6), pair))]
    # RFC 3986 appendix A, line by line: at most n groups before the gap, so many after it.
    for n in range(8):
        before: Node = Literal("") if n == 0 else Repeat(
            Sequence((Repeat(led, 0, n - 1), group)), 0, 1
        )  # fmt: skip
        after: Node = Literal("")
        if n < 6:  # noqa: PLR2004 - two groups may be an IPv4 address
            after = Sequence((Repeat(led, 5 - n, 5 - n), pair))
        elif n == 6:  # noqa: PLR2004 - one group is left
            after = group
        forms.append(Sequence((before, gap, after)))
    return Choice(tuple(forms))


@cache
def hostname() -> Node:
    """Labels of letters, digits and inner hyphens, none of them an A-label."""
    name = _domain(matching(rf"(?![Xx][Nn]--){_LABEL}"))
    return Intersect((name, Repeat(ANY_CHAR, 1, MAX_HOSTNAME)))


@cache
def email() -> Node:
    """RFC 5321 Mailbox."""
    return Sequence(
        (matching(_LOCAL.format("")), Choice((_domain(matching(_LABEL)), _address())))
    )


@cache
def idn_email() -> Node:
    """RFC 6531 Mailbox: characters beyond ASCII in the local part and in labels."""
    end = rf"[{_WIDE}0-9A-Za-z]"
    wide = matching(rf"{end}(?:[{_WIDE}0-9A-Za-z\-]*{end})?")
    local = matching(_LOCAL.format(_WIDE))
    return Sequence((local, Choice((_domain(wide), _address()))))


def _domain(label: Node) -> Node:
    return Sequence((label, Repeat(Sequence((Literal("."), label)))))


def _address() -> Node:
    return Sequence(
        (
            Literal("["),
            Choice((ipv4(), Sequence((Literal("IPv6:"), ipv6())))),
            Chars(((0x5D, 0x5D),)),
        )
    )
