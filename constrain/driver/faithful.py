"""Faithful sampling: the model's own distribution, conditioned on the grammar.

Masking token by token draws every valid output, but not with the model's probabilities: where
the mask takes away nearly everything, plain masking goes on as if what is left were likely.
Wanted is p(x | x is valid) for the model's distribution p over **token sequences that end with
an end token**, at the temperature and logit bias that were asked for. So nothing is forced
here: a text that the grammar leaves no choice about can be cut into tokens in several ways,
the model gives each way its own probability, and all of them are drawn from. (Where the
context is natural nearly all of it lies on the canonical one.) The end counts as well: an
output is valid if the model ends it there.

Sequential Monte Carlo with N particles. Each is a beginning with a weight. At each step

1. the weight is multiplied by the mass of the allowed tokens (what is not removed),
2. if the effective sample size fell below N / 2, the particles are drawn anew in proportion
   to their weights (systematic resampling), since the mass is known before the token is,
3. each particle draws a token among the allowed ones.

The mean weight at the end is an unbiased estimate of the probability of the set of sequences
let through, for any N and whenever resampling happens; the draw, one particle in proportion
to the weights, is exact in the limit of many particles (N = 1 is plain masking).

**Budget.** Let through are valid sequences that never leave so few tokens that finishing is not
assured: the condition is "valid and within the budget", and its probability is at most the
probability of "valid". Which tokens still fit is known only by a walk through the vocabulary,
too slow for each step (3 ms inside a string for 49 152 tokens, a third of a decoded token). So
each particle draws two tokens t1, t2 from the mask (mass m). If both fit, t1 is taken. If not,
the walk is made (mass f of the tokens that fit); t1 is taken if it fits, else one drawn among
those that do, and the weight gets the factor r / (1 + r), r = f / m. For any fitting token t of
probability p the expected weight given to it is then
m (p/m) (r + (1 - r) r/(1+r)) + m (1 - r) (p/f) r/(1+r) = p [r + (1-r)(1+r)/(1+r)] = p,
which is what sequential Monte Carlo asks for (a properly weighted draw).

**How much a draw tells.** Drawing anew makes copies: where all particles descend from one of
those at the beginning, what they have in common is a single draw, however equal their weights
are by then. So the effective sample size that is reported adds up the weights by ancestor; of
such sums Lee and Whiteley (below) make an estimate of the error from a single run.

Particles with equal tokens are evaluated once, so a stretch without choices costs as much as
one sequence.

Sources: Loula et al.: Syntactic and semantic control of large language models via sequential
Monte Carlo, ICLR 2025 (the method); Lipkin et al.: Fast controlled generation from language
models with adaptive weighted rejection sampling, COLM 2025 (weights from rejected draws);
Naesseth, Lindsten, Schoen: Elements of sequential Monte Carlo, 2019, section 2 (unbiasedness);
Lee, Whiteley: Variance estimation in the particle filter, Biometrika 105 (2018) (weights by
ancestor).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from constrain.driver.particles import (
    Faithful,
    Particle,
    effective_ancestors,
    effective_sample_size,
    log_sum,
    normalized,
    pick,
    systematic,
)
from constrain.driver.proposal import Proposal
from constrain.driver.result import Result, Step, Timings
from constrain.errors import DecodeError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from constrain.automaton import Matcher
    from constrain.driver.cache import SequenceCache
    from constrain.driver.particles import Weights
    from constrain.driver.proposal import TargetModel
    from constrain.driver.protocol import Logits, MaskWords
    from constrain.grammar.ir import Grammar
    from constrain.vocabulary import Vocabulary

MAX_PARTICLES = 256  # sequences that llama.cpp can tell apart in one context
_RESAMPLE_BELOW = 0.5  # share of N; the customary threshold
_NO_PROBABILITY = "the model gives no probability to any output that is valid"


@dataclass(frozen=True, slots=True)
class FaithfulRequest:
    """What to draw.

    Attributes:
        prompt: its tokens, at least one.
        target: the distribution to condition.
        matcher: the condition, at its beginning.
        grammar: what the matcher follows, for the result.
        n_particles: N; at most the model's sequences.
        max_tokens: budget for the output, the end token not counted.
        seed: of all random numbers; None takes one at random.
        top_logprobs: alternatives to note at each step, on each side of the mask; 0: neither
            alternatives nor entropies.
    """

    prompt: Sequence[int]
    target: TargetModel
    matcher: Matcher
    grammar: Grammar
    n_particles: int
    max_tokens: int
    seed: int | None
    top_logprobs: int = 0


def budget_of(request: FaithfulRequest, vocabulary: Vocabulary, n_ctx: int) -> int:
    """How many tokens an output may have.

    Raises:
        LimitError: there are too many particles, the prompt leaves no room in the context, or
            the budget cannot hold the shortest output the grammar allows.
        DecodeError: the model has no end token, without which no output is whole.
    """
    if request.n_particles > MAX_PARTICLES:
        raise LimitError("particles (faithful)", request.n_particles, MAX_PARTICLES)
    if not vocabulary.end_ids:
        raise DecodeError("faithful sampling needs an end token, and the model has none")
    n_prompt = len(request.prompt)
    if n_prompt >= n_ctx:
        raise LimitError(
            "tokens of the prompt (n_ctx, one left to answer)", n_prompt, n_ctx - 1
        )
    budget = min(request.max_tokens, n_ctx - n_prompt)
    needed = request.matcher.min_tokens
    if needed > budget:
        what = "tokens of the shortest valid output (max_tokens, or n_ctx less prompt)"
        raise LimitError(what, needed, budget)
    return budget


class _Branch:
    """One beginning, shared by the particles that have the same tokens.

    Its tokens are the steps from the root down to it; `sequence` holds the prompt and these.
    """

    __slots__ = ("bias", "matcher", "n_tokens", "parent", "sequence", "shortened", "step")

    def __init__(self, matcher: Matcher | None, sequence: int) -> None:
        self.matcher = matcher  # None: the end token was drawn, or all weight was lost
        self.sequence = sequence
        self.parent: _Branch | None = None
        self.step: Step | None = None
        self.n_tokens = 0
        self.bias = 0.0
        self.shortened = False

    def child(self, step: Step, bias: float, *, ends: bool, shortened: bool) -> _Branch:
        """The branch with one more token; it has no sequence yet."""
        assert self.matcher is not None, "a finished branch goes on"
        matcher = None
        if not ends:
            matcher = self.matcher.copy()
            matcher.accept(step.token_id)
        branch = _Branch(matcher, -1)
        branch.parent, branch.step = self, step
        branch.n_tokens = self.n_tokens + (not ends)
        branch.bias = self.bias + bias
        branch.shortened = self.shortened or shortened
        return branch

    def steps(self) -> list[Step]:
        """From the first token to the last, the end token included."""
        found: list[Step] = []
        at: _Branch | None = self
        while at is not None and at.step is not None:
            found.append(at.step)
            at = at.parent
        return found[::-1]


@dataclass(slots=True)
class _Clock:
    started: float
    prompt_s: float = 0.0
    decode_s: float = 0.0
    mask_s: float = 0.0
    sample_s: float = 0.0
    measure_s: float = 0.0


class FaithfulSampler:
    """One faithful generation, on a model whose sequences are all free.

    Args:
        cache: the sequences; at least `n_particles` of them.
        request: what to draw.
        vocabulary: the model's.
        budget: what `budget_of` says.
    """

    def __init__(
        self,
        cache: SequenceCache,
        request: FaithfulRequest,
        vocabulary: Vocabulary,
        budget: int,
    ) -> None:
        self._budget = budget
        self._cache = cache
        self._request = request
        self._end_ids = vocabulary.end_ids
        self._clock = _Clock(perf_counter())
        self._calls = cache.model.n_calls
        self._rng = np.random.default_rng(request.seed)
        self._mask: MaskWords = np.zeros((vocabulary.n_vocab + 31) // 32, np.uint32)
        self._free: list[int] = []
        self._particles: list[_Branch] = []
        self._log_weights: Weights = np.zeros(request.n_particles)
        self._ancestors = np.arange(request.n_particles)  # at the beginning, of each particle
        self._n_resampled = 0

    def run(self) -> Result:
        """Draw an output.

        Raises:
            DecodeError: the model failed, or gives no probability to any valid output, or to
                none that goes on from where the particles got to (which counts as an estimate
                of 0 where estimates are averaged). Nothing was emitted.
        """
        rows = self._read_prompt()
        while rows:
            started = perf_counter()
            elsewhere = self._clock.mask_s + self._clock.measure_s
            proposals = {branch: self._propose(branch, row) for branch, row in rows.items()}
            self._weigh(proposals)
            children = self._draw(proposals)
            elsewhere = self._clock.mask_s + self._clock.measure_s - elsewhere
            self._clock.sample_s += perf_counter() - started - elsewhere
            rows = self._decode(children)
        return self._result()

    def _read_prompt(self) -> dict[_Branch, Logits]:
        request, cache = self._request, self._cache
        sequences = range(cache.model.n_sequences)
        first = max(sequences, key=lambda s: cache.shared(s, request.prompt))
        self._free = [s for s in sequences if s != first]
        for sequence in self._free:
            cache.drop(sequence)
        root = _Branch(request.matcher.copy(), first)
        self._particles = [root] * request.n_particles
        started = perf_counter()
        [row] = cache.feed([cache.restart(first, request.prompt)])
        self._clock.prompt_s = perf_counter() - started
        return {root: row}

    def _propose(self, branch: _Branch, row: Logits) -> Proposal:
        started = perf_counter()
        matcher = branch.matcher
        assert matcher is not None, "a finished branch was evaluated"
        matcher.fill_mask(self._mask)
        bias, offset = matcher.bias(), matcher.bias_offset
        if branch.n_tokens == self._budget:  # what is whole may end, and nothing else fits
            branch.shortened = branch.shortened or matcher.can_continue
            ends = np.zeros_like(self._mask)
            for token_id in self._end_ids:
                ends[token_id // 32] |= np.uint32(1 << token_id % 32)
            self._mask &= ends
        self._clock.mask_s += perf_counter() - started
        return Proposal(self._request.target, row, self._mask, bias, offset)

    def _weigh(self, proposals: dict[_Branch, Proposal]) -> None:
        """Take the allowed mass into the weights; draw the particles anew if it is time."""
        for i, branch in enumerate(self._particles):
            if branch in proposals:
                self._log_weights[i] += proposals[branch].log_mass
        mean = log_sum(self._log_weights) - math.log(len(self._particles))
        if mean == -math.inf:
            raise self._nothing_left(proposals)
        enough = _RESAMPLE_BELOW * len(self._particles)
        dead = self._log_weights.min() == -math.inf
        if dead or effective_sample_size(self._log_weights) < enough:
            ancestors = systematic(self._log_weights, self._rng.random())
            self._particles = [self._particles[i] for i in ancestors]
            self._ancestors = self._ancestors[ancestors]
            self._log_weights[:] = mean
            self._n_resampled += 1

    def _nothing_left(self, proposals: Iterable[_Branch] = ()) -> DecodeError:
        """Why no particle has any weight: nothing can begin, or all went into dead ends."""
        if any(branch.parent is None for branch in proposals):
            return DecodeError(_NO_PROBABILITY)
        return DecodeError(
            f"each of the {len(self._particles)} sequences came to where the model gives no "
            "probability to anything valid: take more sequences (faithful), some may pass"
        )

    def _draw(self, proposals: dict[_Branch, Proposal]) -> dict[_Branch, list[_Branch]]:
        """One token for each particle that is not finished; the new branches by their parent.

        A parent none of whose particles goes on is there too, without children.
        """
        made: dict[tuple[_Branch, int, bool], _Branch] = {}
        children: dict[_Branch, list[_Branch]] = {branch: [] for branch in proposals}
        smaller: dict[_Branch, Proposal] = {}
        for i, branch in enumerate(self._particles):
            if branch not in proposals:
                continue
            proposal = proposals[branch]
            index, fits = self._two_draws(branch, proposal)
            if not all(fits):
                within = smaller.get(branch) or self._within(branch, proposal)
                smaller[branch] = within
                share = math.exp(within.log_mass - proposal.log_mass)
                if share == 0:
                    self._log_weights[i], self._particles[i] = -math.inf, _Branch(None, -1)
                    continue
                self._log_weights[i] += math.log(share / (1 + share))
                if not fits[0]:
                    proposal, index = within, within.draw(self._rng.random())
            key = branch, proposal.token_id(index), fits[0]
            if key not in made:
                ends = key[1] in self._end_ids
                made[key] = branch.child(
                    self._step(proposal, index),
                    proposal.grammar_bias(index),
                    ends=ends,
                    shortened=not fits[0],
                )
                if not ends:
                    children[branch].append(made[key])
            self._particles[i] = made[key]
        return children

    def _step(self, proposal: Proposal, index: int) -> Step:
        """The account of a drawn token; the row is measured at the first one."""
        started = perf_counter()
        measured = proposal.measured(self._request.top_logprobs)
        self._clock.measure_s += perf_counter() - started
        return proposal.step(index, measured)

    def _two_draws(self, branch: _Branch, proposal: Proposal) -> tuple[int, tuple[bool, bool]]:
        """The first of two drawn tokens, and whether each fits the budget."""
        assert branch.matcher is not None, "a finished branch draws"
        left = self._budget - branch.n_tokens - 1
        drawn = [proposal.draw(u) for u in self._rng.random(2)]
        started = perf_counter()
        first, second = (
            token_id in self._end_ids or branch.matcher.fits_after(token_id, left)
            for token_id in map(proposal.token_id, drawn)
        )
        self._clock.mask_s += perf_counter() - started
        return drawn[0], (first, second)

    def _within(self, branch: _Branch, proposal: Proposal) -> Proposal:
        """The part of a proposal that fits the budget."""
        assert branch.matcher is not None, "a finished branch draws"
        started = perf_counter()
        branch.matcher.fill_mask_within(self._mask, self._budget - branch.n_tokens - 1)
        self._clock.mask_s += perf_counter() - started
        return proposal.within(self._mask)

    def _decode(self, children: dict[_Branch, list[_Branch]]) -> dict[_Branch, Logits]:
        """Give each new branch a sequence, and evaluate its token."""
        for branch, born in children.items():
            if not born:
                self._cache.drop(branch.sequence)
                self._free.append(branch.sequence)
        fresh = []
        for branch, born in children.items():
            for child in born[1:]:
                child.sequence = self._free.pop()
                self._cache.copy(branch.sequence, child.sequence)
            if born:
                born[0].sequence = branch.sequence
            fresh += born
        if not fresh:
            return {}
        started = perf_counter()
        rows = self._cache.feed(
            [self._cache.extend(b.sequence, [b.step.token_id]) for b in fresh if b.step]
        )
        self._clock.decode_s += perf_counter() - started
        return dict(zip(fresh, rows, strict=True))

    def _result(self) -> Result:
        if log_sum(self._log_weights) == -math.inf:
            raise self._nothing_left()
        chosen = self._particles[pick(self._log_weights, self._rng.random())]
        steps = chosen.steps()
        clock = self._clock
        return Result(
            text=_text(steps),
            finish_reason="stop",
            steps=tuple(steps[:-1]),
            end=steps[-1],
            shortened=chosen.shortened,
            prompt_tokens=len(self._request.prompt),
            n_model_calls=self._cache.model.n_calls - self._calls,
            timings=Timings(
                prompt_s=clock.prompt_s,
                decode_s=clock.decode_s,
                mask_s=clock.mask_s,
                sample_s=clock.sample_s,
                measure_s=clock.measure_s,
                total_s=perf_counter() - clock.started,
            ),
            grammar=self._request.grammar,
            faithful=self._account(),
        )

    def _account(self) -> Faithful:
        shares = normalized(self._log_weights)
        particles = []
        for branch, log_weight, share in zip(
            self._particles, self._log_weights, shares, strict=True
        ):
            if share > 0:
                steps = branch.steps()
                ids = tuple(step.token_id for step in steps[:-1])
                particles.append(Particle(_text(steps), ids, float(share), float(log_weight)))
        # The grammar's own weights bend what is drawn; without them, the mean weight is the
        # validity.
        bias = np.array([branch.bias for branch in self._particles])
        return Faithful(
            particles=tuple(particles),
            log_validity=log_sum(self._log_weights - bias) - math.log(len(bias)),
            effective_sample_size=effective_ancestors(self._log_weights, self._ancestors),
            n_resampled=self._n_resampled,
        )


def _text(steps: list[Step]) -> str:
    """The text of whole output; the last step is its end token."""
    return b"".join(step.data for step in steps[:-1]).decode("utf-8", "replace")
