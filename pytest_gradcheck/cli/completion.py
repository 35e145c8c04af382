"""``gradcheck completion``: completions for bash, zsh and fish, made from the parser."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_gradcheck.cli.parser import COMMANDS

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print the script of a shell."""
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]()
    sys.stdout.write(script)
    return 0


def _flags(name: str) -> list[str]:
    """Return the flags of a command."""
    words = [word for names, _ in COMMANDS[name][2] for word in names if word[0] == "-"]
    return [*words, "--help"]


def _choices(name: str) -> list[str]:
    """Return the words that a command's arguments must be one of."""
    return [one for _, options in COMMANDS[name][2] for one in options.get("choices", ())]


def _bash() -> str:
    """Return the completions for bash."""
    cases = "".join(
        f"    {name}) words='{' '.join([*_choices(name), *_flags(name)])}' ;;\n"
        for name in COMMANDS
    )
    return (
        "_gradcheck() {\n"
        '  local word="${COMP_WORDS[COMP_CWORD]}" words=""\n'
        '  if [ "$COMP_CWORD" -eq 1 ]; then\n'
        f"    words='{' '.join(COMMANDS)} --help --version'\n"
        '  else case "${COMP_WORDS[1]}" in\n'
        f"{cases}"
        "  esac; fi\n"
        '  COMPREPLY=($(compgen -W "$words" -- "$word"))\n'
        "}\n"
        "complete -o default -F _gradcheck gradcheck\n"
    )


def _zsh() -> str:
    """Return the completions for zsh, which can read those of bash."""
    return f"#compdef gradcheck\nautoload -U +X bashcompinit && bashcompinit\n{_bash()}"


def _fish() -> str:
    """Return the completions for fish."""
    lines = []
    for name, (text, _, arguments) in COMMANDS.items():
        lines.append(f"complete -c gradcheck -n __fish_use_subcommand -a {name} -d {_quoted(text)}")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for words, options in arguments:
            flags = [
                f"-l {w[2:]}" if w[:2] == "--" else f"-s {w[1:]}" for w in words if w[0] == "-"
            ]
            about = _quoted(options.get("help", ""))
            if flags:
                lines.append(f"complete -c gradcheck {seen} {' '.join(flags)} -d {about}")
            if "choices" in options:
                lines.append(f"complete -c gradcheck {seen} -f -a '{' '.join(options['choices'])}'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return text in quotes for fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
