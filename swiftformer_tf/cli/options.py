"""Words the library's messages for the command line."""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["ArgumentOption", "in_options"]

_QUOTED = re.compile(r"`(\w+)(?:=('[^']*'|[^\s`]+))?`")


class ArgumentOption(click.Option):
    """An option that sets arguments of the library of other names than its own.

    Args:
        *declarations: See `click.Option`.
        arguments: These names; `name='value'` if the option means this value alone.
        **settings: See `click.Option`.

    Examples:
        >>> ArgumentOption(["--android-class"], arguments=["class_name"]).arguments
        ('class_name',)
    """

    def __init__(self, *declarations: Any, arguments: Iterable[str], **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.arguments = tuple(arguments)


def in_options(
    message: str, command: click.Command, arguments: Sequence[str] = (), *, others: Iterable[click.Command] = ()
) -> str:
    """Names options in the place of Python's arguments in a message of the library.

    Args:
        message: What a function said of its arguments: `image_size=0` or process_id, or in backquotes.
        command: Whose options are meant.
        arguments: What was typed after it. Without backquotes, a message about none of these options may be about a
            field of a file.
        others: Further commands, to which the user may be sent: what is in backquotes may be an option of theirs.

    Examples:
        >>> from swiftformer_tf.cli import cli
        >>> in_options("batch_size=7: expected a multiple of 2", cli.commands["train"], ["--batch-size", "7"])
        '--batch-size 7: expected a multiple of 2'
        >>> in_options("old weights need `token_weights='uniform'`", cli.commands["port"])
        'old weights need --token-weights uniform'
    """
    options = _options(command)

    def quoted(match: re.Match[str]) -> str:
        name, value = match.groups()
        known = itertools.chain([options], map(_options, others))
        found = (_option(each, name, value) for each in known)
        return next((_spelled(each, value) for each in found if each), match[0])

    message = _QUOTED.sub(quoted, message)
    names = "|".join(sorted({each.partition("=")[0] for each in options}, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.'/`-])({names})(?:=('[^']*'|[^\s:;,]+)|(?![\w='/`-]))")
    # Others are words of the sentence.
    meant = (each for each in pattern.finditer(message) if each[2] or "_" in each[1])
    found = {each.start(): option for each in meant if (option := _option(options, each[1], each[2]))}

    def bare(match: re.Match[str]) -> str:
        option = found.get(match.start())
        return _spelled(option, match[2]) if option else match[0]

    typed = {argument.partition("=")[0] for argument in arguments}
    if not any(typed & {*option.opts} for option in found.values()):
        return message
    return pattern.sub(bare, message)


def _options(command: click.Command) -> dict[str, click.Option]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    further = {name: each for each in options if isinstance(each, ArgumentOption) for name in each.arguments}
    return further | {str(each.name): each for each in options}


def _option(options: dict[str, click.Option], name: str, value: str | None) -> click.Option | None:
    return options.get(f"{name}={value}") or options.get(name)


def _spelled(option: click.Option, value: str | None) -> str:
    return " ".join([max(option.opts, key=len), *([value.strip("'")] if value and not option.is_flag else [])])
