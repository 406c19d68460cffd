"""Money: millionths inside, decimal strings at the border, and splits whose parts add up. Never a float amount.

Amounts are integers in millionths of a currency; exact quotients are Fractions of whole currency units.
Conversion between currencies is in ``exchange``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from connectors.contract import MICRO
from service.kpi.measure import SIGNIFICANT_DIGITS

PLACES = 6
_DEFAULT_MINOR = 2
_MINOR = {
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(
        (
            *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
            *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
        ),
        0,
    ),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_DIGITS = 60


def minor_places(currency: str) -> int:
    """Return the decimal places of a currency's minor unit (ISO 4217): JPY 0, KWD 3, EUR 2."""
    return _MINOR.get(currency, _DEFAULT_MINOR)


def minor_unit(currency: str) -> int:
    """Return the minor unit in millionths: a cent is 10,000."""
    return MICRO // int(10 ** minor_places(currency))


def millionths(text: str | Decimal | int) -> int:
    """Return an exact amount in millionths. Raises ValueError for no number or more than six decimals."""
    try:
        scaled = Fraction(Decimal(text)) * MICRO
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError("not an exact amount") from error
    if scaled.denominator != 1:
        raise ValueError("an amount has at most six decimals")
    return int(scaled)


def amount_text(amount: int, currency: str) -> str:
    """Return millionths as an exact decimal string with at least the places of the minor unit: ``12.50``."""
    return price_text(Fraction(amount, MICRO), currency)


def price_text(price: Fraction, currency: str) -> str:
    """Return whole units rounded half to even to six places, zeros trimmed down to the minor unit's places."""
    rounded = Decimal(round(price * MICRO)).scaleb(-PLACES)
    return _trimmed(rounded, minor_places(currency))


def limit_text(limit: float, currency: str) -> str:
    """Return a limit of an interval, which is an estimate, as a decimal string with twelve significant digits."""
    exact = Decimal(f"{limit:.{SIGNIFICANT_DIGITS}g}")
    return _trimmed(exact, minor_places(currency))


def _trimmed(number: Decimal, places: int) -> str:
    text = f"{number:f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(places, "0")
    return f"{whole}.{decimals}" if decimals else whole


def largest_remainder(total: int, weights: Sequence[int | float | Fraction]) -> list[int]:
    """Split an integer by weights so that the parts add up; ties go to the earliest. A negative total is mirrored.

    Raises ValueError for negative weights and for weights that are all zero.
    """
    exact = [Fraction(weight) for weight in weights]
    whole = sum(exact)
    if whole <= 0 or min(exact) < 0:
        raise ValueError("weights are not negative, and one is above zero")
    quotas = [abs(total) * weight / whole for weight in exact]
    parts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - quotas[i], i))
    for i in by_remainder[: abs(total) - sum(parts)]:
        parts[i] += 1
    return parts if total >= 0 else [-part for part in parts]


def split(amount: int, weights: Sequence[int | float | Fraction], currency: str) -> list[int]:
    """Split an amount in minor units, so that every part prints exactly; parts are in millionths and add up.

    What lies below the minor unit stays with the earliest part that has the largest weight.
    """
    unit = minor_unit(currency)
    sign = -1 if amount < 0 else 1
    minors, rest = divmod(abs(amount), unit)
    parts = [part * unit for part in largest_remainder(minors, weights)]
    parts[max(range(len(parts)), key=lambda i: (weights[i], -i))] += rest
    return [sign * part for part in parts]
