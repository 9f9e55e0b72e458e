"""How varied and how repetitive texts are: generated texts go in, shares come out.

Words are what whitespace separates.
"""

from collections.abc import Iterable


def distinct(texts: Iterable[str], n: int) -> float:
    """The number of different n-grams of all texts over that of all n-grams; 0 where there is none.

    Source: Li et al. 2016 (distinct-n).
    """
    grams: list[tuple[str, ...]] = []
    for text in texts:
        grams += _grams(text, n)
    return len(set(grams)) / len(grams) if grams else 0.0


def repeated(texts: Iterable[str], n: int) -> float:
    """The share of a text's n-grams that stood in it before; the mean over texts that have n-grams.

    Source: Welleck et al. 2020 (seq-rep-n).
    """
    shares = []
    for text in texts:
        if grams := _grams(text, n):
            shares.append(1 - len(set(grams)) / len(grams))
    return sum(shares) / len(shares) if shares else 0.0


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
