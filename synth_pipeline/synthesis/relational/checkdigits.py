"""Check digits: codes whose last digit, or the two after a country, follow from all others stay codes of which that is true.

A code without them has a mark in their place. `gtin` is the sum of EAN, UPC and ISBN-13, `luhn` that of cards and IMEIs (letters around
the number do not count), `isin` the same with letters as numbers, `iban` the remainder of 97.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

KINDS = ("gtin", "luhn", "isin", "iban")
MARK = "*"
_FEWEST = 20
"""Different codes that must satisfy a sum for it to be one."""


def find(values: Sequence[str]) -> str:
    """The sum that all values satisfy; empty for none."""
    for kind in KINDS:
        if _satisfied(kind, values[:_FEWEST]) and len(set(values)) >= _FEWEST and _satisfied(kind, values):
            return kind
    return ""


def marked(kind: str, value: str) -> str:
    """The value with marks in the place of its check digits."""
    return value[:2] + 2 * MARK + value[4:] if kind == "iban" else value[:-1] + MARK


def complete(kind: str, letters: np.ndarray) -> None:
    """Writes the check digits of codes in their place, in an array of their characters (n, m)."""
    points = letters.view(np.uint32).reshape(letters.shape).astype(np.int64)
    # What each character counts; letters have two digits, and everything else none.
    digit, letter = (points >= 48) & (points <= 57), (points >= 65) & (points <= 90)
    worth = np.where(digit, points - 48, np.where(letter, points - 55, 0))
    if kind == "iban":
        rest = np.zeros(len(points), dtype=np.int64)
        for i in (*range(4, letters.shape[1]), 0, 1):
            rest = (rest * np.where(digit[:, i], 10, np.where(letter[:, i], 100, 1)) + worth[:, i]) % 97
        check = 98 - rest * 100 % 97
        letters[:, 2], letters[:, 3] = (check // 10).astype("U1"), (check % 10).astype("U1")
        return
    if kind == "isin":
        worth = np.stack([worth // 10, worth % 10], axis=2).reshape(len(points), -1)
        counts = np.stack([letter, digit | letter], axis=2).reshape(len(points), -1)
    else:
        worth, counts = np.where(digit, worth, 0), digit
    counts[:, -1], worth[:, -1] = True, 0
    second = counts & (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] % 2 == 0)
    weighed = np.where(second, 3 * worth if kind == "gtin" else 2 * worth - 9 * (worth > 4), worth)
    letters[:, -1] = (-weighed.sum(axis=1) % 10).astype("U1")


def _satisfied(kind: str, values: Sequence[str]) -> bool:
    least = 15 if kind == "iban" else 5
    if not all(len(v) >= least and v.isascii() for v in values):
        return False
    for length in {len(v) for v in values}:
        real = [v for v in values if len(v) == length]
        letters = np.array([marked(kind, v) for v in real], dtype=f"U{length}").view("U1").reshape(len(real), length)
        complete(kind, letters)
        if letters.view(f"U{length}").ravel().tolist() != real:
            return False
    return True
