"""README.md and docs/, with every number looked up in the committed results.

Their texts are the templates in docs/templates, whose expressions ask `lib.pages.numbers`. Each is
written into docs/, and the blocks of readme.md.j2 between the markers of README.md.
"""

import re
import traceback
from functools import lru_cache
from pathlib import Path

import jinja2

from lib import InputError, results, study
from lib.claims import choices
from lib.ladder import one_model
from lib.opponent import label
from lib.pages import channels, networks, numbers
from lib.reading import beside_paper, rungs
from lib.report import tables

TEMPLATES = study.ROOT / "docs" / "templates"
README = "readme.md.j2"
# The name in the marker is the block's; the text around the markers is written by hand.
MARKED = re.compile(r"(<!-- (\w+): written .*?-->\n).*?(<!-- end of \2 -->)", re.S)


def refresh(check: bool = False) -> list[Path]:
    """Write the pages from the results; returns the files that changed or, with `check`, would change."""
    # Only what differs is written, so that a refresh without new results touches no file.
    changed = {file: text for file, text in pages().items() if not file.exists() or file.read_text() != text}
    if not check:
        for file, text in changed.items():
            file.write_text(text)
    return list(changed)


def pages() -> dict[Path, str]:
    """Each page's text."""
    written, readme = {}, study.ROOT / "README.md"
    for file in sorted(TEMPLATES.glob("*.md.j2")):
        template = environment().get_template(file.name)
        if file.name == README:
            # Block by block, because the template has no text of its own between them.
            blocks = {name: _told(template, block) for name, block in template.blocks.items()}
            written[readme] = MARKED.sub(lambda found: found[1] + blocks[found[2]] + found[3],  # noqa: B023
                                         readme.read_text())
        else:
            written[study.ROOT / "docs" / file.stem] = _told(template, template.root_render_func)
    return written


def _told(template, block):
    """The text of a block; InputError with the line where a result is missing, or other than the words beside it."""
    try:
        return "".join(block(template.new_context()))
    except (ArithmeticError, KeyError, TypeError, ValueError, jinja2.UndefinedError) as error:
        [*_, line] = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                      if frame.filename == template.filename]
        line = template.get_corresponding_lineno(line)
        raise InputError(f"docs/templates/{template.name}, line {line}, does not fit the results: {error} "
                         "(python -m lib verify says which are stale)") from error


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """What an expression of a template can use; the results are read once a process."""
    # Every result of both studies is read here, which all pages share.
    gpu, best = numbers.Numbers("gpu"), study.load("best")
    names = {"gpu": gpu, "quick": numbers.Numbers("quick"), "sure": numbers.sure,
             "results": results, "tables": tables, "choices": choices.choices, "label": label,
             "pruned": label.of_pruned(results.load("paper"), gpu.table),
             "channels": channels.Tables(study.load("channels")), "networks": networks.compared(),
             "against_expectations": networks.against_expectations, "best_below": networks.best_below,
             "full_width": networks.at_full_width(),
             "against_expectations_at_full_width": networks.against_expectations_at_full_width,
             "best": rungs.summary(best), "aims": rungs.aims(best), "one_model": one_model.compared(best),
             "halved": beside_paper.halved(best, gpu.figure3), "literal": beside_paper.literal(best)}
    # Strict: a misspelt name is an error. `finalize` writes every number, so that none is formatted
    # twice, in two ways.
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                              finalize=numbers.as_text, extensions=["jinja2.ext.do"])
    made.filters |= {"markdown": numbers.markdown, "listed": numbers.listed, "short": numbers.short}
    made.globals |= names
    return made
