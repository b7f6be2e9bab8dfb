"""How Python's standard types look as text: ECMA-262 patterns, for the whole text.

Each pattern describes only text that pydantic reads back, and at least one spelling of every
value of its type. Where a type has many spellings (`2020-01-01 10:00Z`, `P1Y`, zone ids of
IPv6 addresses) the plain ISO 8601 or RFC spelling is taken. The patterns use no look-around.

Source: ISO 8601-1:2019 (dates, times, durations), RFC 9562 (UUID), RFC 4291 section 2.2 (IPv6),
RFC 3986 (URLs); the limits are those of `datetime`, `ipaddress` and of pydantic-core 2.50.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

_HEX = "[0-9a-fA-F]"
_DAYS_31 = "(?:0[1-9]|[12][0-9]|3[01])"
_DAYS_30 = "(?:0[1-9]|[12][0-9]|30)"
_DAYS_28 = "(?:0[1-9]|1[0-9]|2[0-8])"
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-{_DAYS_31}|(?:0[469]|11)-{_DAYS_30}|02-{_DAYS_28})"
    f"|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = f"{_HEX}{{1,4}}"
_WHOLE_NUMBER = "(?:0|[1-9][0-9]*)"
_DECIMAL = rf"{_WHOLE_NUMBER}(?:\.[0-9]+)?"

INTEGER = f"^-?{_WHOLE_NUMBER}$"
NUMBER = rf"^-?{_DECIMAL}(?:[eE][+-]?[0-9]{{1,6}})?$"
DATE = f"^{_DATE}$"
FRACTION = "^-?(?:0|[1-9][0-9]*)(?:/[1-9][0-9]*)?$"
COMPLEX = rf"^-?{_DECIMAL}(?:j|[+-]{_DECIMAL}j)?$"
ASCII = "^[\\u0000-\\u007f]*$"
# Of what email-validator takes: plain names, and top domains that it does not call special.
EMAIL = (
    r"^[A-Za-z0-9](?:[._+-]?[A-Za-z0-9]){0,31}@(?:[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}\.){1,2}"
    r"(?:[A-Za-z]{2,3}|[A-Za-z]{6}|info|name|mobi|jobs|blog|shop|site|tech|news|email|cloud)$"
)
_BLANK = r"\u0009-\u000d \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def time(zone: str = "any") -> str:
    """A time of day; `zone` is "any", "aware" (an offset is there) or "naive" (none is)."""
    return f"^{_CLOCK}{_zone(zone)}$"


def date_time(zone: str = "any") -> str:
    """A date and a time of day, separated by `T`; `zone` as for `time`."""
    return f"^{_DATE}T{_CLOCK}{_zone(zone)}$"


def _zone(zone: str) -> str:
    return {"any": f"{_ZONE}?", "aware": _ZONE, "naive": ""}[zone]


def duration() -> str:
    """An ISO 8601 duration in weeks, or in days, hours, minutes and seconds.

    Every `timedelta` has a spelling, from -P999999999D to P999999999DT23H59M59.999999S;
    larger ones have none. Years and months, which no `timedelta` has, are left out.
    """
    free = _clock_parts("[0-9]{1,6}", "[0-9]{1,6}", "[0-9]{1,6}")
    strict = _clock_parts("(?:[01]?[0-9]|2[0-3])", "[0-5]?[0-9]", "[0-5]?[0-9]")
    small = f"[0-9]{{1,8}}W|[0-9]{{1,8}}D(?:{free})?|{free}"
    below_most = "|".join("9" * i + f"[0-8][0-9]{{{8 - i}}}" for i in range(9))
    return f"^(?:-?P(?:{small}|[0-9]{{9}}D)|P[0-9]{{9}}D{strict}|-P(?:{below_most})D{strict})$"


def _clock_parts(hours: str, minutes: str, seconds: str) -> str:
    second = rf"{seconds}(?:\.[0-9]{{1,6}})?S"
    return f"T(?:{hours}H(?:{minutes}M)?(?:{second})?|{minutes}M(?:{second})?|{second})"


def uuid(version: int | None = None) -> str:
    """A UUID with hyphens, of one version or of any."""
    third, fourth = f"{_HEX}{{4}}", f"{_HEX}{{4}}"
    if version is not None:
        third, fourth = f"{version}{_HEX}{{3}}", f"[89abAB]{_HEX}{{3}}"
    return f"^{_HEX}{{8}}-{_HEX}{{4}}-{third}-{fourth}-{_HEX}{{12}}$"


def ip_address(versions: Iterable[int]) -> str:
    """An address of IP version 4 or 6; no zone id."""
    return _any_of(_address(version) for version in versions)


def ip_interface(versions: Iterable[int]) -> str:
    """An address, or an address with the length of its network's prefix."""
    prefixes = {4: "(?:3[0-2]|[12]?[0-9])", 6: "(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])"}
    return _any_of(f"{_address(item)}(?:/{prefixes[item]})?" for item in versions)


def ip_network(versions: Iterable[int]) -> str:
    """An address with a prefix length after which all bits are 0, or a single address."""
    networks = {4: _networks_4, 6: _networks_6}
    return _any_of(
        option for item in versions for option in (_address(item), *networks[item]())
    )


def _any_of(options: Iterable[str]) -> str:
    return f"^(?:{'|'.join(options)})$"


def _address(version: int) -> str:
    return {4: _IPV4, 6: _ipv6()}[version]


def _ipv6() -> str:
    group = f"(?:{_GROUP}:)"
    options = [f"{group}{{7}}{_GROUP}", f"{group}{{1,7}}:", f":(?::{_GROUP}){{1,7}}", "::"]
    options += [f"{group}{{1,{7 - after}}}(?::{_GROUP}){{1,{after}}}" for after in range(1, 7)]
    options += [f"{group}{{6}}{_IPV4}", f"::{group}{{0,5}}{_IPV4}"]
    options += [f"{group}{{{n}}}:{group}{{0,{5 - n}}}{_IPV4}" for n in range(1, 6)]
    return f"(?:{'|'.join(options)})"


def _networks_4() -> Iterable[str]:
    for prefix in range(33):
        octets = [_OCTET] * (prefix // 8)
        if prefix % 8:
            step = 2 ** (8 - prefix % 8)
            octets.append(f"(?:{'|'.join(str(n) for n in range(0, 256, step))})")
        octets += ["0"] * (4 - len(octets))
        yield r"\.".join(octets) + f"/{prefix}"


def _networks_6() -> Iterable[str]:
    last_digits = ("", "[08]", "[048cC]", "[02468aceACE]")
    for prefix in range(129):
        groups = [_GROUP] * (prefix // 16)
        if prefix % 16:
            digits = _HEX * (prefix % 16 // 4) + last_digits[prefix % 4]
            n_digits = prefix % 16 // 4 + (prefix % 4 > 0)
            groups.append(digits + "0" * (4 - n_digits))
        n_zeros = 8 - len(groups)
        written = ":".join(groups)
        if n_zeros:
            zeros = ":0" * n_zeros if groups else "0" + ":0" * 7
            written = f"{written}(?:::|{zeros})"
        yield f"{written}/{prefix}"


def base64(low: int, high: int | None, *, url_safe: bool) -> str:
    """Base64 (RFC 4648) of `low` to `high` bytes, with padding and no unused bits set."""
    char = f"[A-Za-z0-9{'_-' if url_safe else '+/'}]"
    tails = ("", f"{char}[AQgw]==", f"{char}{{2}}[AEIMQUYcgkosw048]=")
    options = []
    for n_bytes, tail in enumerate(tails):
        fewest = max(0, -((n_bytes - low) // 3))
        most = None if high is None else (high - n_bytes) // 3
        if most is None or most >= fewest:
            options.append(f"(?:{char}{{4}}){{{fewest},{'' if most is None else most}}}{tail}")
    return _any_of(options)


def base64_of_ascii(*, url_safe: bool) -> str:
    """Base64 with padding of bytes below 128, so that the bytes are UTF-8."""
    first = "[A-Za-f]"  # the top bit of byte 1 is 0
    second = "[A-HQ-Xg-nw-z0-3]"  # the top bit of byte 2 (value 8) is 0
    third = "[ABEFIJMNQRUVYZcdghklopstwx014589]"  # the top bit of byte 3 (value 2) is 0
    last = f"[A-Za-z0-9{'_-' if url_safe else '+/'}]"
    return (
        f"^(?:{first}{second}{third}{last})*"
        f"(?:{first}[AQgw]==|{first}{second}[AEIMQUYcgkosw048]=)?$"
    )


def hex_bytes(low: int, high: int | None) -> str:
    """Bytes as pairs of hexadecimal digits."""
    return f"^(?:{_HEX}{{2}}){{{low},{'' if high is None else high}}}$"


def url(schemes: Sequence[str] | None) -> str:
    """A URL with a host name or IPv4 address; without `schemes`, of any scheme.

    Hosts are plain ASCII names whose last label begins with a letter, without punycode. A user
    name, a password, a port (not for `file`), a path, a query and a fragment may be there.
    Without `schemes` the form `name:path` of mailto, urn, tel and news is there too.
    """
    char = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%{_HEX}{{2}})"
    label = "[A-Za-z0-9](?:-?[A-Za-z0-9])*"
    host = rf"(?:(?:{label}\.)*[A-Za-z](?:-?[A-Za-z0-9])*|{_IPV4})"
    port = "(?:6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
    user = "[A-Za-z0-9._~-]+"
    rest = rf"(?:/(?:{char}|/)*)?(?:\?(?:{char}|[/?])*)?(?:#(?:{char}|[/?])*)?"
    full = f"://(?:{user}(?::{user})?@)?{host}(?::{port})?{rest}"
    plain = f"://{host}{rest}"
    if schemes is None:
        return (
            f"^(?:(?:https?|wss?|ftp){full}|[a-z][a-z0-9+.-]*{plain}"
            f"|(?:mailto|urn|tel|news):{char}+)$"
        )
    names = [item.replace("+", r"\+").replace(".", r"\.") for item in schemes]
    return _any_of(item + (plain if item == "file" else full) for item in names)


def decimal(max_digits: int | None, decimal_places: int | None, *, special: bool) -> str:
    """A decimal number as text, within digit limits; `special` adds NaN and Infinity.

    Without limits, exponents of up to six digits are allowed. Where all digits may follow the
    point, none stands before it, and `0` alone is none of the texts: pydantic counts its zero.
    """
    if max_digits is None and decimal_places is None:
        extra = "|NaN|-?Infinity" if special else ""
        return rf"^(?:-?{_DECIMAL}(?:[eE][+-]?[0-9]{{1,6}})?{extra})$"
    if max_digits is None:
        return f"^-?{_WHOLE_NUMBER}{_fraction(decimal_places or 0)}$"
    if decimal_places is not None and decimal_places >= max_digits:
        return rf"^-?0\.[0-9]{{1,{max_digits}}}$"
    places = range(max_digits + 1) if decimal_places is None else (decimal_places,)
    return _any_of(f"-?{_whole(max_digits - n)}{_fraction(n)}" for n in places)


def _whole(n_digits: int) -> str:
    return f"(?:0|[1-9][0-9]{{0,{n_digits - 1}}})" if n_digits > 0 else "0"


def _fraction(n_digits: int) -> str:
    return rf"(?:\.[0-9]{{1,{n_digits}}})?" if n_digits else ""


TRANSFORMATIONS = ("strip_whitespace", "to_lower", "to_upper")


def unchanged_by(transformation: str) -> str:
    """A pattern for text that one of pydantic's `TRANSFORMATIONS` leaves alone.

    Text is checked after it was stripped or its case changed; text that is so already is
    checked as it stands, and no value is lost.
    """
    if transformation == "strip_whitespace":
        edge = f"[^{_BLANK}]"
        return rf"^(?:{edge}(?:[\s\S]*{edge})?)?$"
    return f"^[^{_changed(str.lower if transformation == 'to_lower' else str.upper)}]*$"


def _changed(convert: Callable[[str], str]) -> str:
    """The characters that `convert` changes, as they stand in a class."""
    codes = [code for code in range(0x20000) if convert(chr(code)) != chr(code)]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\u{{{low:x}}}-\\u{{{high:x}}}" for low, high in ranges)


def all_of(patterns: Sequence[str]) -> dict[str, object]:
    """JSON Schema keywords that demand every one of some patterns."""
    if not patterns:
        return {}
    more = [{"pattern": pattern} for pattern in patterns[1:]]
    return {"pattern": patterns[0], **({"allOf": more} if more else {})}
