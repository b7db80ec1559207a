"""How numbers read, wherever people see them: on the terminal, in tables, on drawings. Imports nothing."""

from __future__ import annotations

import math

NOUGHT = 5e-7
"""Smaller magnitudes are rounding errors of float32 sums and read as 0."""


def fixed(value: float, decimals: int) -> str:
    """The value with so many decimals and thousands set apart; never a negative zero. NaN reads "nan".

    >>> fixed(-0.0001, 3), fixed(1234.5, 1)
    ('0.000', '1,234.5')
    """
    return f"{round(float(value), decimals) + 0.0:,.{decimals}f}" if math.isfinite(value) else f"{value:g}"


def number(value: float) -> str:
    """The value to four significant digits as a person would write it: no exponent where none is needed.

    >>> number(0.939999), number(-1.86517e-14), number(1.0), number(31415.9), number(0.00012)
    ('0.94', '0', '1', '31,416', '0.00012')
    """
    value = float(value)
    if not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < NOUGHT:
        return "0"
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    decimals = min(max(3 - math.floor(math.log10(abs(value))), 0), 9)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def score(value: float) -> str:
    """Three decimals below 10, one below 1000, none above; empty for NaN. Numbers of one column line up."""
    if math.isnan(value):
        return ""
    return fixed(value, 3 if abs(value) < 9.9995 else 1 if abs(value) < 999.95 else 0)


def count(whole: int) -> str:
    """Such as `800`, `400k` or `1.25M`."""
    if whole < 1000:
        return str(whole)
    return f"{whole / 1000:.4g}k" if whole < 999_950 else f"{whole / 1e6:,.4g}M"


def duration(seconds: float) -> str:
    """Such as `4.2s`, `3m05s` or `2h10m`; empty for NaN."""
    if math.isnan(seconds):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s" if seconds >= 10 else f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}h{minutes % 60:02d}m"


def several(amount: int, noun: str) -> str:
    """Such as `1 episode` and `2 episodes`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"
