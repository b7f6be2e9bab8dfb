"""The sampler chain of a `llama_cpp.Llama`: what is in it, and how often it sampled.

`Llama` makes one chain of llama.cpp's samplers for each completion and keeps it in `_sampler`
(llama-cpp-python 0.3). There is no public way to it, and no other place that tells whether a
grammar of llama.cpp's own is at work, or how many tokens were really sampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from constrain.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


def sampler_of(llama: Any) -> Any:
    """The chain of the last completion begun, or None.

    Raises:
        DecodeError: it is no `Llama` that keeps one.
    """
    if not hasattr(llama, "_sampler"):
        raise DecodeError(
            f"{type(llama).__name__} has no sampler chain; expected a Llama of "
            "llama-cpp-python 0.3.16 or newer"
        )
    return llama._sampler  # noqa: SLF001  there is no public way to it


def sampler_names(sampler: Any) -> AbstractSet[str]:
    """llama.cpp's names of the samplers in the chain, those in Python left out."""
    import llama_cpp

    in_python = {place for place, _ in sampler.custom_samplers}  # without a function for a name
    chain = sampler.sampler
    places = set(range(llama_cpp.llama_sampler_chain_n(chain))) - in_python
    return {
        llama_cpp.llama_sampler_name(llama_cpp.llama_sampler_chain_get(chain, place)).decode()
        for place in places
    }


def n_sampled(sampler: Any) -> int:
    """How many tokens the chain has sampled."""
    import llama_cpp

    return int(llama_cpp.llama_perf_sampler(sampler.sampler).n_sample)


class Refusal:
    """Stands for a chain: the next token that is asked for raises, outside of any callback."""

    def __init__(self, llama: Any, error: Exception) -> None:
        self._llama = llama
        self._error = error

    def sample(self, *_: object) -> NoReturn:
        """Raise the error, and leave the `Llama` as one that has sampled nothing yet."""
        self._llama._sampler = None  # noqa: SLF001
        raise self._error

    @classmethod
    def replaces_sampler(cls, llama: Any, error: Exception) -> None:
        """Let `error` be raised at the next token of the completion that is running."""
        llama._sampler = cls(llama, error)  # noqa: SLF001
