"""The commands of `lmcore` that show a suite: validate and tokens."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lmcore.commands.explore import write_lines
from lmcore.commands.options import Data
from lmcore.errors import InputError
from lmcore.shown import for_terminal

Model = Annotated[str, typer.Argument(help="of params.yaml, scored by `dvc repro`")]


def validate(
    suite: Annotated[str, typer.Argument(help="of params.yaml, built by `dvc repro build_items`")],
    model: Annotated[
        str | None,
        typer.Option(help="whose tokenizer and window; by default the corpus' own tokenizer"),
    ] = None,
    data: Data = Path("data"),
) -> None:
    """Show a suite as a model will see it: counts, tokens, windows, identical options, and three
    items.
    """
    from lmcore.commands.validate import validate as page_of
    from lmcore.tables import ITEMS, read

    path = data / "items" / f"{suite}.parquet"
    if not path.exists():
        built = ", ".join(sorted(other.stem for other in path.parent.glob("*.parquet"))) or "none"
        raise InputError(
            f"{path}: no such suite; name it in params.yaml and run `dvc repro build_items` "
            f"(built are: {built})"
        )
    items = read(path, ITEMS)
    corpus = data / "corpus"
    folder = data / "models" / model if model else data / "tokenizer"
    page = page_of(items, folder, corpus if corpus.exists() else None)
    typer.echo(f"{for_terminal(suite)}: {page}")


def tokens(
    model: Model,
    suite: Annotated[str, typer.Argument(help="of params.yaml")],
    item: Annotated[
        list[str] | None, typer.Option(help="only this item; repeat it for several")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="only items of this group; repeat it for several")
    ] = None,
    target_only: Annotated[
        bool, typer.Option("--target-only", help="no tokens of contexts")
    ] = False,
    above_quantile: Annotated[
        float | None,
        typer.Option(help="only tokens whose entropy is above this quantile, e.g. 0.9"),
    ] = None,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="CSV on the standard output; on a terminal, controls are escaped"
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="write this .csv or .parquet file instead")
    ] = None,
    data: Data = Path("data"),
) -> None:
    """Show what a model said of every token of a suite: the token before it, entropy (nats),
    probability, surprisal (bits), rank.
    """
    from lmcore.commands import token_rows
    from lmcore.text.readable import token_texts
    from lmcore.text.tokenizer import load_fast

    items_of_groups = _items_of_groups(data, suite, group) if group else None
    rows = token_rows.readable_rows(
        data / "tokens" / model / suite,
        token_texts(load_fast(data / "models" / model)),
        items=item or None,
        groups=items_of_groups,
        target_only=target_only,
        above_quantile=above_quantile,
    )
    if out is not None:
        writers = {".csv": token_rows.write_csv, ".parquet": token_rows.write_parquet}
        if out.suffix not in writers:
            raise InputError(f"{out}: the file must be a .csv or a .parquet")
        writers[out.suffix](rows, out)
    elif csv:
        is_terminal = sys.stdout.isatty()
        token_rows.write_csv(
            map(token_rows.shown, rows) if is_terminal else rows, sys.stdout.buffer
        )
    else:
        write_lines(token_rows.as_lines(rows))


def _items_of_groups(data: Path, suite: str, groups: list[str]) -> dict[str, set[str]]:
    """{group: the ids of its items}. Raises InputError for a group that the suite does not have."""
    from lmcore.tables import ITEMS, read

    rows = read(data / "items" / f"{suite}.parquet", ITEMS, ["item", "group"]).to_pylist()
    items: dict[str, set[str]] = {name: set() for name in groups}
    for row in rows:
        if row["group"] in items:
            items[row["group"]].add(row["item"])
    for name in groups:
        if not items[name]:
            known = ", ".join(sorted({row["group"] for row in rows})[:20])
            raise InputError(f"{suite}: there is no group '{name}'; there are {known}")
    return items
