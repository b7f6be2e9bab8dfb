"""The masks of one JSON text over twenty-six tokens, written out by hand step by step."""

from __future__ import annotations

import pytest

import constrain
from constrain.grammar import ir
from tests.lockstep import packed_mask
from tests.oracle.token_level import allowed_tokens
from tests.vocabularies import HAND_CONTROL, HAND_END, HAND_TOKENS, hand_vocabulary

# {"a": string, "b"?: 0 | 1 | 10, nothing else}, compact, in this order.
STRING = ir.JsonValue(ir.JsonString(ir.Repeat(ir.Chars(((0, 0x10FFFF),)))))
NUMBER = ir.JsonValue(ir.OneOf(("0", "1", "10")))
OBJECT = ir.JsonObject((ir.Property("a", STRING, required=True), ir.Property("b", NUMBER)))
GRAMMAR = ir.Grammar(
    ir.JsonText(ir.JsonValue(objects=(OBJECT,)), ir.JsonForm("compact")), kind="json"
)

INSIDE_A_STRING = {
    *(b"{", b"}", b'"', b":", b",", b"a", b"b", b"1", b"0", b"ab", b"\xc3", "é".encode()),
    *(b"10", b"1}", b" "),
    b'{"',  # a brace, and the end of the string
    b'"}',  # the end of the string and of the object
}
STEPS: list[tuple[bytes, set[bytes]]] = [
    # accepted before, allowed now
    (b"", {b"{", b'{"'}),
    (b'{"', {b"a"}),  # not "ab": the key is a
    (b"a", {b'"', b'":', b'":"'}),
    # Inside the string anything goes but half a character; `","` would need the key to begin
    # with b, as it does: `"` ends the string, `,"` opens the key.
    (b'":"', INSIDE_A_STRING | {b'","'}),
    (b"\xc3", {b"\xa9"}),
    (b"\xa9", INSIDE_A_STRING | {b'","'}),
    (b'"', {b"}", b",", b',"b":'}),
    (b',"b":', {b"1", b"0", b"10", b"1}"}),
    (b"1", {b"0", b"}"}),
    (b"0", {b"}"}),
    (b"}", {b"<end>"}),
]


def test_the_masks_are_those_written_by_hand() -> None:
    matcher = constrain.compile(GRAMMAR, hand_vocabulary()).matcher()
    for accepted, allowed in STEPS:
        if accepted:
            matcher.accept(HAND_TOKENS.index(accepted))
        mask = packed_mask(matcher, len(HAND_TOKENS))
        assert {HAND_TOKENS[i] for i, bit in enumerate(mask) if bit} == allowed
        assert mask[5] == mask[16], "duplicates are alike"
        assert not mask[17], "an empty token is never allowed"
        assert not mask[24], "a control token is never allowed"


def test_the_oracle_says_the_same() -> None:
    text = b""
    for accepted, allowed in STEPS:
        text += accepted
        mask = allowed_tokens(GRAMMAR, HAND_TOKENS[:24], text, [])
        found = {HAND_TOKENS[i] for i, bit in enumerate(mask) if bit}
        assert found == allowed - {b"<end>"}


@pytest.mark.parametrize("token_id", [17, *HAND_CONTROL, *HAND_END])
def test_tokens_without_text_are_rejected_at_the_start(token_id: int) -> None:
    matcher = constrain.compile(GRAMMAR, hand_vocabulary()).matcher()
    with pytest.raises(constrain.TokenRejectedError) as caught:
        matcher.accept(token_id)
    assert caught.value.token_id == token_id
    assert matcher.n_tokens == 0


def test_the_text_of_a_control_token_may_be_written_in_other_tokens() -> None:
    tokens = (b'"', b"<", b"c", b"t", b"l", b">", b"<ctl>", b"<end>")
    grammar = ir.Grammar(ir.JsonText(STRING, ir.JsonForm("compact")))
    vocabulary = constrain.Vocabulary(tokens, [7], [6])
    matcher = constrain.compile(grammar, vocabulary).matcher()
    matcher.accept(0)
    assert packed_mask(matcher, 8) == [True] * 6 + [False] * 2
    matcher.accept_bytes(b'<ctl>"')
    assert packed_mask(matcher, 8) == [False] * 7 + [True]
