"""Why a runtime refuses a file, in one line.

For scripts that run in the environment of a client, without this package.
"""

__all__ = ["refusal"]


def refusal(error: Exception, line: int = 0) -> str:
    """One line of an error's message, or its type if the message is empty.

    Args:
        error: Whatever the runtime raised.
        line: Which of the lines that are not empty; most say it in the first, OpenVINO in the last, -1.
    """
    lines = [each.strip() for each in str(error).splitlines() if each.strip()]
    return lines[line] if lines else type(error).__name__
