#!/usr/bin/env python3
"""Makes a man page from a page of docs/commands: make_man_page.py [--version V] PAGE.md OUTPUT.1

Understands the Markdown that these pages use: a title, whose first paragraph is the NAME line, sections, paragraphs,
lists, tables (options), fenced blocks, `code`, **bold**, *emphasis* and links.
"""

import argparse
import pathlib
import re


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


def inline(text):
    """Markdown inside a line; code is taken out first, since nothing in it is markup."""
    parts = re.split(r"`([^`]+)`", text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = "\\fB" + escape(part) + "\\fR"
        else:
            part = escape(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", part))
            part = re.sub(r"\*\*([^*]+)\*\*", r"\\fB\1\\fR", part)
            parts[i] = re.sub(r"\*([^*]+)\*", r"\\fI\1\\fR", part)
    return "".join(parts)


def blocks(text):
    """Yields (kind, lines): title, section, fence, list, table or paragraph."""
    block, kind = [], None
    for line in text.splitlines():
        if kind == "fence":
            if line.startswith("```"):
                yield kind, block
                block, kind = [], None
            else:
                block.append(line)
            continue
        heading = re.match(r"(#+) (.*)", line)
        starts = "fence" if line.startswith("```") else "table" if line.startswith("|") else \
            "list" if line.startswith("- ") else "paragraph"
        continues = line.strip() and not heading and starts != "fence" and kind and \
            (starts == kind or (kind == "list" and line.startswith("  ")))
        if continues:
            block.append(line)
            continue
        if block:
            yield kind, block
        block, kind = [], None
        if heading:
            yield ("title" if len(heading[1]) == 1 else "section"), [heading[2]]
        elif starts == "fence":
            kind = "fence"
        elif line.strip():
            block, kind = [line], starts
    if block:
        yield kind, block


def table_cells(line):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def table_rows(lines):
    """The first cell as a tag, the second as its text; further ones in parentheses behind the column's title."""
    titles = table_cells(lines[0])
    for line in lines[2:]:
        cells = table_cells(line)
        further = [f" ({title}: {cell})" for title, cell in zip(titles[2:], cells[2:])]
        yield cells[0], cells[1] + "".join(further)


def list_items(lines):
    items = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return items


def render(text, version):
    out = []
    name = None
    for kind, lines in blocks(text):
        if kind == "title":
            name = lines[0].replace(" ", "-")
            out.append(f'.TH {name.upper()} 1 "" "calltap {version}" "Calltap"')
        elif name is not None and len(out) == 1:
            out += [".SH NAME", f"{escape(name)} \\- {inline(' '.join(lines)).rstrip('.')}"]
        elif kind == "section":
            out.append(f".SH {lines[0].upper()}")
        elif kind == "fence":
            out += [".PP", ".nf"] + [escape(line) for line in lines] + [".fi"]
        elif kind == "list":
            for item in list_items(lines):
                out += ['.IP "\\(bu" 2', inline(item)]
        elif kind == "table":
            for first, second in table_rows(lines):
                out += [".TP", inline(first), inline(second)]
        else:
            out += [".PP"] + [inline(line) for line in lines]
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="")
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(render(arguments.page.read_text(), arguments.version))


if __name__ == "__main__":
    main()
