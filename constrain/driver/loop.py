"""The decode loop: outputs side by side, one model call for all of them at each step.

A step feeds each running output's pending tokens (at first its prompt, later the token that
was sampled and the forced ones after it), reads the logits after the last of them and lets
the output choose. No callback is handed to the model, so an error anywhere surfaces here:
nothing is emitted for that step, and the sequences hold what they held before it.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from constrain.driver.protocol import Piece, Sequences
    from constrain.driver.sequence import Output


class Loop:
    """Runs outputs to their end, as many at once as the model has sequences.

    Args:
        cache: the sequences to use.
        outputs: what to run; they start in this order as sequences become free.
    """

    def __init__(self, cache: Sequences, outputs: Iterable[Output]) -> None:
        self._cache = cache
        self._waiting = deque(outputs)
        self._running: dict[int, Output] = {}
        self._free = list(range(cache.n_sequences))

    def step(self) -> bool:
        """One model call, and a token or more for each running output.

        Returns:
            False when every output is finished, and nothing was done.

        Raises:
            DecodeError: the model failed, or an output could not choose. No output got a
                token that it did not accept; the loop may not be used any more.
        """
        starting = self._start()
        if not self._running:
            return False
        pieces = [
            starting.get(sequence) or self._cache.extend(sequence, output.pending)
            for sequence, output in self._running.items()
        ]
        calls = self._cache.n_calls
        started = perf_counter()
        rows = self._cache.feed(pieces)
        seconds = perf_counter() - started
        calls = self._cache.n_calls - calls
        for (sequence, output), logits in zip(list(self._running.items()), rows, strict=True):
            output.clock.n_model_calls += calls
            if sequence in starting:
                output.clock.prompt_s += seconds
            else:
                output.clock.decode_s += seconds
            output.choose(logits)
            if output.finished:
                del self._running[sequence]
                self._free.append(sequence)
        return True

    def run(self) -> None:
        """Steps until every output is finished."""
        while self.step():
            pass

    def cancel(self) -> None:
        """Finish every output as it is, with the reason "cancelled"."""
        for output in [*self._running.values(), *self._waiting]:
            output.finish("cancelled")
        self._running.clear()
        self._waiting.clear()

    def _start(self) -> dict[int, Piece]:
        """Give free sequences to waiting outputs: the piece each of them begins with."""
        starting: dict[int, Piece] = {}
        while self._waiting and self._free:
            output = self._waiting.popleft()
            if output.finished:
                continue
            sequence = max(self._free, key=lambda s: self._cache.shared(s, output.pending))
            self._free.remove(sequence)
            starting[sequence] = self._cache.restart(sequence, *output.beginning)
            self._running[sequence] = output
        return starting
