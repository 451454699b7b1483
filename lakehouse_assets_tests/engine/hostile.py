"""Hostile values, the same on every run: engines are known or suspected to disagree on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from lakehouse_assets.engine.vocabulary import WHITE_SPACE

_T = TypeVar("_T")
SIZE = 4000

NUMBERS = [
    None, "", " ", "\u3000", "\ufeff", "\u200b", "0", "-0", "+0", "00042", "42", "+42", "-42",
    "42.", "42.0", "42.000", "42.5", ".5", "-.5", "1.", ".", "-", "+", "--1", "+-1", "1e3", "1E3",
    "1e", "e3", "1e+3", "1e-3", "5e-3", "1e99", "1e100", "1_000", "1,000", "0x10", "1L", "1d", "1f",
    "NaN", "nan", "inf", "-Infinity", "null", "NULL", "true", " 42", "42 ", "\t42", "42\n", "4 2",
    "\uff14\uff12", "\u0664\u0662", "\u00b2", "\u00bd", "12abc", "999999999999999999",
    "-999999999999999999", "1000000000000000000", "9223372036854775807", "9223372036854775808",
    "99999999999999999999", "100000000000000000000", "0.005", "0.004999999999999999999", "-0.005",
    "1.255", "2.675", "1.005", "9999999999999999.99", "9999999999999999.994",
    "9999999999999999.995", "10000000000000000", "1e15", "1e16", "12345678901234567890.5e-4",
    "0.1", "123456789012345678.9", "\u20281",
]  # fmt: skip

SPECIAL_LETTERS = (
    "\u0130\u0131\u00df\u1e9e\u017f\u03a3\u03c3\u03c2\u0149\ufb01\u01c4\u01c5\u01c6\u1f80\u1f88"
    "\u00b5\u212a\u212b\u00ff\u0587\U00010400\U00010428\U0001f600"
)
WORDS = (
    "ΟΔΟΣ", "ὀδυσσεύς", "İstanbul", "ISTANBUL", "straße", "GROẞ", "o'neill", "O'NEILL",
    "mcDONALD", "jean-luc", "d\u2019Arc", "ﬁsh", "ŉdebele", "Ǆ ǅ ǆ", "são  paulo", " leading",
    "trailing ", "a\tb", "x\ny", "", " ", "\u3000tokyo\u3000", "\ufeffbom", "\u200bzero", "é",
    "\u0345", "𐐨𐐀", "\u017ftra\u017f\u017fe", "K\u212a", "\x0bvt", "a\x0bb", "\x85nel",
    "ls\u2028ps\u2029", "#7", "a#1L", "x AS y#2", "'quoted'", "\"double\"", "back\\slash", "$1",
    "\\1", "%_", "[a]", "(b", "a,b", ",", ",,",
)  # fmt: skip


def _made(seed: int, fixed: Sequence[_T], make: Callable[[random.Random], _T]) -> list[_T]:
    rng = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
    return [*fixed, *(make(rng) for _ in range(SIZE - len(fixed)))]


def texts() -> list[str | None]:
    """Words with blanks, marks, letters of many scripts, and characters beyond the first plane."""
    signs = [*WHITE_SPACE, *SPECIAL_LETTERS, *"aZ9'-_., #$\\\"", "é", "Ü", "漢", "\u0627", "\u0301"]

    def make(rng: random.Random) -> str | None:
        if rng.random() < 0.02:
            return None
        if rng.random() < 0.2:
            return "".join(chr(_code(rng)) for _ in range(rng.randrange(8)))
        return "".join(rng.choice(signs) for _ in range(rng.randrange(12)))

    return _made(1, [None, *WORDS, *WHITE_SPACE, *SPECIAL_LETTERS], make)


def _code(rng: random.Random) -> int:
    code = rng.choice(
        [rng.randrange(1, 0x600), rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x1FFFF)]
    )
    return code


def moments_as_text() -> list[str | None]:
    """Moments in many notations, some of days and hours that do not exist."""
    fixed = [
        None, "", "2021-09-05T06:00:00Z", "2021-09-05 06:00:00", "2021-09-05t06:00:00Z",
        "2021-02-29T00:00:00Z", "2024-02-29T23:59:59.999999999Z", "2021-09-05T24:00:00Z",
        "2021-09-05T23:60:00Z", "2021-09-05T23:59:60Z", "2021-09-05", "2021-09-05T06:00Z",
        "2021-09-05T06:00:00+00:00", "2021-09-05T06:00:00+02:00", "2021-09-05T06:00:00.Z",
        "2021-09-05T06:00:00.5", " 2021-09-05T06:00:00Z", "2021-09-05T06:00:00Z\n",
        "2021-9-5T06:00:00Z", "0000-01-01T00:00:00Z", "1000-01-01T00:00:00Z",
        "1582-10-10T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "+2021-09-05T06:00:00Z",
        "2021-09-05T06:00:00.1234567Z", "2021-09-05T06:00:00.0000000001Z", "now", "epoch",
        "20210905T060000Z", "2021-09-05T06:00:00 UTC", "infinity", "2021-13-01T00:00:00Z",
    ]  # fmt: skip

    def make(rng: random.Random) -> str | None:
        day = f"{rng.randrange(1000, 10_000)}-{rng.randrange(14):02}-{rng.randrange(33):02}"
        clock = ":".join(f"{rng.randrange(62):02}" for _ in range(3))
        part = rng.choice(["", ".", f".{rng.randrange(10 ** rng.randrange(1, 11))}"])
        return f"{day}{rng.choice('T  Tt')}{clock}{part}{rng.choice(['Z', '', '+00:00', 'z'])}"

    return _made(12, fixed, make)


def numbers_as_text() -> list[str | None]:
    """Numbers, almost numbers, and numbers of too many digits."""

    def make(rng: random.Random) -> str | None:
        whole = "".join(rng.choice("0123456789") for _ in range(rng.randrange(23)))
        part = "".join(rng.choice("00455599") for _ in range(rng.choice([0, 0, 1, 3, 12, 45])))
        exponent = rng.choice(["", "", "", "e", "E"])
        if exponent:
            exponent += rng.choice(["", "+", "-"]) + rng.choice(
                ["", "0", "3", "7", "18", "25", "99"]
            )
        point = rng.choice([".", ".", "", ",", ".."])
        return rng.choice(["", "", "+", "-", " ", "--"]) + whole + point + part + exponent

    return _made(2, NUMBERS, make)


def dates_as_text() -> list[str | None]:
    """Dates in several orders, days that do not exist, and text around them."""
    fixed = [
        None, "", "2/29/2014", "2/29/2016", "2/29/1900", "2/29/2000", "02/09/2014", "0/1/2014",
        "1/0/2014", "13/1/2014", "1/32/2014", "4/31/2014", "12/31/9999", "1/1/1000", "1/1/0999",
        "2014-02-29", "2016-2-29", "2014-1-1", "2014-01-01T00:00", "2014-1-1x", " 2014-01-01",
        "2014-01-01 ", "2014-01-01\n", "20140101", "\uff12014-01-01", "1/2/2014 10:00",
        "1582-10-10", "10/10/1582", "1/1/12014", "2014/1/1", "1.2.2014", "-2014-01-01",
        "+2014-01-01", "2014--1-1",
    ]  # fmt: skip

    def make(rng: random.Random) -> str | None:
        year = rng.choice([rng.randrange(990, 2110), rng.randrange(1000, 9999), 2014, 2016, 1900])
        month, day = rng.randrange(14), rng.randrange(33)
        if rng.random() < 0.2:
            month, day = 2, rng.choice([28, 29, 30])
        width = rng.choice(["", "02", "02", "03"])
        m, d = format(month, width), format(day, width)
        a, b = rng.choice("/-. "), rng.choice("//-")
        return rng.choice([f"{m}{b}{d}{b}{year}", f"{year}{b}{m}{b}{d}", f"{d}{a}{m}{b}{year}"])

    return _made(3, fixed, make)


def doubles() -> list[float | None]:
    """Halves, neighbours of halves, very large and very small ones."""
    fixed = [
        None, 0.0, -0.0, 1.255, 2.675, -1.005, 0.5, -0.5, 1.5, 2.5, 1e-7, 5e-324, 1e22, 1e23, 2e23,
        1e29, 1e35, 1e37, 1e38, 1e300, -1e300, 1.7976931348623157e308, 9007199254740993.0, 2**-44,
        4.35, 0.045, 0.285, 1.0049999999999999, float("inf"), float("-inf"), 2.0e-3, 0.1 + 0.2,
        99999999.995, 12345678.125, 999999999999.995, 9999999999999.5, 123456789012345.67,
    ]  # fmt: skip

    def make(rng: random.Random) -> float | None:
        kind = rng.randrange(6)
        if kind == 0:
            half = Decimal(2 * rng.randrange(10 ** rng.randrange(1, 13)) + 1) / 2
            return float(half.scaleb(-rng.randrange(7)))
        if kind == 1:
            # Sixteen digits of which the last is a five: the limit of what a double tells apart.
            whole = rng.randrange(10**14, 10**15)
            return float(Decimal(whole * 10 + 5).scaleb(-rng.randrange(1, 9)))
        if kind == 2:
            return rng.uniform(-10, 10)
        if kind == 3:
            return rng.uniform(-1e20, 1e20)
        if kind == 4:
            return rng.choice([-1, 1]) * 10 ** rng.uniform(-310, 300)
        return rng.randrange(-(10**9), 10**9) / 1000

    return _made(4, fixed, make)


def decimals(scale: int, digits: int = 18) -> list[Decimal | None]:
    """Decimals of 18 digits with ties and extremes."""
    limit = 10**digits - 1
    fixed = [None, *(Decimal(n).scaleb(-scale) for n in (0, 1, -1, 5, -5, 15, limit, -limit))]

    def make(rng: random.Random) -> Decimal | None:
        number = rng.randrange(-limit, limit) // 10 ** rng.randrange(digits)
        return Decimal(number * 10 + 5 if abs(number) < limit // 10 else number).scaleb(-scale)

    return _made(5, fixed, make)


def whole_numbers(limit: int = 10**18 - 1) -> list[int | None]:
    """Whole numbers of all sizes."""
    fixed = [None, 0, 1, -1, 6, 7, -7, limit, -limit]
    return _made(
        6, fixed, lambda rng: rng.randrange(-limit, limit) // 10 ** rng.randrange(len(str(limit)))
    )


def days() -> list[date | None]:
    """Days from 1000 on, ends of months and leap days among them."""
    fixed = [
        None, date(1000, 1, 1), date(9990, 12, 31), date(1582, 10, 4), date(1582, 10, 15),
        date(1899, 12, 31), date(1900, 2, 28), date(1970, 1, 1), date(1969, 12, 31),
        date(2000, 2, 29), date(2014, 2, 28), date(2016, 2, 29), date(2014, 3, 1),
    ]  # fmt: skip
    first, last = date(1000, 1, 1), date(9990, 12, 31)
    span = (last - first).days
    return _made(7, fixed, lambda rng: first + timedelta(days=rng.randrange(span)))


def paired(values: Sequence[Any], seed: int) -> list[Any]:
    """Return the same values in another order."""
    shuffled = list(values)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - nothing is kept secret with it
    return shuffled
