"""Data that is shown can be read, and can do nothing else."""

import json

import pytest
from markdown_it import MarkdownIt

from lmcore.shown import UNSEEN, for_html, for_json, for_markdown, for_terminal
from tests.lmcore.nasty import LEGITIMATE, NASTY, Parsed

ALL = [*NASTY.values(), *LEGITIMATE]
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize("text", LEGITIMATE)
def test_text_of_any_script_stays_as_it_is(text):
    assert (
        for_terminal(text)
        == for_html(text)
        == for_markdown(text)
        == json.loads(for_json(text))
        == text
    )


@pytest.mark.parametrize("text", NASTY.values())
def test_terminal_gets_one_line_of_characters_that_are_seen(text):
    shown = for_terminal(text)
    assert (
        not UNSEEN.search(shown) and len(shown.splitlines()) == 1 and for_terminal(shown) == shown
    )


def test_terminal_shows_escapes_and_keeps_lines_where_asked():
    assert for_terminal("\x1b[1mé\u202e\x9b\udc80\r") == "\\x1b[1mé\\u202e\\x9b\\udc80\\r"
    assert (
        for_terminal("a\n\tb\r", lines=True) == "a\n\tb\\r" and for_terminal("a\n\tb") == "a\\n\\tb"
    )


@pytest.mark.parametrize("text", ALL)
def test_html_is_text_alone_as_content_and_as_attribute(text):
    parsed = Parsed(f'<p title="{for_html(text)}">{for_html(text)}</p>')
    assert (parsed.tags, parsed.attributes) == ({"p"}, {"title"})
    title, content = parsed.texts[0], "".join(parsed.texts[1:])
    assert title == content == for_terminal(text, lines=True)


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize(
    "around", ["{}", "**{}**", "- {}", "x {} y", "| {} | b |\n| --- | --- |\n| c | {} |"]
)
def test_markdown_shows_the_very_characters_wherever_they_stand(text, around):
    """The Markdown is CommonMark with GitHub's tables, rendered by markdown-it."""
    plain = around.format(*["word"] * around.count("{}"))
    rendered, expected = (
        Parsed(MARKDOWN.render(source))
        for source in (around.format(*[for_markdown(text)] * around.count("{}")), plain)
    )
    assert rendered.tags == expected.tags and not rendered.attributes
    found = "".join(rendered.texts).replace("\u200b", "")
    kept = " ".join(for_terminal(text).split())
    assert " ".join(found.split()) == " ".join(
        "".join(expected.texts).replace("word", kept).split()
    )


def test_markdown_links_and_mentions_nobody():
    shown = for_markdown(NASTY["mention"])
    assert (
        shown
        == r"@&#8203;everyone \#&#8203;12 www\.xss.example xss@&#8203;xss.example https\://xss.example"
    )
    assert for_markdown("blimp_filtered/x 0.5") == "blimp_filtered/x 0.5"


@pytest.mark.parametrize("text", ["a", "`", "a``b`", "<b>"])
def test_markdown_code_is_a_code_span(text):
    assert (
        MARKDOWN.render(f"of {for_markdown(text, code=True)}.")
        == f"<p>of <code>{for_html(text)}</code>.</p>\n"
    )


@pytest.mark.parametrize("text", ALL)
def test_json_is_the_same_data_and_shows_nothing_unseen(text):
    shown = for_json({text: [text, 1.5]}, indent=2)
    assert json.loads(shown) == {text: [text, 1.5]} and not set(UNSEEN.findall(shown)) - {"\n"}
