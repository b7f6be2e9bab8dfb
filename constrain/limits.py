"""Limits on what a schema or grammar may cost; all growth in the kernel counts against one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits for compiling and matching. Reaching one raises `LimitError`.

    Attributes:
        expressions: distinct regular expressions (automaton states) one grammar may create.
        expression_depth: nesting of a regular expression.
        nodes: nodes of a grammar or schema after expansion.
        threads: parses followed at the same time by one matcher.
        depth: nesting of the generated text (objects, arrays, rules).
        arena_bytes: memory for configurations and memoized masks of one compiled grammar;
            above it the arena is compacted, and only what live matchers need is kept.
        search_states: states visited to decide whether a combination can match at all; also
            the bytes of the longest text that is looked for as the shortest way to finish.
        seconds: wall time for one call to `compile`.
    """

    expressions: int = 2_000_000
    expression_depth: int = 2_000
    nodes: int = 1_000_000
    threads: int = 4_096
    depth: int = 100_000
    arena_bytes: int = 64 * 2**20
    search_states: int = 200_000
    seconds: float = 30.0
