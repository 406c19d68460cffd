"""What people type and what must exist: zones, currencies, names close to a wrong one. Pure."""

from __future__ import annotations

import difflib
import functools
import zoneinfo
from collections.abc import Iterable

from service.errors import Invalid

# ISO 4217, codes of money in use; precious metals, funds and test codes are left out.
_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS
    INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP
    MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR
    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV
    WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of ``words`` that ``word`` was probably meant to be, or None."""
    found = difflib.get_close_matches(word[:100], list(words), n=1)
    return found[0] if found else None


@functools.cache
def zones() -> frozenset[str]:
    """Return the names of the IANA zones of the tz database, without its aliases for this machine."""
    return frozenset(name for name in zoneinfo.available_timezones() if name not in {"localtime", "posixrules"})


def zone(name: str, pointer: str) -> str:
    """Return a known zone's name. Raises :class:`Invalid` with the nearest one."""
    if name in zones():
        return name
    raise Invalid("not an IANA time zone", pointer=pointer, code="unknown_zone", nearest=nearest(name, zones()))


def currency(code: str, pointer: str) -> str:
    """Return a known currency code. Raises :class:`Invalid`."""
    if code in CURRENCIES:
        return code
    near = code.upper() if code.upper() in CURRENCIES else nearest(code, CURRENCIES)
    raise Invalid("not an ISO 4217 currency in use", pointer=pointer, code="unknown_currency", nearest=near)
