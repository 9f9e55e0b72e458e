"""Any models on any texts, outside the pipeline: model folders and a file go in, a folder of tables, comparison and one page comes out.

Teacher-forced, every model reads every text; generating, each continues every prompt. The folder holds what the stages of the same work
write: items/, tokens/ (or generated/), analysis/, summaries/, plots/, model_comparison.json (of the same text; generated texts are not
the same), and index.html.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmcore.analysis.analyse import (
    Analysis,
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
from lmcore.errors import InputError
from lmcore.files import remove, temporary_path, whole, write_json
from lmcore.generating.continuations import generate, statistics
from lmcore.machine.threads import one_thread
from lmcore.models.find import find_model
from lmcore.report.style import STYLE
from lmcore.report.tokens import progression_curves, token_sections
from lmcore.shown import for_html, for_terminal
from lmcore.suites.records import read_records
from lmcore.tables import GENERATED, GENERATIONS, ITEMS, items_table, write
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
ALTERNATIVES = 5  # of each token, for the page
EXTRACTION: dict[str, Any] = {"dtype": "float32", "token_budget": 2048, "shard_chars": 50000}


def compare_texts(
    models: list[str],
    names: list[str],
    source: Path,
    out: Path,
    *,
    model_folder: Path,
    bos: str,
    by: str,
    corrected: bool,
    confidence: float,
    settings: Settings = SETTINGS,
) -> None:
    """Write the comparison of `models` on the texts of the file `source` (see `read_texts`) to the folder `out`.

    models: names in `model_folder`, folders, or hub ids, in the order of their curves; names: what to call them, or none; by: `word`, or
    `token`, which insists on one tokenizer. Raises InputError naming what cannot be used.
    """
    from lmcore.scoring.extract import extract_tokens

    if by not in BY:
        raise InputError(f"by must be one of {', '.join(BY)}, not {by!r}")
    folders = named_models(models, names, model_folder)
    if by == "token":
        refuse_different_tokenizers({name: load_fast(folder) for name, folder in folders.items()})
    row = {"option": 0, "variant": "", "group": "all", "context": "", "gold": True}
    rows = [
        {**row, "item": f"text/{number:05d}", "target": text}
        for number, text in enumerate(read_texts(source))
    ]
    scoring = {"bos": bos, "top_k": ALTERNATIVES, **({"bow": True} if corrected else {})}
    with whole(out) as target, temporary_path(out, "work") as work:
        write(items_table(rows, scoring, source), ITEMS, target / "items" / f"{SUITE}.parquet")
        for name, folder in folders.items():
            tokens = target / "tokens" / name / SUITE
            extract_tokens(
                folder, target / "items" / f"{SUITE}.parquet", tokens, work, "", **EXTRACTION
            )
        links = _linked(folders, work / "models")
        paths = Paths(
            items=target / "items",
            tokens=target / "tokens",
            model_folder=links,
            out=target / "analysis",
            summaries=target / "summaries",
            comparison=target / "model_comparison.json",
            plots=target / "plots",
        )
        settings = replace(
            settings, corrected=corrected, progression=list(folders), confidence=confidence
        )
        analyse_tokens(list(folders), [SUITE], paths, settings)
        summaries = {
            name: json.loads((target / "summaries" / f"{name}.json").read_text("utf-8"))
            for name in folders
        }
        sections = token_sections(target / "analysis", list(folders))
        sections["models"] = (
            "From model to model",
            progression_curves(progression(list(folders), summaries)),
        )
        _write_page(
            target,
            sections,
            f"{len(folders)} models on {len(rows)} texts of {source.name}, teacher-forced.",
        )


def compare_generated(
    models: list[str],
    names: list[str],
    source: Path,
    out: Path,
    *,
    model_folder: Path,
    bos: str,
    max_new_tokens: int,
    decodings: dict[str, dict],
    at_window: str = "stop",
    batch_size: int = 16,
    settings: Settings = SETTINGS,
) -> None:
    """As `compare_texts`, of what the models write after the prompts of `source`; `decodings` as in lmcore.generating.continuations."""
    folders = named_models(models, names, model_folder)
    prompts = read_texts(source)
    with whole(out) as target:
        rows: dict[str, TokenRows] = {}
        of_texts = {}
        for name, folder in folders.items():
            with one_thread():
                tokens, texts = generate(
                    folder, prompts, bos, max_new_tokens, at_window, batch_size, decodings
                )
            write(tokens, GENERATED, target / "generated" / name / "tokens.parquet")
            write(texts, GENERATIONS, target / "generated" / name / "generations.parquet")
            of_texts[name] = statistics(tokens, texts, settings.digits)
            rows[name] = TokenRows(target / "generated" / name / "tokens.parquet")
        write_json(of_texts, target / "generated.json")
        found: Analysis = analyse(
            {SUITE: rows}, {name: load_fast(folder) for name, folder in folders.items()}, settings
        )
        write_tables(found, target / "analysis")
        write_summaries(found, target / "summaries", settings.digits)
        curves = progression(list(folders), found.summaries)
        write_plots(found, rows, SUITE, target / "plots", settings, curves)
        lead = f"What {len(folders)} models write after {len(prompts)} prompts of {source.name}."
        _write_page(target, {"models": ("From model to model", progression_curves(curves))}, lead)


def named_models(models: list[str], names: list[str], model_folder: Path) -> dict[str, Path]:
    """The folder of every model by its name. Raises InputError where a name is there twice, or there is no such model."""
    if names and len(names) != len(models):
        raise InputError(f"{len(names)} names for {len(models)} models; expected one each")
    folders = [find_model(model, model_folder) for model in models]
    chosen = names or [
        folder.name if Path(model).is_dir() else model.split("/")[-1]
        for model, folder in zip(models, folders)
    ]
    for name in chosen:
        if chosen.count(name) > 1:
            raise InputError(f"two models are called '{name}'; give them different --names")
        if not name or "/" in name or name.startswith(".") or for_terminal(name) != name:
            raise InputError(f"the name '{name}' cannot be a file's; use letters, digits and _")
    return dict(zip(chosen, folders))


def read_texts(path: Path) -> list[str]:
    """The texts of a file: the lines of a .txt, or the column `text` of another data file; empty ones are left out.

    Raises InputError where there is none.
    """
    if path.suffix == ".txt":
        texts = split_lines(read_text(path, "texts, one a line"))
    else:
        rows = read_records(path)
        if lacking := [row for row in rows if "text" not in row]:
            raise InputError(
                f"{lacking[0].where}: no column 'text'; columns are {', '.join(lacking[0])}"
            )
        texts = [row["text"] for row in rows]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{path}: holds no text")
    return texts


def refuse_existing(out: Path, force: bool) -> None:
    """Raises InputError where `out` exists and is not to be overwritten; with `force` only what this command wrote is."""
    if not out.exists():
        return
    if not force:
        raise InputError(f"{out}: exists already; use --force to overwrite it")
    if not (out / "summaries").is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is no folder that this command wrote; remove it yourself")
    if out.is_dir() and not any(out.iterdir()):
        remove(out)


def _linked(folders: dict[str, Path], target: Path) -> Path:
    """A folder in which every model is found by its name."""
    target.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        (target / name).symlink_to(folder, target_is_directory=True)
    return target


def _write_page(target: Path, sections: dict[str, tuple[str, str]], lead: str) -> None:
    body = "\n".join(
        f'<section id="{anchor}">\n<h2>{title}</h2>\n{html}\n</section>'
        for anchor, (title, html) in sections.items()
    )
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Models on the same text</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Models on the same text</h1>\n"
        f"<p>{for_html(lead)}</p>\n{body}\n</main>\n</body>\n</html>\n"
    )
    (target / "index.html").write_text(page, "utf-8")
