"""Types of the native module; the meaning is documented where Python wraps it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

INFINITE: int

class Engine:
    @property
    def n_vocab(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...

def make_engine(tokens: list[bytes], end_ids: list[int], control_ids: list[int]) -> Engine: ...

class Compiled:
    def __init__(self, engine: Engine, limits: object, /) -> None: ...
    def chars(self, ranges: list[tuple[int, int]], universe: int, /) -> int: ...
    def literals(self, texts: list[bytes], universe: int, /) -> int: ...
    def weighted(self, texts: list[tuple[bytes, float]], /) -> int: ...
    def concat(self, parts: list[int], /) -> int: ...
    def alternatives(self, parts: list[int], /) -> int: ...
    def intersection(self, parts: list[int], /) -> int: ...
    def complement(self, part: int, universe: int, /) -> int: ...
    def repeat_expr(self, part: int, least: int, most: int, /) -> int: ...
    def multiple(self, divisor: int, places: int, /) -> int: ...
    def any_text(self, universe: int, /) -> int: ...
    def quoted(self, inner: int, universe: int, /) -> int: ...
    def is_empty(self, expression: int, /) -> bool: ...
    def form(
        self,
        whitespace: str,
        any_order: bool,
        universe: int,
        wishes: tuple[float, float, float, float],
        /,
    ) -> int: ...
    def value(self, form: int, /) -> int: ...
    def set_value(
        self,
        value: int,
        scalar: int,
        objects: list[int],
        arrays: list[int],
        /,
    ) -> None: ...
    def object(
        self,
        form: int,
        properties: list[
            tuple[bytes, int, bool] | tuple[bytes, int, bool, list[tuple[int, int]], int, float]
        ],
        others: list[tuple[int, int, list[tuple[int, int]]]],
        least: int,
        most: int,
        demands: list[tuple[int, int]],
        /,
    ) -> int: ...
    def array(
        self,
        form: int,
        prefix: list[int],
        items: int,
        least: int,
        most: int,
        tallies: list[tuple[int, int, int, int]],
        ways: list[list[tuple[int, int]]],
        unique: bool,
        /,
    ) -> int: ...
    def lexeme(self, expression: int, /) -> int: ...
    def json(self, value: int, /) -> int: ...
    def sequence(self, parts: list[int], /) -> int: ...
    def choice(self, parts: list[int], /) -> int: ...
    def repeat(self, part: int, least: int, most: int, /) -> int: ...
    def rule(self) -> int: ...
    def set_rule(self, rule: int, body: int, /) -> None: ...
    def finish(self, root: int, /) -> None: ...
    def value_length(self, value: int, /) -> int: ...
    def node_length(self, node: int, /) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def engine_bytes(self) -> int: ...

class Matcher:
    def __init__(self, source: Compiled | Matcher, /) -> None: ...
    def fill_mask(self, out: NDArray[np.uint32]) -> None: ...
    def fill_mask_within(self, out: NDArray[np.uint32], n_tokens: int) -> None: ...
    def accept(self, token_id: int) -> None: ...
    def accept_bytes(self, data: bytes) -> None: ...
    def forced_bytes(self) -> bytes: ...
    def shortest_completion(self) -> bytes: ...
    def _try_bytes(self, data: bytes, /) -> bool: ...
    def _rollback(self, n_steps: int, /) -> None: ...
    def _biases(self) -> tuple[bytes, bytes]: ...
    def _expected(self) -> tuple[bytes, list[bytes], bool]: ...
    def _state(self) -> int: ...
    def _tokens_after(self, token_id: int, /) -> int: ...
    def _fits_after(self, token_id: int, n_tokens: int) -> bool: ...
    def _tokens_needed(self) -> int: ...
    def _bytes_needed(self) -> int: ...
    def _allows_past(self, text: bytes, /) -> bool: ...
    def _spellable(self) -> bool: ...
    @property
    def bias_offset(self) -> float: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def is_finished(self) -> bool: ...
    @property
    def is_accepting(self) -> bool: ...
    @property
    def can_continue(self) -> bool: ...

def measure_row(
    logits: NDArray[np.float32], mask_words: NDArray[np.uint32], n: int
) -> tuple[int, float, float, list[tuple[int, float, float]], list[tuple[int, float, float]]]:
    """`(status, entropy, masked_entropy, allowed, forbidden)` of a row; see `logprobs.measure`.

    Each list holds at most n `(token_id, logprob, masked_logprob)`, the likeliest first; status
    0: fine, 1: no allowed token has a probability, 2: a logit is NaN.
    """

class TokenSampler:
    """One sampling step over masked logits; keeps only scratch memory.

    All arrays are one-dimensional, C-contiguous and read, never written or kept. Another dtype
    is a TypeError, not a copy.
    """

    def __init__(
        self,
        n_vocab: int,
        settings: object,
        *,
        steps: Sequence[str],
        bias_ids: NDArray[np.int32],
        bias_values: NDArray[np.float32],
        banned_ids: NDArray[np.int32],
        dry_spared_ids: NDArray[np.int32],
        bans_yield: bool,
    ) -> None:
        """Read the settings.

        Args:
            n_vocab: width of the logits.
            settings: a checked `constrain.Sampling`; `order`, `mirostat`, texts and windows
                are not looked at.
            steps: what to do after the mask: names in `Sampling.order`, but `mirostat_1` or
                `mirostat_2`.
            bias_ids: tokens whose logits are shifted in every step.
            bias_values: by how much, `float32[len(bias_ids)]`.
            banned_ids: tokens that never come.
            dry_spared_ids: tokens without a DRY penalty.
            bans_yield: whether bans are void in a step where they leave nothing.
        """

    def sample(
        self,
        logits: NDArray[np.float32],
        mask_words: NDArray[np.uint32],
        bias_ids: NDArray[np.int32],
        bias_values: NDArray[np.float32],
        history: NDArray[np.int32],
        dry_history: NDArray[np.int32],
        dry_limit: int,
        banned_ids: NDArray[np.int32],
        mu: float,
        key: int,
        counter: int,
    ) -> tuple[int, int, float, float, float, float, int, bool]:
        """Choose one token.

        Returns:
            `(status, token_id, logprob, masked_logprob, sampling_logprob, removed_mass,
            n_allowed, drawn)`; status 0: fine, 1: the mask is empty, 2: a logit is NaN, 3: no
            allowed token has a probability, 4: all that could come is banned.

        Args:
            logits: `float32[n_vocab]`.
            mask_words: `uint32[(n_vocab + 31) // 32]`, as `Matcher.fill_mask` writes it.
            bias_ids: tokens whose logits the grammar shifts in this step.
            bias_values: by how much, `float32[len(bias_ids)]`.
            history: the tokens that penalties count.
            dry_history: the tokens that DRY compares; a negative one equals nothing.
            dry_limit: how many of the last ones can be the end of a repetition.
            banned_ids: tokens that are banned in this step, beside those of the settings.
            mu: of mirostat, in bits.
            key: the random stream.
            counter: which number of the stream to draw with.
        """

def uniform(key: int, counter: int) -> float:
    """The counter-th number of the random stream `key`, in [0, 1)."""

def instruction_sets() -> list[str]:
    """The instruction sets that this processor has vector loops for, the widest first.

    Of "avx512", "avx2" and "baseline"; the first is used, unless another was chosen.
    """

def use_instruction_set(name: str) -> str:
    """Take the vector loops of another set from now on, in all threads; for tests.

    Returns:
        The name of the set that was used before.

    Raises:
        ValueError: not one of `instruction_sets()`.
    """
