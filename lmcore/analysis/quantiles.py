"""Exact quantiles of many groups at once, as pandas and numpy define them.

One value a row goes in; sorted values and quantiles come out.

A group's id and a float32 make one 64-bit key, so that one sort orders all groups: 20M rows in half
a second.
"""

import numpy as np

SIGN = np.uint32(0x80000000)


def sort_by_group(ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float32 `values` ordered by id and then by value, and the number of rows of each id.

    ids: integers from 0.
    """
    keys = ids.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= ordered_bits(values)
    return sort_keys(keys), np.bincount(ids)


def sort_keys(keys: np.ndarray) -> np.ndarray:
    """The float32 values of keys, ordered by key.

    keys: uint64, which are overwritten: an id in the upper half and `ordered_bits` in the lower.
    """
    keys.sort()
    return from_ordered_bits(keys.astype(np.uint32))


def quantiles_of_groups(
    ordered: np.ndarray, counts: np.ndarray, probabilities: list[float]
) -> np.ndarray:
    """(groups, probabilities) float64: the quantiles of each group, with linear interpolation.

    ordered: the values of one group after the other, each group sorted; counts: (groups,) the
    number of values of each, none of them 0.

    Source: definition 7 of Hyndman & Fan 1996, as numpy and pandas have it.
    """
    starts = np.cumsum(counts) - counts
    below, above, share = places_of_quantiles(counts, probabilities)
    low = ordered[starts[:, None] + below].astype(np.float64)
    high = ordered[starts[:, None] + above].astype(np.float64)
    return between(low, high, share)


def places_of_quantiles(
    counts: np.ndarray, probabilities: list[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between which places of its sorted values each quantile of each group lies, and how far.

    Three arrays (groups, probabilities): the place below and that above, from 0, and the share of
    the way from the one to the other.
    """
    place = np.outer(counts - 1, np.asarray(probabilities, float))
    below = np.floor(place).astype(np.int64)
    return below, np.minimum(below + 1, counts[:, None] - 1), place - below


def between(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What lies `share` of the way from `low` to `high`."""
    gap = high - low
    return np.where(share < 0.5, low + gap * share, high - gap * (1 - share))


def bin_probabilities(n_bins: int) -> list[float]:
    """The probabilities at the edges of `n_bins` bins of equally many rows."""
    return list(np.linspace(0, 1, n_bins + 1))


def qcut_edges(ordered: np.ndarray, n_bins: int) -> np.ndarray:
    """The edges of `n_bins` bins of equally many rows, of sorted values.

    As pandas.qcut(duplicates="drop"): bins are closed on the right, the first bin on the left too.
    Equal edges count as one, so that there can be fewer bins. Values that are all alike have one
    bin.
    """
    counts = np.array([len(ordered)])
    return distinct_edges(quantiles_of_groups(ordered, counts, bin_probabilities(n_bins))[0])


def distinct_edges(edges: np.ndarray) -> np.ndarray:
    """The edges, each once; of values that are all alike, both edges of their one bin."""
    edges = np.unique(edges)
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def bin_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each value, from 0; bins are closed on the right.

    A value outside the edges belongs to the nearest bin.
    """
    return np.searchsorted(edges[1:-1], values, side="left")


def ordered_bits(values: np.ndarray) -> np.ndarray:
    """uint32 that are ordered as the float32 values are."""
    # the sum turns a negative zero into a positive one, so that the two are alike
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
    negative = bits >= SIGN
    bits ^= SIGN
    np.invert(bits, out=bits, where=negative)
    bits[negative] ^= SIGN
    return bits


def from_ordered_bits(bits: np.ndarray) -> np.ndarray:
    """The float32 values from which `ordered_bits` made these bits; `bits` are overwritten."""
    negative = bits < SIGN
    bits ^= SIGN
    bits[negative] ^= SIGN
    np.invert(bits, out=bits, where=negative)
    return bits.view(np.float32)
