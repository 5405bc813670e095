"""Tests for some systems only; and what of a module differs on Windows, found in its source without Windows."""

import ast
import re
from collections.abc import Set

__all__ = ["POSIX_ONLY", "reason_to_skip", "unix_only"]

POSIX_ONLY = "needs what Windows lacks: POSIX signals, permissions, limits or tools"
LINUX_ONLY = "needs Linux's /proc or /dev/full"
# Marks of tests, as pyproject.toml declares them.
MARKS = ("pytest.mark.posix", "pytest.mark.linux")

# Modules of the standard library and names in `os` that Windows lacks; and the few signals that it has.
MODULES = {"crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
OS_NAMES = {
    *("chown", "fork", "forkpty", "getgid", "getgroups", "getloadavg", "getpgid", "getuid", "geteuid", "killpg"),
    *("mkfifo", "mknod", "nice", "openpty", "sched_getaffinity", "sched_setaffinity", "seteuid", "setgid", "setpgid"),
    *("setsid", "setuid", "statvfs", "sysconf", "uname", "wait", "wait3", "wait4"),
}
SIGNAL_NAMES = {"alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"}
WINDOWS_SIGNALS = {"SIGABRT", "SIGBREAK", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
PATHS = re.compile(r"/(bin|dev|proc|usr)/")


def reason_to_skip(marks: Set[str], system: str) -> str | None:
    """Why a test with these marks does not run on this `sys.platform`; None where it does."""
    if "linux" in marks and system != "linux":
        return LINUX_ONLY
    return POSIX_ONLY if "posix" in marks and system == "win32" else None


def unix_only(source: str) -> list[str]:
    """What a module uses that Windows lacks or writes with backslashes, unless `sys.platform` or a mark skips it."""
    return [name for node in ast.walk(_OnWindows().visit(ast.parse(source))) for name in _names(node)]


class _OnWindows(ast.NodeTransformer):
    """Leaves of a module what Windows gets to."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                setattr(node, name, _until_windows_leaves(block))
        return super().generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        if any(isinstance(each, ast.Assign) and _is_marked(each.value) for each in node.body):
            # What is outside functions runs all the same, when the tests are collected.
            node.body = [each for each in node.body if not isinstance(each, ast.FunctionDef)]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        return None if any(map(_is_marked, node.decorator_list)) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        marked = any(each.arg == "marks" and _is_marked(each.value) for each in node.keywords)
        return ast.Constant(None) if marked else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        asked = ast.unparse(node.test)
        if asked == "sys.platform == 'win32'":
            node.orelse = []
        elif asked == "sys.platform != 'win32'":
            node.body = [ast.Pass()]
        return self.generic_visit(node)


def _until_windows_leaves(block: list[ast.stmt]) -> list[ast.stmt]:
    for place, node in enumerate(block):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "sys.platform == 'win32'":
            last = node.body[-1]
            if isinstance(last, ast.Raise | ast.Return) or ast.unparse(last).startswith("pytest.skip("):
                return block[: place + 1]
    return block


def _is_marked(node: ast.AST) -> bool:
    return any(ast.unparse(each) in MARKS for each in ast.walk(node) if isinstance(each, ast.Attribute))


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [name for each in node.names if (name := each.name.partition(".")[0]) in MODULES]
        case ast.ImportFrom(module=str(module)) if module in MODULES:
            return [module]
        case ast.ImportFrom(module=str(module)):
            return [f"{module}.{each.name}" for each in node.names if _lacks(module, each.name)]
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if _lacks(owner, name):
            return [f"{owner}.{name}"]
        case ast.Constant(value=str(text)) if PATHS.match(text):
            return [text]
        case ast.Call() if ast.unparse(node) == "ctypes.CDLL(None)":
            return ["ctypes.CDLL(None)"]
        case ast.Call(func=ast.Name(id="str"), args=[path]) | ast.FormattedValue(value=path) if _is_relative(path):
            return [f"str({ast.unparse(path)})"]
    return []


def _is_relative(node: ast.expr) -> bool:
    """A relative path, whose text is compared or shown; `as_posix` is the same everywhere."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "relative_to"


def _lacks(module: str, name: str) -> bool:
    if module == "os":
        return name in OS_NAMES
    return module == "signal" and (name in SIGNAL_NAMES or (name.startswith("SIG") and name not in WINDOWS_SIGNALS))
