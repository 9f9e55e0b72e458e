"""The `lmcore` command, for people: each command calls one function of a module.

What is expected to go wrong ends in one line on the standard error: bad input, files and what they hold, git, the hub, memory with exit
status 1; options and arguments that the command does not take with 2; an interrupt with 130. A mistake of ours shows its traceback.
"""

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from lmcore.commands import explore as cli_explore
from lmcore.errors import InputError, error_line
from lmcore.shown import for_terminal


class OneLineErrors(typer.core.TyperGroup):
    """The commands, with their errors as the module says."""

    def main(self, *arguments, **options) -> NoReturn:
        _open_streams()
        try:
            status = super().main(*arguments, **options | {"standalone_mode": False})
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            status = _status(error)
        sys.exit(status)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # before typer, which says nothing
            typer.echo("error: interrupted", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # before typer, which takes it for a failure
            _drop_output()


def _open_streams() -> None:
    """Text is UTF-8 whatever the locale, and a stream that the caller closed holds nothing."""
    sys.stdin, sys.stdout, sys.stderr = (
        sys.stdin or io.StringIO(),
        sys.stdout or io.TextIOWrapper(io.BytesIO()),
        sys.stderr or io.TextIOWrapper(io.BytesIO()),
    )
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


def _status(error: Any) -> int:
    """Say what was wrong with this exception and return the exit status; a mistake of ours is raised again."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return 0
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    if hasattr(error, "format_message"):  # typer's own: of options and arguments
        typer.echo(f"error: {for_terminal(' '.join(error.format_message().split()))}", err=True)
        return error.exit_code
    if (line := error_line(error)) is None:
        raise error
    typer.echo(f"error: {line}", err=True)
    return 1


def _drop_output() -> None:
    """Nobody reads on: `| head` has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lmcore {version('lmcore')}")
        raise typer.Exit


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=__doc__,
)
app.add_typer(cli_explore.app)
Data = Annotated[
    Path, typer.Option(help="the folder that the pipeline fills: items, tokens, models, corpus")
]


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="say which version this is"
        ),
    ] = False,
) -> None:
    """Train and compare small language models."""


@app.command()
def validate(
    suite: Annotated[str, typer.Argument(help="of params.yaml, built by `dvc repro build_items`")],
    model: Annotated[
        str | None,
        typer.Option(help="whose tokenizer and window; by default the corpus' own tokenizer"),
    ] = None,
    data: Data = Path("data"),
) -> None:
    """Show a suite as a model will see it: counts, tokens, windows, identical options, and three items."""
    from lmcore.commands import validate as module
    from lmcore.tables import ITEMS, read

    path = data / "items" / f"{suite}.parquet"
    if not path.exists():
        built = ", ".join(sorted(path.stem for path in path.parent.glob("*.parquet"))) or "none"
        raise InputError(
            f"{path}: no such suite; name it in params.yaml and run `dvc repro build_items` (built are: {built})"
        )
    items = read(path, ITEMS)
    corpus = data / "corpus"
    folder = data / "models" / model if model else data / "tokenizer"
    typer.echo(
        f"{for_terminal(suite)}: "
        + module.validate(items, folder, corpus if corpus.exists() else None)
    )


@app.command()
def tokens(
    model: Annotated[str, typer.Argument(help="of params.yaml, scored by `dvc repro`")],
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
    """Show what a model said of every token of a suite: the token before it, entropy (nats), probability, surprisal (bits), rank."""
    from lmcore.commands import token_rows
    from lmcore.tables import ITEMS, read
    from lmcore.text.readable import token_texts
    from lmcore.text.tokenizer import load_fast

    groups = None
    if group:
        table = read(data / "items" / f"{suite}.parquet", ITEMS, ["item", "group"]).to_pylist()
        groups = {name: {row["item"] for row in table if row["group"] == name} for name in group}
        if unknown := [name for name, found in groups.items() if not found]:
            known = ", ".join(sorted({row["group"] for row in table})[:20])
            raise InputError(f"{suite}: there is no group '{unknown[0]}'; there are {known}")
    filters: dict[str, Any] = {
        "items": item or None,
        "groups": groups,
        "target_only": target_only,
        "above_quantile": above_quantile,
    }
    rows = token_rows.readable_rows(
        data / "tokens" / model / suite, token_texts(load_fast(data / "models" / model)), **filters
    )
    if out is not None:
        writers = {".csv": token_rows.write_csv, ".parquet": token_rows.write_parquet}
        if out.suffix not in writers:
            raise InputError(f"{out}: the file must be a .csv or a .parquet")
        writers[out.suffix](rows, out)
        return
    if csv:
        token_rows.write_csv(
            map(token_rows.shown, rows) if sys.stdout.isatty() else rows, sys.stdout.buffer
        )
    else:
        cli_explore.write_lines(token_rows.as_lines(rows))


@app.command()
def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            help="names of params.yaml, model folders, or hub ids, in the order of their curves"
        ),
    ],
    out: Annotated[Path, typer.Option(help="the folder to write")],
    texts: Annotated[
        Path | None,
        typer.Option(help="a .txt with one text a line, or a data file with a column `text`"),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="likewise; read teacher-forced, or continued with --generate"),
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="what to call the models, separated by commas")
    ] = None,
    generate: Annotated[
        bool, typer.Option("--generate", help="let the models continue the prompts")
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(help="of a continuation, up to 4,096")] = 64,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token")] = 0.0,
    top_k: Annotated[int, typer.Option(help="tokens to draw from; 0 for all")] = 0,
    top_p: Annotated[float, typer.Option(help="the probability mass to draw from")] = 1.0,
    min_p: Annotated[
        float, typer.Option(help="of the most probable token's probability, to be drawn")
    ] = 0.0,
    seeds: Annotated[
        str, typer.Option(help="separated by commas, where the temperature is above 0")
    ] = "0",
    slide: Annotated[
        bool, typer.Option("--slide", help="go on where the model's window is full")
    ] = False,
    bos: Annotated[
        str,
        typer.Option(help="what stands before a text: prefix (BOS, else EOS), tokenizer or none"),
    ] = "prefix",
    by: Annotated[str, typer.Option(help="word; or token, which needs one tokenizer")] = "word",
    corrected: Annotated[
        bool, typer.Option("--corrected", help="correct word probabilities at word boundaries")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="overwrite what this command wrote to --out")
    ] = False,
    data: Data = Path("data"),
) -> None:
    """Compare any models on any texts, or on what they write: token tables, by token, by entropy, summaries, paired differences, a page."""
    from lmcore.commands import compare_texts as module

    source = texts or prompts
    if source is None or (texts and prompts) or (generate and not prompts):
        raise InputError("name either --texts FILE or --prompts FILE; --generate needs --prompts")
    module.refuse_existing(out, force)
    shared: dict[str, Any] = {
        "names": names.split(",") if names else [],
        "source": source,
        "out": out,
        "model_folder": data / "models",
        "bos": bos,
    }
    if generate:
        if not all(seed.strip().isdecimal() for seed in seeds.split(",")):
            raise InputError(f"--seeds: expected whole numbers separated by commas, not {seeds!r}")
        decoding: dict[str, Any] = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
        }
        decoding |= {"seeds": [int(seed) for seed in seeds.split(",")]}
        decodings = {"greedy" if temperature == 0 else "sampled": decoding}
        at_window = "slide" if slide else "stop"
        module.compare_generated(
            models,
            **shared,
            max_new_tokens=max_new_tokens,
            decodings=decodings,
            at_window=at_window,
        )
    else:
        module.compare_texts(models, **shared, by=by, corrected=corrected, confidence=0.95)
    typer.echo(for_terminal(f"{out}: {out / 'index.html'}"))


@app.command()
def export_babylm(
    model: Annotated[str, typer.Argument(help="of params.yaml, scored by `dvc repro`")],
    out: Annotated[Path, typer.Option(help="the file to write, .json or .json.gz")],
    draw: Annotated[int, typer.Option(help="of a random model")] = 0,
    data: Data = Path("data"),
) -> None:
    """Write a model's predictions in the format of BabyLM's evaluation pipeline of 2024."""
    from lmcore.commands.export import export_babylm as export

    counts = export(data / "items", data / "tokens" / model, out, draw=draw)
    typer.echo(
        for_terminal(
            f"{out}: " + ", ".join(f"{n:,} predictions of {suite}" for suite, n in counts.items())
        )
    )


@app.command()
def results(
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("docs/results.md"),
    data: Data = Path("data"),
    metrics: Annotated[Path, typer.Option(help="the folder of the pipeline's metrics")] = Path(
        "metrics"
    ),
) -> None:
    """Write the page that sets the models beside published ones on filtered BLiMP and the supplement."""
    import datetime
    import subprocess

    from lmcore.commands.results import write_results

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    paths = {
        "metrics": metrics / "models",
        "intervals": metrics / "intervals.json",
        "scores": data / "scores",
        "model_folder": data / "models",
    }
    models = write_results(**paths, out=out, date=datetime.date.today().isoformat(), commit=commit)
    typer.echo(for_terminal(f"{out}: {', '.join(models)}"))


@app.command()
def use(
    experiment: Annotated[
        Path, typer.Argument(help="A YAML file of what differs, e.g. experiments/real.yaml.")
    ],
) -> None:
    """Merge an experiment into params.yaml, comments kept; `git diff params.yaml` shows it, `git checkout params.yaml` undoes it."""
    from lmcore.history.experiments import apply

    for name in apply(experiment, Path("params.yaml")):
        typer.echo(for_terminal(name))


@app.command()
def diff(
    rev_a: Annotated[str, typer.Argument(help="A: a branch, tag, commit or experiment")] = "HEAD",
    rev_b: Annotated[str | None, typer.Argument(help="B; without it the workspace")] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="only this suite; repeat it for several")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="only this model or recipe; repeat it for several")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="of suites that all have it, instead of the headline metric")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="differences within this count as equal, in the metric's unit"),
    ] = None,
    common: Annotated[
        bool, typer.Option("--common", help="where the items differ, compare those that both have")
    ] = False,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="also group by group: paradigm, book")
    ] = False,
    items: Annotated[
        int,
        typer.Option(
            min=0, help="so many examples that became worse, and better, with texts and log-probs"
        ),
    ] = 0,
    md: Annotated[bool, typer.Option("--md", help="Markdown, for a pull request")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, unrounded")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="`worse`: exit status 1 where something got worse, is stale or was not compared"
        ),
    ] = None,
) -> None:
    """Whether the difference between two revisions is real: paired on the same items, with intervals and corrected p values."""
    if fail_on not in (None, "worse"):
        raise InputError(f"--fail-on: there is no verdict '{fail_on}' to fail on; expected worse")
    if margin is not None and not 0 <= margin < float("inf"):
        raise InputError(f"--margin: must be a number of at least 0, not {margin}")
    from lmcore.history.revisions import Revision, repository

    root = repository()
    workspace = Revision(root, None)
    a, b = Revision(root, rev_a), workspace if rev_b is None else Revision(root, rev_b)
    from lmcore.comparing import diff_text
    from lmcore.comparing.comparison import NEITHER_IS_BETTER
    from lmcore.comparing.diff import diff as compare
    from lmcore.comparing.diff import settings_of

    settings = settings_of(workspace.params, metric, margin)
    if fail_on and (neutral := [name for name in settings["metrics"] if name in NEITHER_IS_BETTER]):
        raise InputError(
            f"--fail-on: {neutral[0]} is good neither high nor low, so nothing gets worse by it; name another --metric"
        )
    found = compare(
        a,
        b,
        suites=suite or [],
        models=model or [],
        common=common,
        groups=by_group,
        n_items=items,
        **settings,
    )
    if md or as_json:
        typer.echo(diff_text.as_markdown(found) if md else diff_text.as_data(found), nl=False)
    else:
        typer.echo(diff_text.as_text(found, colour=sys.stdout.isatty()), nl=False)
    if fail_on and (
        diff_text.doubts(found)
        or found.refused
        or any(row.comparison.verdict == fail_on for row in found.rows)
    ):
        raise typer.Exit(1)


@app.command()
def verify(
    stages: Annotated[
        list[str] | None, typer.Argument(help="stages of dvc.yaml; without any, all of them")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="rebuild in this folder, which must not exist, and keep it")
    ] = None,
) -> None:
    """Whether the committed pipeline gives the same bytes again: rebuilds it in a clean clone and compares every output with dvc.lock."""
    from lmcore.history.revisions import repository
    from lmcore.history.verify import as_text, uncommitted
    from lmcore.history.verify import verify as rebuild

    if keep is not None and keep.exists():
        raise InputError(f"{keep}: exists already; name a folder that does not")
    root = repository()
    if changed := uncommitted(root):
        typer.echo(
            for_terminal(
                f"note: HEAD is verified, without what is not committed: {', '.join(changed)}"
            ),
            err=True,
        )
    with tempfile.TemporaryDirectory(prefix="lmcore-verify-") as temporary:
        outputs = rebuild(root, (keep or Path(temporary) / "clone").absolute(), stages or [])
    typer.echo(as_text(outputs), nl=False)
    if any(output.difference for output in outputs):
        raise typer.Exit(1)


@app.command()
def unlock() -> None:
    """Mend what a killed DVC left behind and stops every later `dvc repro`; `make repro` begins with it. Says nothing where all is well."""
    from lmcore.history.revisions import Revision, repository
    from lmcore.history.unlock import unlock as mend

    root = repository()
    if done := mend(root):
        typer.echo(done)
    try:
        Revision(root, None).stages  # noqa: B018
    except InputError as error:
        remedy = "`git checkout dvc.lock` brings back the committed one, and DVC's run cache what ran since"
        raise InputError(f"{error}; {remedy}") from error


if __name__ == "__main__":
    app()
