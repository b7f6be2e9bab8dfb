"""Text while it is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from constrain.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from constrain.driver.loop import Loop
    from constrain.driver.result import Result
    from constrain.driver.sequence import Output


class Stream:
    """An iterator over pieces of text, with the `Result` at the end.

    The pieces join to `result.text`; a piece never ends inside a character or inside what may
    become a stop string. The model is busy until the stream is exhausted, cancelled or
    closed; a `with` block closes it. When an exception (Ctrl-C included) interrupts a step,
    the stream is cancelled and `result` holds the partial text, marked by its
    `finish_reason` "cancelled"; the exception goes on.
    """

    def __init__(self, loop: Loop, output: Output, release: Callable[[], None]) -> None:
        self._loop = loop
        self._output = output
        self._release: Callable[[], None] | None = release
        self._result: Result | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next piece, not empty.

        Raises:
            DecodeError: the model or the choice of a token failed; the stream is cancelled.
        """
        piece = self._output.assembler.take()
        done = self._result is not None
        try:
            while not piece and not done:
                done = not self._loop.step()
                piece = self._output.assembler.take()
        except BaseException:  # Ctrl-C too: the model must be free again, the text kept.
            self.cancel()
            raise
        if piece:
            return piece
        self._close()
        raise StopIteration

    def cancel(self) -> None:
        """Stop here: `result` holds the text so far, and the model is free again.

        Text that was already written but not yet taken can still be iterated. Does nothing
        to a stream that is finished.
        """
        self._loop.cancel()
        self._close()

    @property
    def result(self) -> Result:
        """The result, once the stream is exhausted or cancelled.

        Raises:
            DecodeError: there is more to come.
        """
        if self._result is None:
            raise DecodeError(
                "the stream is not finished: iterate over it to the end, or cancel() it, "
                "before asking for its result"
            )
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        if self._release is not None:
            self._release()

    def _close(self) -> None:
        if self._release is not None:
            self._result = self._output.result()
            self._release()
            self._release = None
