"""Free text that resembles without repeating: the words that many rows share, in texts of the same form.

Only words that occur in several rows are kept; rarer ones are replaced by made-up words. Word order is not modelled:
free text of real people must not come through. What is personal belongs in `personal`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.shapes import in_lane

_SHARED = 3
_MOST_WORDS = 5_000
_SAMPLE = 20_000
_ONSETS = ["b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pr", "qu", "r", "s", "st", "t", "tr", "v", "w", "z"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ie", "ou"]
_CODAS = ["", "", "l", "n", "r", "s", "t", "nd", "rt", "m"]


@dataclass
class TextModel:
    """How the texts of a column look.

    Attributes:
        lengths: words per text, as drawn.
        words: words that several rows share; `weights` how often.
        rare: share of words that are none of these.
        style: `upper`, `lower`, `title` or `plain` (a capital at the start).
        end: share of texts that end with a full stop.
        characters: the most characters of a training text.
        limit: the most characters that the column holds; None for no limit.
    """

    lengths: list[int]
    words: list[str]
    weights: list[int]
    rare: float
    style: str
    end: float
    characters: int
    limit: int | None = None

    @classmethod
    def fit(cls, values: Sequence[str], limit: int | None) -> TextModel:
        texts = list(values[:_SAMPLE])
        split = [re.findall(r"\w+(?:['-]\w+)*", t) for t in texts]
        rows = Counter(w for words in split for w in {w.lower() for w in words})
        total = sum(map(len, split))
        shared = Counter(w.lower() for words in split for w in words if rows[w.lower()] >= _SHARED and not w.isdigit())
        common = shared.most_common(_MOST_WORDS)
        lengths = sorted(len(w) for w in split)
        quantiles = [lengths[int(q * (len(lengths) - 1))] for q in np.linspace(0, 1, 101)] if lengths else [1]
        return cls(
            quantiles, [w for w, _ in common], [n for _, n in common], 1 - sum(shared.values()) / max(1, total), _style(texts),
            sum(t.rstrip().endswith(".") for t in texts) / max(1, len(texts)), max(map(len, texts), default=1), limit,
        )  # fmt: skip

    def generate(
        self, count: int, rng: np.random.Generator, taken: Collection[str] = (), *, unique: bool = False, lane: Lane = WHOLE
    ) -> list[str]:
        """`count` texts, none of them in `taken`, all different where `unique`, also from those of other lanes."""
        used = set(taken)
        lengths = np.maximum(1, np.interp(rng.random(count), np.linspace(0, 1, len(self.lengths)), self.lengths).round().astype(int))
        total = int(lengths.sum())
        weights = np.array(self.weights, dtype=float)
        cut = np.cumsum(weights) / weights.sum() if len(weights) else np.empty(0)
        known = np.searchsorted(cut, rng.random(total), side="right")
        made = (rng.random(total) < self.rare) | (len(weights) == 0)
        invented = invent(min(int(made.sum()), 4_000) or 1, rng)
        fresh = rng.integers(0, len(invented), total)
        out, at = [], 0
        stops = rng.random(count) < self.end
        for n, stop in zip(lengths, stops, strict=True):
            words = [invented[fresh[i]] if made[i] else self.words[min(known[i], len(self.words) - 1)] for i in range(at, at + n)]
            at += n
            out.append(self._fit_in(words, bool(stop)))
        for i, text in enumerate(out):
            text, tries = in_lane(text, lane, self.limit) if unique else text, 0
            while text in used:
                tries += 1
                words = [*invent(1 + tries // 5, rng), *text.split(" ")[: max(0, 3 - tries // 10)]]
                text = (
                    self._fit_in(words, False)
                    if tries < 40
                    else (self._fit_in(invent(1, rng), False) + str(rng.integers(10**9)))[-(self.limit or 999) :]
                )
                text = in_lane(text, lane, self.limit)
            out[i] = text
            if unique:
                used.add(text)
        return out

    def _fit_in(self, words: list[str], stop: bool) -> str:
        text = " ".join(words)
        if self.style == "upper":
            text = text.upper()
        elif self.style == "title":
            text = " ".join(w[:1].upper() + w[1:] for w in words)
        elif self.style == "plain":
            text = text[:1].upper() + text[1:]
        room = min(self.limit or self.characters, max(self.characters, 1))
        if len(text) > room:
            text = text[:room].rsplit(" ", 1)[0] if " " in text[:room] else text[:room]
        return text[: room - 1] + "." if stop and room > 1 else text.strip() or "a"


def invent(count: int, rng: np.random.Generator) -> list[str]:
    """Pronounceable words that no language has to know, different from each other."""
    out: dict[str, None] = {}
    syllables = 2
    while len(out) < count:
        picks = rng.integers(0, [len(_ONSETS), len(_VOWELS), len(_CODAS)], size=(2 * count, syllables, 3))
        for word in picks:
            out["".join(_ONSETS[a] + _VOWELS[b] + (_CODAS[c] if i == syllables - 1 else "") for i, (a, b, c) in enumerate(word))] = None
            if len(out) >= count:
                break
        syllables = min(4, syllables + 1)
    return list(out)[:count]


def _style(texts: Sequence[str]) -> str:
    letters = [t for t in texts if any(c.isalpha() for c in t)]
    if not letters:
        return "plain"
    for style, test in (("upper", str.isupper), ("lower", str.islower), ("title", str.istitle)):
        if sum(map(test, letters)) > 0.8 * len(letters):
            return style
    words = [t.split() for t in letters]
    capital = sum(w[:1].isupper() for t in words for w in t[1:])
    return "title" if capital > 0.6 * max(1, sum(len(t) - 1 for t in words)) else "plain"
