"""How far a long task is: a bar on a terminal, elsewhere a plain line from time to time.

Both go to the standard error.
"""

import sys
import time

from tqdm import tqdm

LINE_SECONDS = 30  # between two lines


class Progress:
    """The progress of one task; used in a `with` block, whose end closes the bar."""

    def __init__(
        self,
        total: int,
        label: str,
        unit: str,
        *,
        n_done: int = 0,
        scaled: bool = False,
        lines: bool = True,
        shown: bool = True,
    ):
        """Begin at `n_done` of `total` units.

        label: the name of the task; unit: in the singular; scaled: with prefixes, 1.2M for
        1,200,000; lines: whether there are lines where there is no bar; shown: if not, there is
        neither.
        """
        self.total, self.label, self.unit, self.n_done = total, label, unit, n_done
        self.is_bar = shown and sys.stderr.isatty()
        self.has_lines = shown and lines and not self.is_bar
        self.last_line = time.monotonic()
        self.bar = tqdm(
            total=total,
            initial=n_done,
            desc=label,
            unit=unit,
            unit_scale=scaled,
            disable=not self.is_bar,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units as done; `note` stands behind the numbers."""
        self.n_done += n
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(n)
        if self.has_lines:
            self._print_line(note)

    def _print_line(self, note: str) -> None:
        """Print a line where the task is done or the last line is long ago."""
        now = time.monotonic()
        if self.n_done < self.total and now - self.last_line <= LINE_SECONDS:
            return
        end = f", {note}" if note else ""
        print(f"{self.label}: {self.n_done} of {self.total} {self.unit}s{end}", file=sys.stderr)
        self.last_line = now
