"""Any models on any texts, outside the pipeline.

Model folders and a file go in. A folder with tables, a comparison and one page comes out.

Teacher-forced, every model reads every text. Generating, every model continues every prompt. The
folder holds what the stages for the same work write: items/, tokens/ (or generated/), analysis/,
summaries/, plots/ and index.html. It holds model_comparison.json, too, if the models read the same
texts; the texts that they generate are not the same.

If a second folder is named, it gets every model's tokens as CSV: MODEL/all.csv, and a file for each
text (see lmcore.commands.token_files).
"""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from markupsafe import Markup

from lmcore.analysis.analyse import (
    Paths,
    Settings,
    analyse,
    analyse_tokens,
    write_plots,
    write_summaries,
    write_tables,
)
from lmcore.analysis.progression import progression
from lmcore.analysis.rows import TokenRows
from lmcore.analysis.same_text import refuse_different_tokenizers
from lmcore.commands.token_files import write_token_files
from lmcore.errors import InputError
from lmcore.files import remove, temporary_path, whole, write_json
from lmcore.generating.continuations import generate, statistics
from lmcore.machine.threads import one_thread
from lmcore.models.find import find_model
from lmcore.report.curves import progression_section
from lmcore.report.figures import script
from lmcore.report.layout import whole_page
from lmcore.report.tokens import token_sections
from lmcore.shown import for_terminal
from lmcore.suites.records import read_records
from lmcore.tables import GENERATED, GENERATIONS, ITEMS, items_table, write
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast
from lmcore.text_files import read_text, split_lines

SUITE = "texts"
BY = ("word", "token")
SETTINGS = Settings(
    rows="all",
    minimum_count=5,
    n_extremes=15,
    n_bins=10,
    n_frequent=10,
    calibration_bins=15,
    corrected=False,
    plot_suite=SUITE,
    passage_chars=1500,
    progression=[],
    confidence=0.95,
    digits=6,
)
ALTERNATIVES = 5  # the most probable tokens in the place of each token, for the page
EXTRACTION: dict[str, Any] = {"dtype": "float32", "token_budget": 2048, "shard_chars": 50000}


class Reading(NamedTuple):
    """How the models read texts."""

    bos: str  # as in lmcore.text.encoder
    by: str  # what is compared: `word`, or `token`, which insists on one tokenizer
    corrected: bool  # word probabilities with the word-boundary correction
    confidence: float


class Writing(NamedTuple):
    """How the models continue prompts; the fields are as in lmcore.generating.continuations."""

    bos: str
    max_new_tokens: int
    decodings: dict[str, dict]
    at_window: str = "stop"
    batch_size: int = 16


def compare_texts(
    models: list[str],
    names: list[str],
    source: Path,
    out: Path,
    *,
    model_folder: Path,
    reading: Reading,
    settings: Settings = SETTINGS,
    csv: Path | None = None,
) -> None:
    """Write the comparison of `models` on the texts of the file `source` to the folder `out`.

    `models` are names in `model_folder`, folders, or hub ids, in the order of their curves. `names`
    says what to call them, or is empty. See `read_texts` for `source`. If `csv` is named, that
    folder gets the tokens. Raises InputError naming what cannot be used.
    """
    if reading.by not in BY:
        raise InputError(f"by must be one of {', '.join(BY)}, not {reading.by!r}")
    folders = named_models(models, names, model_folder)
    if reading.by == "token":
        refuse_different_tokenizers({name: load_fast(folder) for name, folder in folders.items()})
    items = _items(source, reading)
    settings = replace(
        settings,
        corrected=reading.corrected,
        progression=list(folders),
        confidence=reading.confidence,
    )
    with whole(out) as target, temporary_path(out, "work") as work, _whole_or_none(csv) as tables:
        _extract(items, folders, target, work)
        tokens = {name: target / "tokens" / name / SUITE for name in folders}
        _write_csv(folders, tokens, items["item"].to_pylist(), tables)
        _analyse(folders, target, _linked(folders, work / "models"), settings)
        sections = token_sections(target / "analysis", list(folders))
        summaries = {}
        for name in folders:
            summaries[name] = json.loads((target / "summaries" / f"{name}.json").read_text("utf-8"))
        curves = progression_section(progression(list(folders), summaries))
        sections["models"] = ("From model to model", curves)
        lead = f"{len(folders)} models on {len(items)} texts of {source.name}, teacher-forced."
        _write_page(target, sections, lead)


def _items(source: Path, reading: Reading) -> pa.Table:
    """The items table of the texts of the file `source`: an item for each text."""
    rows = []
    for number, text in enumerate(read_texts(source)):
        rows.append(
            {
                "item": f"text/{number:05d}",
                "option": 0,
                "variant": "",
                "group": "all",
                "context": "",
                "target": text,
                "gold": True,
            }
        )
    scoring: dict[str, Any] = {"bos": reading.bos, "top_k": ALTERNATIVES}
    if reading.corrected:
        scoring["bow"] = True
    return items_table(rows, scoring, source)


def _extract(items: pa.Table, folders: dict[str, Path], target: Path, work: Path) -> None:
    """Write `items`, and every model's tokens of them, to the folder `target`."""
    from lmcore.scoring.extract import extract_tokens

    path = target / "items" / f"{SUITE}.parquet"
    write(items, ITEMS, path)
    for name, folder in folders.items():
        extract_tokens(folder, path, target / "tokens" / name / SUITE, work, "", **EXTRACTION)


def _analyse(
    folders: dict[str, Path], target: Path, model_folder: Path, settings: Settings
) -> None:
    """Write the analysis of the items and tokens in `target` to the same folder."""
    paths = Paths(
        items=target / "items",
        tokens=target / "tokens",
        model_folder=model_folder,
        out=target / "analysis",
        summaries=target / "summaries",
        comparison=target / "model_comparison.json",
        plots=target / "plots",
    )
    analyse_tokens(list(folders), {SUITE: {}}, paths, settings)


def compare_generated(
    models: list[str],
    names: list[str],
    source: Path,
    out: Path,
    *,
    model_folder: Path,
    writing: Writing,
    settings: Settings = SETTINGS,
    csv: Path | None = None,
) -> None:
    """Write the comparison of what `models` write after the prompts of the file `source`.

    The parameters and errors are those of `compare_texts`.
    """
    folders = named_models(models, names, model_folder)
    prompts = read_texts(source)
    with whole(out) as target, _whole_or_none(csv) as tables:
        rows: dict[str, TokenRows] = {}
        statistics_by_model = {}
        for name, folder in folders.items():
            with one_thread():
                tokens, texts = _generate(folder, prompts, writing)
            tokens_path = target / "generated" / name / "tokens.parquet"
            write(tokens, GENERATED, tokens_path)
            write(texts, GENERATIONS, target / "generated" / name / "generations.parquet")
            statistics_by_model[name] = statistics(tokens, texts, settings.digits)
            rows[name] = TokenRows(tokens_path)
        write_json(statistics_by_model, target / "generated.json")
        paths = {name: rows_of_model.path for name, rows_of_model in rows.items()}
        _write_csv(folders, paths, dict.fromkeys(texts["item"].to_pylist()), tables)
        tokenizers = {name: load_fast(folder) for name, folder in folders.items()}
        analysis = analyse({SUITE: rows}, tokenizers, settings)
        write_tables(analysis, target / "analysis")
        write_summaries(analysis, target / "summaries", settings.digits)
        curves = progression(list(folders), analysis.summaries)
        write_plots(analysis, rows, SUITE, target / "plots", settings, curves)
        sections = {"models": ("From model to model", progression_section(curves))}
        lead = f"What {len(folders)} models write after {len(prompts)} prompts of {source.name}."
        _write_page(target, sections, lead)


def _whole_or_none(csv: Path | None) -> AbstractContextManager[Path | None]:
    """As `whole`, or None where no folder is named."""
    return whole(csv) if csv else nullcontext()


def _write_csv(
    folders: dict[str, Path], tokens: dict[str, Path], items: Iterable[str], target: Path | None
) -> None:
    """Write the table of `tokens` of every model as CSV to `target`, if that is named."""
    if not target:
        return
    for name, folder in folders.items():
        texts = token_texts(load_fast(folder))
        write_token_files(tokens[name], texts, items, target / name)


def _generate(folder: Path, prompts: list[str], writing: Writing) -> tuple[pa.Table, pa.Table]:
    """The GENERATED and GENERATIONS tables of one model."""
    return generate(
        folder,
        prompts,
        writing.bos,
        writing.max_new_tokens,
        writing.at_window,
        writing.batch_size,
        writing.decodings,
    )


def named_models(models: list[str], names: list[str], model_folder: Path) -> dict[str, Path]:
    """The folder of every model, by its name.

    `names` says what to call the models, or is empty. Raises InputError where a name is there twice
    or cannot be the name of a file, and where there is no such model.
    """
    if names and len(names) != len(models):
        raise InputError(f"{len(names)} names for {len(models)} models; expected one each")
    folders = [find_model(model, model_folder) for model in models]
    chosen = names or [_default_name(model, folder) for model, folder in zip(models, folders)]
    for name in chosen:
        if chosen.count(name) > 1:
            raise InputError(f"two models are called '{name}'; give them different --names")
        if not name or "/" in name or name.startswith(".") or for_terminal(name) != name:
            raise InputError(f"the name '{name}' cannot be a file's; use letters, digits and _")
    return dict(zip(chosen, folders))


def _default_name(model: str, folder: Path) -> str:
    """What to call a model: the name of its folder, or the last part of its hub id."""
    return folder.name if Path(model).is_dir() else model.split("/")[-1]


def read_texts(path: Path) -> list[str]:
    """The texts of a file: the lines of a .txt, or the column `text` of another data file.

    Empty texts are left out. Raises InputError where there is no text.
    """
    if path.suffix == ".txt":
        texts = split_lines(read_text(path, "texts, one a line"))
    else:
        rows = read_records(path)
        for row in rows:
            if "text" not in row:
                raise InputError(f"{row.where}: no column 'text'; columns are {', '.join(row)}")
        texts = [row["text"] for row in rows]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{path}: holds no text")
    return texts


def refuse_existing(out: Path, force: bool) -> None:
    """Raises InputError where `out` exists and must not be overwritten.

    With `force`, only what this command wrote may be overwritten. An empty folder is then removed.
    """
    if not out.exists():
        return
    if not force:
        raise InputError(f"{out}: exists already; use --force to overwrite it")
    is_empty = out.is_dir() and not any(out.iterdir())
    if not is_empty and not (out / "summaries").is_dir():
        raise InputError(f"{out}: is no folder that this command wrote; remove it yourself")
    if is_empty:
        remove(out)


def _linked(folders: dict[str, Path], target: Path) -> Path:
    """The folder `target`, in which every model is found by its name."""
    target.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        (target / name).symlink_to(folder, target_is_directory=True)
    return target


def _write_page(target: Path, sections: dict[str, tuple[str, Markup]], lead: str) -> None:
    """Write index.html with the sections {anchor: (title, body)} to the folder `target`."""
    page = whole_page("Models on the same text", lead, sections, scripts=[script()])
    (target / "index.html").write_text(page, "utf-8")
