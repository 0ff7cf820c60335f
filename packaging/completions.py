"""Completions for bash, zsh and fish of what the program says of itself."""

import re

MADE = "made of what lowtide says of itself (packaging/completions.py)"


def quote(text):
    """A word of a shell, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def first_sentence(text):
    return re.split(r"(?<=[^.])[.;](?= |$)", text)[0].replace("`", "")


def keys(settings):
    """Those that --set and the environment can give."""
    return [s for s in settings if not s.in_list and "variable" in s.facts]


# ---- bash ----

BASH = """\
# bash completion for lowtide, {made}
_lowtide() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} at=$((COMP_CWORD - 1)) options= words= setting= files=

    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W {commands} -- "$cur"))
        return
    fi
    # bash takes "=" for a word of its own: --profile = kimi, and --set log.level = debug
    if [ "$cur" = = ]; then
        cur=
    elif [ "$prev" = = ]; then
        at=$((at - 1))
    fi
    prev=${{COMP_WORDS[at]}}
    if [ "$at" -lt "$((COMP_CWORD - 1))" ] || [ "${{COMP_WORDS[COMP_CWORD]}}" = = ]; then
        case ${{COMP_WORDS[at-1]}},${{COMP_WORDS[at-2]}} in
        --set,*|=,--set) setting=$prev ;;
        esac
    fi
    if [ -n "$setting" ]; then
        case $setting in
{values}
        esac
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        return
    fi
    case $command in
    help)
        COMPREPLY=($(compgen -W {help_words} -- "$cur"))
        return
        ;;
{cases}
    *) return ;;
    esac
    case $cur in
    -*)
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        return
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [ -n "$files" ]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
}}
complete -F _lowtide lowtide
"""

BASH_SET = """\
            compopt -o nospace 2>/dev/null
            COMPREPLY=($(compgen -W {keys} -- "$cur"))
            return"""
BASH_FILES = """\
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$cur"))
            return"""
BASH_WORDS = """\
            COMPREPLY=($(compgen -W {words} -- "$cur"))
            return"""


def bash_argument(option, settings):
    if option.is_setting:
        return BASH_SET.format(keys=quote(" ".join(f"{s.key}=" for s in keys(settings))))
    if option.words:
        return BASH_WORDS.format(words=quote(" ".join(option.words)))
    return BASH_FILES if option.is_path else "            return"


def bash_case(command, settings):
    names = [name for option in command.options for name in option.names]
    lines = [f"    {command.name})", f"        options={quote(' '.join(names))}"]
    takers = [option for option in command.options if option.argument]
    if takers:
        lines.append("        case $prev in")
        for option in takers:
            lines += [f"        {'|'.join(option.names)})", bash_argument(option, settings), "            ;;"]
        lines.append("        esac")
    if command.takes_files:
        lines.append("        files=yes")
    if command.actions:
        lines += ["        case ${COMP_WORDS[2]} in"]
        paths = [word for word, path in command.actions.items() if path]
        if paths:
            lines.append(f"        {'|'.join(paths)}) [ \"$COMP_CWORD\" = 2 ] || files=yes ;;")
        lines += ["        esac"]
        lines.append(f"        [ \"$COMP_CWORD\" != 2 ] || words={quote(' '.join(command.actions))}")
    return "\n".join(lines + ["        ;;"])


def bash(commands, settings):
    names = [command.name for command in commands]
    values = [f"        {s.key}) words={quote(' '.join(s.words))} ;;" for s in keys(settings) if s.words]
    return BASH.format(
        made=MADE,
        commands=quote(" ".join([*names, "help"])),
        help_words=quote(" ".join([*names, "settings"])),
        values="\n".join(values),
        cases="\n".join(bash_case(command, settings) for command in commands),
    )


# ---- zsh ----

ZSH = """\
#compdef lowtide
# {made}

_lowtide_settings() {{
    local -a keys
    if compset -P 1 '*='; then
        case ${{IPREFIX##*set=}} in
{values}
        esac
        return
    fi
    keys=(
{keys}
    )
    _describe -t settings setting keys -S =
}}

_lowtide() {{
    local curcontext=$curcontext state line
    local -a commands
    commands=(
{commands}
        'help:options of a subcommand, or every setting'
    )
    _arguments -C '1: :->command' '*:: :->rest'
    case $state in
    command) _describe -t commands command commands ;;
    rest)
        case $words[1] in
{cases}
        help) _arguments "1:subcommand:(({help_words}))" ;;
        esac
        ;;
    esac
}}

_lowtide "$@"
"""


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", first_sentence(text))


def zsh_argument(option):
    if not option.argument:
        return ""
    label = re.sub(r"[^\w.-]+", " ", option.argument)
    action = " "
    if option.is_setting:
        action = "_lowtide_settings"
    elif option.words:
        action = f"({' '.join(option.words)})"
    elif option.is_path:
        action = "_files"
    return f":{label}:{action}"


def zsh_options(option):
    for name in option.names:
        equals = "=" if option.argument and name.startswith("--") else "+" if option.argument else ""
        yield quote(f"*{name}{equals}[{zsh_text(option.text)}]{zsh_argument(option)}")


def zsh_case(command):
    specs = [spec for option in command.options for spec in zsh_options(option)]
    if command.actions:
        specs.append(quote(f"1:action:({' '.join(command.actions)})"))
        specs.append(quote("*:file:_files") if any(command.actions.values()) else quote("*: : "))
    elif command.takes_files:
        specs.append(quote("*:file:_files"))
    joined = " \\\n                ".join(specs)
    return f"        {command.name})\n            _arguments \\\n                {joined}\n            ;;"


def zsh(commands, settings):
    entries = [quote(f"{c.name}:{zsh_text(c.about)}") for c in commands]
    values = [
        f"        {s.key}=) compadd {' '.join(s.words)} ;;" for s in keys(settings) if s.words
    ]
    described = [quote(f"{s.key}:{zsh_text(s.about)}") for s in keys(settings)]
    return ZSH.format(
        made=MADE,
        values="\n".join(values),
        keys="\n".join(f"        {text}" for text in described),
        commands="\n".join(f"        {entry}" for entry in entries),
        cases="\n".join(zsh_case(command) for command in commands),
        help_words=" ".join([c.name for c in commands] + ["settings"]),
    )


# ---- fish ----

FISH = """\
# fish completion for lowtide, {made}

function __lowtide_is --description 'the subcommand is one of these'
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end

function __lowtide_first --description 'no word follows the subcommand yet'
    test (count (commandline -opc)) -eq 2; and __lowtide_is $argv
end

function __lowtide_set --description 'settings, and the values of those that have few'
    switch (commandline -ct)
{values}
    case '*'
        printf '%s\\n' {keys}
    end
end

complete -c lowtide -f
complete -c lowtide -n 'test (count (commandline -opc)) -eq 1' -a help -d 'options of a subcommand, or every setting'
complete -c lowtide -n '__lowtide_first help' -a {help_words}
{rest}
"""


def fish_option(command, option, settings):
    line = f"complete -c lowtide -n {quote('__lowtide_is ' + command.name)}"
    line += f" -s {option.short}" * bool(option.short) + f" -l {option.long}" * bool(option.long)
    if option.is_setting:
        line += " -x -a '(__lowtide_set)'"
    elif option.words:
        line += f" -x -a {quote(' '.join(option.words))}"
    elif option.argument:
        line += " -r -F" if option.is_path else " -x"
    return line + f" -d {quote(first_sentence(option.text))}"


def fish_command(command, settings):
    name = command.name
    first = "test (count (commandline -opc)) -eq 1"
    yield f"complete -c lowtide -n {quote(first)} -a {name} -d {quote(first_sentence(command.about))}"
    for option in command.options:
        yield fish_option(command, option, settings)
    if command.actions:
        words = " ".join(command.actions)
        yield f"complete -c lowtide -n {quote('__lowtide_first ' + name)} -a {quote(words)}"
    if command.takes_files or any(command.actions.values()):
        yield f"complete -c lowtide -n {quote('__lowtide_is ' + name)} -F"


def fish(commands, settings):
    values = []
    for s in keys(settings):
        if s.words:
            words = " ".join(f"{s.key}={word}" for word in s.words)
            values.append(f"    case {quote(s.key + '=*')}\n        printf '%s\\n' {words}")
    return FISH.format(
        made=MADE,
        values="\n".join(values),
        keys=" ".join(f"{s.key}=" for s in keys(settings)),
        help_words=quote(" ".join([c.name for c in commands] + ["settings"])),
        rest="\n".join(line for command in commands for line in fish_command(command, settings)),
    )
