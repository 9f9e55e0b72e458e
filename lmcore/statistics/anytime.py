"""Evidence about a mean that stays valid however often one looks at it, and whenever one stops.

Paired differences in [-1, 1] go in, in the order in which their items were drawn. Log capitals,
bounds and decisions come out.

The mean is the macro mean over the groups of a suite, the figure that lmcore reports. Against each
possible mean m somebody bets that the true mean is above m, and somebody else that it is below. If
the true mean is m, neither expects to gain, so the chance that a capital of 1 ever grows to C is at
most 1 / C (Ville's inequality). What has grown to 2 / (1 - confidence) on either side is excluded.
The means that are not excluded are a confidence sequence: it holds at all times at once.

- A bet is a share of the capital, the same throughout. The capital is divided at the beginning
  among several `shares`, which depend on the sizes of the groups alone. So nothing is tuned on what
  was seen.
- Items are drawn in rounds (`stratified_order`) that hold items of every group, in proportion to
  the groups' sizes. The bets on the items of a group add up to the same in every group. So a large
  group counts no more than a small one. Since 1 + x <= exp(x), a round in which the groups' means
  differ, but their mean is m, does not make either side expect a gain. This holds only after whole
  rounds, so the smallest group says how often one may look.
- By default the mean is that of the population: of items like these, in each group. With `of_suite`
  it is the figure that the whole suite will have. Then the items are drawn without replacement, and
  what the items drawn have used up of m is known.

Source: Waudby-Smith & Ramdas 2024, Estimating means of bounded random variables by betting, JRSS-B
86(1), theorem 3 (hedged capital) and section 5 (without replacement); Ville 1939. Items of a group
that are drawn together without replacement are negatively associated, so their product expects no
more than if they were independent: Joag-Dev & Proschan 1983, Annals of Statistics 11(1).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

MOST = 0.95  # of the capital, that is bet on an item
STEP = 1.75  # from one share to the next: a share between two is as good as the nearer one
HALVINGS = 40  # of [-1, 1] to find a bound: to 2e-12
NEAREST = 1e-9  # as near to the lowest possible value a mean is bet against


class Drawn(NamedTuple):
    """What was drawn up to now, in whole rounds.

    A round holds at least one item of every group.
    """

    differences: np.ndarray  # (n,) in [-1, 1]
    groups: np.ndarray  # (n,) integers from 0
    rounds: np.ndarray  # (n,) integers from 0, ascending
    sizes: np.ndarray  # (groups,) the items that the whole suite has of each group

    @property
    def mirrored(self) -> "Drawn":
        """The same with the two models exchanged."""
        return self._replace(differences=-self.differences)

    @property
    def mean(self) -> float:
        """The macro mean of what was drawn."""
        sums = np.bincount(self.groups, self.differences, len(self.sizes))
        return float((sums / np.bincount(self.groups, minlength=len(self.sizes))).mean())


class Level(NamedTuple):
    """What a race is to be certain of, and how certain."""

    confidence: float
    of_suite: bool = False  # of this suite's final figure, instead of items like these

    @property
    def threshold(self) -> float:
        """The log capital that excludes a mean on one side."""
        return float(np.log(2 / (1 - self.confidence)))


def stratified_order(groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random order of the items, (N,) their rows, and (N,) the round in which each is drawn.

    Each group is shuffled and spread evenly over the rounds. There are as many rounds as the
    smallest group has items, so with one group every item is a round.

    groups: (N,) integers from 0, each of which occurs.
    """
    rng = np.random.default_rng(seed)
    n_rounds = int(np.bincount(groups).min())
    rows, rounds = [], []
    for group in range(int(groups.max()) + 1):
        of_group = rng.permutation(np.flatnonzero(groups == group))
        rows.append(of_group)
        rounds.append(np.arange(len(of_group)) * n_rounds // len(of_group))
    order = np.argsort(np.concatenate(rounds), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(rounds)[order]


def shares(sizes: np.ndarray) -> np.ndarray:
    """(bets,): the shares of the capital that are bet on an item.

    They go from the best one for the smallest difference that the whole suite could show, about
    sqrt(8 / items) if every item flips, to MOST.

    sizes: (groups,) items of the whole suite.
    """
    n_items = sizes.min() ** 2 * (1 / sizes).sum()  # by the squares of their weights
    least = min(0.5, float(np.sqrt(8 / n_items)))
    return np.geomspace(least, MOST, 1 + math.ceil(math.log(MOST / least, STEP)))


def log_capital(drawn: Drawn, mean: float, *, of_suite: bool = False) -> np.ndarray:
    """(rounds,): the log of a capital of 1 after each round, bet on a macro mean above `mean`.

    For bets on a macro mean below `mean`, take `drawn.mirrored` and `-mean`. `mean` lies above -1.
    It falls as `mean` grows.
    """
    centres, weights = _centres_and_weights(drawn, mean, of_suite)
    gains = weights * ((1 + drawn.differences) / (1 + np.maximum(centres, NEAREST - 1)) - 1)
    bets = shares(drawn.sizes)
    logs = np.log1p(bets[:, None] * gains)  # (bets, n)
    last = np.append(np.flatnonzero(np.diff(drawn.rounds)), len(drawn.rounds) - 1)
    capitals = np.cumsum(logs, 1)[:, last]
    return special.logsumexp(capitals, 0) - np.log(len(bets))


def bounds(drawn: Drawn, level: Level) -> tuple[float, float]:
    """The confidence sequence of the macro mean after the last round."""
    low, high = _low(drawn, level), -_low(drawn.mirrored, level)
    if not level.of_suite:
        return low, high
    lowest, highest = _possible(drawn)
    low, high = max(low, lowest), min(high, highest)
    return (low, high) if low <= high else (drawn.mean, drawn.mean)


def decision(drawn: Drawn, level: Level, margin: float | None) -> str:
    """What is certain after the last round: `equal`, `better`, `worse`, or an empty text.

    `equal` if the whole confidence sequence is within the margin, which is checked first. All that
    is said at any time of a race is right at once with the confidence of the level.
    """
    if level.of_suite and len(drawn.groups) == drawn.sizes.sum():
        if margin is not None and abs(drawn.mean) <= margin:
            return "equal"
        return "better" if drawn.mean > 0 else "worse" if drawn.mean < 0 else ""
    sides = (drawn, drawn.mirrored)
    if margin and all(_is_above(side, -margin, level) for side in sides):
        return "equal"
    if _is_above(drawn, 0.0, level):
        return "better"
    return "worse" if _is_above(drawn.mirrored, 0.0, level) else ""


def _is_above(drawn: Drawn, mean: float, level: Level) -> bool:
    """Whether the macro mean is certainly above `mean`."""
    if level.of_suite and _possible(drawn)[0] > mean:
        return True
    return bool(log_capital(drawn, mean, of_suite=level.of_suite)[-1] >= level.threshold)


def _low(drawn: Drawn, level: Level) -> float:
    """The lower bound: the greatest mean below which every mean is excluded."""
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        capital = log_capital(drawn, middle, of_suite=level.of_suite)[-1]
        low, high = (middle, high) if capital >= level.threshold else (low, middle)
    return low


def _centres_and_weights(
    drawn: Drawn, mean: float, of_suite: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the mean against which each item is bet, and (n,) how much of a share is bet on it.

    If the macro mean is `mean`, the items of a round have this centre: `mean` itself or, of a
    finite suite, what the items drawn before leave of it.
    """
    counts = _of_rounds(drawn, np.ones(len(drawn.groups)))
    centres, left = np.full(len(counts), mean), np.ones(counts.shape)
    if of_suite:
        used, left = _used_and_left(drawn, counts)
        centres = (len(drawn.sizes) * mean - used) / left.sum(1)
    weights = left / counts
    weights /= weights.max(1, keepdims=True)
    return centres[drawn.rounds], weights[drawn.rounds, drawn.groups]


def _used_and_left(drawn: Drawn, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Before each round, (rounds,) the part of the sum of the groups' means that is known, and
    (rounds, groups) the share of each group that is not drawn yet.

    counts: (rounds, groups) items.
    """
    sums = _of_rounds(drawn, drawn.differences)
    used = (np.cumsum(sums, 0) - sums) / drawn.sizes
    return used.sum(1), 1 - (np.cumsum(counts, 0) - counts) / drawn.sizes


def _of_rounds(drawn: Drawn, values: np.ndarray) -> np.ndarray:
    """(rounds, groups): sums of the items' values."""
    n_groups = len(drawn.sizes)
    n_rounds = int(drawn.rounds[-1]) + 1
    cells = drawn.rounds * n_groups + drawn.groups
    return np.bincount(cells, values, n_rounds * n_groups).reshape(n_rounds, n_groups)


def _possible(drawn: Drawn) -> tuple[float, float]:
    """The lowest and the highest macro mean that the whole suite can still have."""
    n_groups = len(drawn.sizes)
    used = np.bincount(drawn.groups, drawn.differences, n_groups) / drawn.sizes
    left = 1 - np.bincount(drawn.groups, minlength=n_groups) / drawn.sizes
    return float((used - left).mean()), float((used + left).mean())
