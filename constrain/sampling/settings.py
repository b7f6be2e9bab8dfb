"""What a user sets about sampling: one frozen, validated dataclass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from constrain.arguments import as_float, as_int, require, unfit
from constrain.errors import ArgumentError, shorten
from constrain.logprobs.paths import parse_pattern

ORDER = (
    "temperature",
    "top_n_sigma",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "xtc",
    "mirostat",
)
"""The steps after the mask, in their default order."""

_MAX_SEED = 2**64
_MAX_INT = 2**63
_MOST_REPEAT = 1e3

MOST = 1e6
"""The greatest number, in size, that a setting may be: far beyond any use, and its products
with logits and counts stay finite in float32."""

_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda x: x >= 0, "0 (greedy) or more"),
    "dynamic_temperature_range": (lambda x: x >= 0, "0 (off) or more"),
    "dynamic_temperature_exponent": (lambda x: x > 0, "more than 0"),
    "top_n_sigma": (lambda x: x >= 0, "0 (off) or more"),
    "top_p": (lambda x: 0 < x <= 1, "0 < top_p <= 1 (off)"),
    "min_p": (lambda x: 0 <= x <= 1, "0 (off) <= min_p <= 1"),
    "typical_p": (lambda x: 0 < x <= 1, "0 < typical_p <= 1 (off)"),
    "xtc_probability": (lambda x: 0 <= x <= 1, "0 (off) <= xtc_probability <= 1"),
    "xtc_threshold": (lambda x: 0 < x <= 1, "0 < xtc_threshold <= 1"),
    "mirostat_tau": (lambda x: x > 0, "more than 0"),
    "mirostat_eta": (lambda x: x > 0, "more than 0"),
    "repeat_penalty": (
        lambda x: 1 / _MOST_REPEAT <= x <= _MOST_REPEAT,
        "0.001 to 1000; 1 is off",
    ),
    "frequency_penalty": (lambda _: True, "a number"),
    "presence_penalty": (lambda _: True, "a number"),
    "dry_multiplier": (lambda x: x >= 0, "0 (off) or more"),
    "dry_base": (lambda x: x >= 1, "1 or more"),
}
_INTEGERS: dict[str, tuple[int, str]] = {
    "mirostat": (0, "0 (off), 1 or 2"),
    "top_k": (0, "an int, 0 (off) or more"),
    "penalty_window": (-1, "an int, -1 (all tokens) or more"),
    "dry_window": (-1, "an int, -1 (all tokens) or more"),
    "dry_allowed_length": (1, "an int, 1 or more"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a token is chosen from the logits; the defaults sample the model's own distribution.

    A step begins with what changes single logits, in this order: `logit_bias` and the
    automaton's bias, repetition, frequency and presence penalties, DRY, bans. Then comes the
    mask, and after it the steps in `order`, by default: temperature, top-n-sigma, top-k, top-p,
    min-p, typical-p, XTC, mirostat; then a token is drawn. The mask comes before the truncating
    steps, so that they never leave an empty set. The formulas are in
    `constrain.sampling.processors`.

    Penalties, DRY and mirostat look at the tokens that were chosen, not at the prompt and not
    at text that the grammar forced.

    Attributes:
        temperature: divides the logits; 0 takes the greatest one (lowest id among equals) and
            uses no random number.
        dynamic_temperature_range: the temperature moves by so much up and down with the entropy
            of the distribution; 0 is off.
        dynamic_temperature_exponent: how it moves: share of the greatest entropy to this power.
        top_n_sigma: keeps logits within so many standard deviations of the greatest; 0 is off.
        top_k: keeps the k greatest; 0 is off.
        top_p: keeps the smallest set with at least this probability, in (0, 1]; 1 is off.
        min_p: drops tokens below this share of the greatest probability, in [0, 1]; 0 is off.
        typical_p: keeps the most typical set with at least this probability; 1 is off.
        xtc_probability: how often XTC is applied; 0 is off.
        xtc_threshold: XTC drops all tokens with this probability or more but the least
            probable of them.
        mirostat: 0 (off), 1 or 2: which version keeps the surprise of the text near
            `mirostat_tau`. It comes last; the other steps are usually left off with it.
        mirostat_tau: the surprise aimed at, in bits a token.
        mirostat_eta: how fast it learns, in (0, 1] as a rule.
        repeat_penalty: divides positive and multiplies other logits of tokens seen, by 0.001 to
            1000; 1 is off.
        frequency_penalty: subtracted from a token's logit for each time it was seen.
        presence_penalty: subtracted once from the logit of each token seen.
        penalty_window: how many tokens count as seen: the last ones among those that penalties
            look at, however far back these lie in the text; 0 turns penalties off, -1 counts
            all.
        penalize_structure: whether, under a grammar, penalties and DRY also count structural
            tokens: those whose text is nothing but JSON's punctuation `{}[]":,` and white
            space. By default they do not, since a penalty on a quote or a comma breaks the
            form, not the repetition. Without a grammar every token counts.
        dry_multiplier: DRY's penalty in nats for the shortest repetition that it minds; 0 is
            off.
        dry_base: it grows by this factor with each token of the repetition.
        dry_allowed_length: repeated sequences shorter than so many tokens are not minded.
        dry_window: how many tokens DRY compares: the last ones among those it looks at, where
            a gap between them counts as one; -1: all.
        dry_breakers: no repetition goes on across these texts, and the tokens that hold one
            have no DRY penalty.
        logit_bias: added to logits. A key is a token id, or a text: the token whose bytes are
            exactly this text and the one that is a space and this text (`"JSON"` is `JSON` and
            ` JSON`), where the vocabulary has them; control tokens are never meant by a text.
            A text that is no single token is an error when the sampler is made, for a bias on
            its pieces would change other words. -inf bans a token; +100 about forces it. Such a
            ban never yields: where all that a grammar allows is banned by -inf, generation ends
            with a DecodeError (see `banned`, which yields).
        logit_bias_at: the same for some places of a JSON text, by path: `{"$.city": {"Rome":
            1.5}, "$.items[*].name": …}`; `[*]` is any item and `.*` any member. It holds for
            tokens that begin where the value may begin, or inside of it. Biases of several
            paths add up, `logit_bias` included. Only under a grammar of JSON, and an error
            where no text of the grammar has a value at the path.
        banned: texts that must not be written, however they are split into tokens: a token
            that would complete one, given the bytes of the output so far, cannot come. The
            comparison is of bytes, so `cat` also bans `cats` and `concatenate`, but not `Cat`.
            Under a grammar the ban yields where it would leave no token that can come, and
            forced text is not looked at: a grammar that demands a text gets it. It looks no
            further than one token: of the choices yes and no with `yes` banned, `y` can come,
            and demands the rest. To exclude a text from what a grammar allows, say so in the
            grammar.
        order: the steps after the mask; every step that is on is in it once, and mirostat is
            the last. `temperature` after the others gives llama.cpp's default chain.
        seed: the same seed, model and input give the same tokens; None takes one at random.

    Numbers may come from numpy, and are kept as Python numbers. None may be beyond 1e6 in size.

    Raises:
        ArgumentError: a value is out of range or of another type; it names the field.
    """

    temperature: float = 1.0
    dynamic_temperature_range: float = 0.0
    dynamic_temperature_exponent: float = 1.0
    top_n_sigma: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    penalize_structure: bool = False
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_window: int = -1
    dry_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    logit_bias: Mapping[int | str, float] = field(default_factory=dict)
    logit_bias_at: Mapping[str, Mapping[int | str, float]] = field(default_factory=dict)
    banned: tuple[str, ...] = ()
    order: tuple[str, ...] = ORDER
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every field; collections are copied, so that they cannot change later."""
        for name, (holds, expected) in _NUMBERS.items():
            number = _checked_number(name, getattr(self, name))
            require(holds(number), name, getattr(self, name), expected)
            object.__setattr__(self, name, number)
        for name, (least, expected) in _INTEGERS.items():
            whole = _checked_integer(name, getattr(self, name), least, _MAX_INT, expected)
            object.__setattr__(self, name, whole)
        require(self.mirostat <= 2, "mirostat", self.mirostat, "0 (off), 1 or 2")  # noqa: PLR2004 - its versions
        if self.seed is not None:
            expected = "None or an int in [0, 2**64)"
            seed = _checked_integer("seed", self.seed, 0, _MAX_SEED, expected)
            object.__setattr__(self, "seed", seed)
        structure = self.penalize_structure
        require(isinstance(structure, bool), "penalize_structure", structure, "True or False")
        object.__setattr__(self, "logit_bias", _checked_bias("logit_bias", self.logit_bias))
        object.__setattr__(self, "logit_bias_at", _checked_places(self.logit_bias_at))
        object.__setattr__(self, "banned", _texts("banned", self.banned))
        object.__setattr__(self, "dry_breakers", _texts("dry_breakers", self.dry_breakers))
        object.__setattr__(self, "order", _checked_order(self.order, self._steps_on))

    def __reduce__(self) -> tuple[Callable[..., Sampling], tuple[dict[str, object]]]:
        """Pickle by value: the read-only views of the biases cannot be pickled themselves."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["logit_bias"] = dict(self.logit_bias)
        values["logit_bias_at"] = {at: dict(bias) for at, bias in self.logit_bias_at.items()}
        return _restored, (values,)

    def __hash__(self) -> int:
        """Hash of all fields; equal settings have equal hashes."""
        biases = ("logit_bias", "logit_bias_at")
        values = (getattr(self, item.name) for item in fields(self) if item.name not in biases)
        placed = ((at, frozenset(bias.items())) for at, bias in self.logit_bias_at.items())
        return hash((*values, frozenset(self.logit_bias.items()), frozenset(placed)))

    @property
    def penalizes(self) -> bool:
        """Whether the tokens seen so far change any logit by repetition, by themselves."""
        off = (
            self.repeat_penalty == 1
            and self.frequency_penalty == 0
            and self.presence_penalty == 0
        )
        return self.penalty_window != 0 and not off

    @property
    def uses_dry(self) -> bool:
        """Whether repeated sequences of tokens change any logit."""
        return self.dry_multiplier > 0 and self.dry_window != 0

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done after the mask: the steps that are on, in their order.

        >>> Sampling(temperature=0.7, min_p=0.05).steps
        ('temperature', 'min_p')
        """
        return tuple(name for name in self.order if name in self._steps_on)

    @property
    def _steps_on(self) -> frozenset[str]:
        on = {
            "temperature": self.temperature != 1 or self.dynamic_temperature_range > 0,
            "top_n_sigma": self.top_n_sigma > 0,
            "top_k": self.top_k > 0,
            "top_p": self.top_p < 1,
            "min_p": self.min_p > 0,
            "typical_p": self.typical_p < 1,
            "xtc": self.xtc_probability > 0,
            "mirostat": self.mirostat > 0,
        }
        return frozenset(name for name in ORDER if on[name])


def _checked_number(name: str, value: object) -> float:
    number = as_float(value)
    if number is None or not math.isfinite(number):
        raise unfit(name, value, "a finite number")
    require(abs(number) <= MOST, name, value, "a number from -1e6 to 1e6")
    return number


def _checked_integer(name: str, value: object, least: int, end: int, expected: str) -> int:
    number = as_int(value)
    if number is None or not least <= number < end:
        raise unfit(name, value, expected)
    return number


def _restored(values: dict[str, object]) -> Sampling:
    return Sampling(**values)  # type: ignore[arg-type]  # the fields of one that was checked


def _texts(name: str, texts: object) -> tuple[str, ...]:
    """The texts as a tuple; each is not empty and can be written as UTF-8."""
    is_list = isinstance(texts, tuple | list | set | frozenset)
    require(is_list, name, texts, "a tuple of texts")
    chosen: list[str] = []
    for text in texts:  # type: ignore[attr-defined]  # checked above
        require(isinstance(text, str) and text != "", name, text, "texts that are not empty")
        require(_is_utf8(text), name, text, "text without lone surrogates")
        chosen.append(text)
    return tuple(sorted(chosen) if isinstance(texts, set | frozenset) else chosen)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked_order(order: object, on: frozenset[str]) -> tuple[str, ...]:
    require(isinstance(order, tuple | list), "order", order, "a tuple of step names")
    names: tuple[str, ...] = tuple(order)  # type: ignore[arg-type]  # checked above
    known = all(name in ORDER for name in names)
    require(known, "order", order, f"names among {', '.join(ORDER)}")
    require(len(set(names)) == len(names), "order", order, "each step once")
    missing = ", ".join(name for name in ORDER if name in on and name not in names)
    require(not missing, "order", order, f"every step that is on; it lacks {missing}")
    last = "mirostat" not in names[:-1]
    require(last, "order", order, "mirostat last, for it learns from what was drawn")
    return names


def _checked_bias(
    field_name: str, logit_bias: Mapping[int | str, float]
) -> Mapping[int | str, float]:
    """A read-only copy."""
    require(isinstance(logit_bias, Mapping), field_name, logit_bias, "a mapping")
    checked: dict[int | str, float] = {}
    for key, value in logit_bias.items():
        token = key if isinstance(key, str) else as_int(key)
        if token is None or token == "":
            expected = "a token id or a text that is not empty"
            raise unfit(f"{field_name} key", key, expected)
        name = f"{field_name}[{shorten(key)}]"
        number = as_float(value)
        if number is None or math.isnan(number) or number == math.inf:
            raise unfit(name, value, "a finite number or -inf (ban)")
        in_range = abs(number) <= MOST or number == -math.inf
        require(in_range, name, value, "a number from -1e6 to 1e6, or -inf (ban)")
        checked[token] = number
    return MappingProxyType(checked)


def _checked_places(
    places: Mapping[str, Mapping[int | str, float]],
) -> Mapping[str, Mapping[int | str, float]]:
    """A read-only copy, by the paths as they were given."""
    require(isinstance(places, Mapping), "logit_bias_at", places, "a mapping")
    checked = {}
    for path, bias in places.items():
        require(isinstance(path, str), "logit_bias_at key", path, "a path such as $.name")
        try:
            parse_pattern(path)
        except ValueError as error:
            message = f"logit_bias_at: {error}"
            raise ArgumentError(message, name="logit_bias_at", value=path) from None
        checked[path] = _checked_bias(f"logit_bias_at[{shorten(path)}]", bias)
    return MappingProxyType(checked)
