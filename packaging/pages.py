"""Man pages, in man(7), of what the program says of itself."""

import datetime
import os
import re


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def prose(text):
    """Text with `words` and --options in bold."""
    text = escape(text)
    text = re.sub(r"`([^`\n]+)`", r"\\fB\1\\fR", text)
    return re.sub(r"(?<![\w\\])(\\-\\-[a-z][\w\\-]*)", r"\\fB\1\\fR", text)


def paragraphs(text):
    """Blocks of the text; lines that are indented stay as they are."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        if out:
            out.append(".PP")
        fixed = False
        for line in block.splitlines():
            if line.startswith(" ") != fixed:
                fixed = not fixed
                out += [".nf"] if fixed else [".fi"]
            out.append(prose(line.rstrip() if fixed else line.strip()))
        if fixed:
            out.append(".fi")
    return out


def title(name, section, version):
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    utc = datetime.timezone.utc
    now = datetime.datetime.fromtimestamp(int(seconds), utc) if seconds else datetime.datetime.now(utc)
    return f'.TH {name.upper()} {section} {now:%Y-%m-%d} "lowtide {version}" "lowtide"'


def see(*pages):
    rows = [f".BR {name} ({section})" for name, section in pages]
    return [".SH SEE ALSO"] + [row + " ," for row in rows[:-1]] + rows[-1:]


def option_head(option):
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in option.names)
    if not option.argument:
        return names
    return names + ("=" if option.long else " ") + f"\\fI{escape(option.argument)}\\fR"


def command_page(command, commands, version):
    tail = command.tail
    ends = re.search(r"(?:^|\s)Exit codes?: (.*)\Z", tail, re.DOTALL)
    if ends:
        tail = tail[: ends.start()]
    page = [
        title(f"lowtide-{command.name}", 1, version),
        ".SH NAME",
        f"lowtide\\-{command.name} \\- {escape(command.about)}",
        ".SH SYNOPSIS",
    ]
    for n, use in enumerate(command.uses):
        page += [".br"] * bool(n)
        page.append(f"\\fBlowtide {command.name}\\fR [\\fIOPTION\\fR...] {escape(use)}".rstrip())
    page += [".SH DESCRIPTION", *paragraphs(f"{command.head}\n\n{tail}")]
    if command.options:
        page.append(".SH OPTIONS")
        for option in command.options:
            page += [".TP", option_head(option), prose(option.text) or "\\&"]
    if ends:
        page += [".SH EXIT STATUS", *paragraphs(ends[1])]
    others = [(f"lowtide\\-{c.name}", 1) for c in commands if c is not command]
    return page + see(("lowtide", 1), *others, ("lowtide.yaml", 5))


def main_page(commands, around, version):
    page = [
        title("lowtide", 1, version),
        ".SH NAME",
        "lowtide \\- batch server for language models",
        ".SH SYNOPSIS",
        "\\fBlowtide\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]",
        ".SH DESCRIPTION",
        *paragraphs(around),
        ".SH COMMANDS",
    ]
    group = ""
    for command in commands:
        if command.group != group:
            group = command.group
            page += [".SS " + escape(group)]
        page += [".TP", f"\\fBlowtide {command.name}\\fR {escape(command.arguments)}".rstrip()]
        page += [f"{prose(command.about)}; see", f".BR lowtide\\-{command.name} (1)."]
    others = [(f"lowtide\\-{c.name}", 1) for c in commands]
    return page + see(*others, ("lowtide.yaml", 5))


FACTS = {"allowed": "Allowed", "default": "Default", "variable": "Variable", "reload": "Reload"}


def settings_page(head, settings, version):
    page = [
        title("lowtide.yaml", 5, version),
        ".SH NAME",
        "lowtide.yaml \\- configuration of lowtide",
        ".SH DESCRIPTION",
        *paragraphs(head),
        ".SH SETTINGS",
    ]
    for setting in settings:
        page += [".TP", f"\\fB{escape(setting.key)}\\fR", prose(setting.about) + "."]
        for name, value in setting.facts.items():
            page += [".br", f"{FACTS[name]}: {prose(value)}"]
    return page + see(("lowtide", 1), ("lowtide\\-serve", 1))


def pages(commands, around, settings_head, settings, version):
    """file name -> text"""
    made = {"lowtide.1": main_page(commands, around, version)}
    for command in commands:
        made[f"lowtide-{command.name}.1"] = command_page(command, commands, version)
    made["lowtide.yaml.5"] = settings_page(settings_head, settings, version)
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}
