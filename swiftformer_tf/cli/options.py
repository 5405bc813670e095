"""Words the library's messages for the command line."""

import itertools
import re
from collections.abc import Iterable, Sequence

import click

__all__ = ["in_options"]

_QUOTED = re.compile(r"`(\w+)(?:=('[^']*'|[^\s`]+))?`")


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
        return next((_spelled(each[name], value) for each in known if name in each), match[0])

    message = _QUOTED.sub(quoted, message)
    names = "|".join(sorted(options, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.'/`-])({names})(?:=('[^']*'|[^\s:;,]+)|(?![\w='/`-]))")
    # Others are words of the sentence.
    found = {each.start(): each for each in pattern.finditer(message) if each[2] or "_" in each[1]}
    typed = {argument.partition("=")[0] for argument in arguments}
    if not any(typed & {*options[each[1]].opts} for each in found.values()):
        return message
    return pattern.sub(lambda each: _spelled(options[each[1]], each[2]) if each.start() in found else each[0], message)


def _options(command: click.Command) -> dict[str, click.Option]:
    return {str(each.name): each for each in command.params if isinstance(each, click.Option)}


def _spelled(option: click.Option, value: str | None) -> str:
    return " ".join([max(option.opts, key=len), *([value.strip("'")] if value else [])])
