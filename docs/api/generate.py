"""Writes docs/api, a page for each public name, from signatures and docstrings: `make docs`."""

import inspect
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import griffe

FOLDER = Path(__file__).parent
PACKAGE = "swiftformer_tf"

# Parts of the index. A constant is known by its name; the others by what they are.
KINDS = ("Functions", "Classes", "Constants", "Errors")
HEAD = """Made by `make docs` from the docstrings. The examples run in the tests; they take the public names, and numpy
as `np`, as imported."""
# Longest signature on one line.
WIDTH = 100


def pages() -> dict[str, str]:
    """Text of each page by its path in this folder."""
    package = griffe.load(PACKAGE, search_paths=[str(FOLDER.parents[1])], docstring_parser="google")
    modules = {PACKAGE: package, f"{PACKAGE}.training": package["training"]}
    public = {
        f"{module}.{name}": _target(package[f"{module}.{name}".removeprefix(f"{PACKAGE}.")])
        for module, found in modules.items()
        for name in map(str, found.exports or ())
        if not found[name].is_module
    }
    paths = {name: name.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".md" for name in public}
    links = {name.rpartition(".")[2]: path for name, path in paths.items()}
    written = {path: _page(name, public[name], path, links) for name, path in paths.items()}
    return {"README.md": _index(modules, public, paths), **written}


def write(folder: Path) -> None:
    """Writes the pages, and removes those whose name is no longer public."""
    wanted = pages()
    for path in set(folder.rglob("*.md")) - {folder / name for name in wanted}:
        path.unlink()
    for name, text in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _index(modules: Iterable[str], public: dict[str, griffe.Object], paths: dict[str, str]) -> str:
    parts = ["# API", HEAD]
    for module in modules:
        parts.append(f"## `{module}`")
        names = [name for name in public if name.rpartition(".")[0] == module]
        for kind in KINDS:
            rows = [
                f"| [`{name.rpartition('.')[2]}`]({paths[name]}) | {_summary(public[name])} |"
                for name in names
                if _kind(public[name]) == kind
            ]
            if rows:
                parts.append("\n".join([f"| {kind} | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _kind(found: griffe.Object) -> str:
    if isinstance(found, griffe.Class):
        return "Errors" if found.name.endswith("Error") else "Classes"
    return "Functions" if isinstance(found, griffe.Function) else "Constants"


def _summary(found: griffe.Object) -> str:
    return inspect.cleandoc(found.docstring.value).partition("\n\n")[0].replace("\n", " ") if found.docstring else ""


def _page(name: str, found: griffe.Object, path: str, links: dict[str, str]) -> str:
    up = "../" * path.count("/")
    others = {other: up + target for other, target in links.items() if target != path}
    source = found.filepath
    assert isinstance(source, Path)
    shown = source.relative_to(FOLDER.parents[1]).as_posix()
    parts = [f"# `{name}`", f"[API]({up}README.md) · [{shown}]({up}../../{shown})"]
    parts += [_code(_signature(name, found)), *_docstring(found, others)]
    for member in found.members.values():
        if member.name.startswith("_") or member.docstring is None or isinstance(member, griffe.Alias):
            continue
        parts += [f"## `{member.name}`", _code(_signature(member.name, member)), *_docstring(member, others)]
    return "\n\n".join(parts) + "\n"


def _signature(name: str, found: griffe.Object) -> str:
    if isinstance(found, griffe.Attribute):
        return f"{name}: {_written(found.annotation, found)}"
    if isinstance(found, griffe.Class) and _kind(found) == "Errors":
        return f"class {name}({', '.join(map(str, found.bases))})"
    assert isinstance(found, (griffe.Class, griffe.Function))
    parameters = _parameters(found)
    before = "class " if isinstance(found, griffe.Class) else "@classmethod\n" * ("classmethod" in found.labels)
    after = f" -> {_written(found.returns, found)}" if isinstance(found, griffe.Function) and found.returns else ""
    line = f"{before}{name}({', '.join(parameters)}){after}"
    if max(map(len, line.splitlines())) <= WIDTH:
        return line
    return f"{before}{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){after}"


def _parameters(found: griffe.Class | griffe.Function) -> list[str]:
    written = []
    for each in found.parameters:
        if each.name in ("self", "cls"):
            continue
        if each.kind is griffe.ParameterKind.keyword_only and "*" not in written:
            written.append("*")
        variadic = each.kind is griffe.ParameterKind.var_keyword
        kind = f": {_written(each.annotation, found)}" if each.annotation else ""
        # A default that is made anew each time is shown as what it makes.
        default = re.sub(r"^\(lambda: (.*)\)\(\)$", r"\1", str(each.default)).replace("'", '"')
        ends = "" if variadic or each.default is None else f" = {default}" if kind else f"={default}"
        written.append("**" * variadic + each.name + kind + ends)
    return written


def _written(annotation: str | griffe.Expr | None, scope: griffe.Object) -> str:
    """An annotation as it stands in the source, with this package's own aliases written out."""
    text = str(annotation)
    names = annotation.iterate(flat=True) if isinstance(annotation, griffe.Expr) else ()
    for name in names:
        if isinstance(name, griffe.ExprName) and name.canonical_path.startswith(f"{PACKAGE}."):
            meant = _target(scope.modules_collection[name.canonical_path])
            if isinstance(meant, griffe.Attribute):
                text = re.sub(rf"\b{name.name}\b", str(meant.value), text)
    return text.replace("'", '"') if "Literal" in text else text.strip("'")


def _docstring(found: griffe.Object, links: dict[str, str]) -> list[str]:
    parts = []
    for section in found.docstring.parsed if found.docstring else ():
        if isinstance(section, griffe.DocstringSectionText):
            parts.append(_linked(section.value, links))
        elif isinstance(section, griffe.DocstringSectionAdmonition):
            parts += [f"**{section.title}**", _code(section.value.contents)]
        elif isinstance(section, griffe.DocstringSectionParameters):
            rows = [f"`{each.name}`: {_linked(each.description, links)}" for each in section.value]
            parts += ["**Args**", _list(rows)]
        elif isinstance(section, griffe.DocstringSectionRaises):
            rows = [_linked(f"`{each.annotation}`: {each.description}", links) for each in section.value]
            parts += ["**Raises**", _list(rows)]
        else:
            said = " ".join(each.description for each in section.value)
            parts.append(f"**{section.kind.value.capitalize()}**: {_linked(said, links)}")
    return parts


def _list(rows: list[str]) -> str:
    return "\n".join("* " + textwrap.indent(row, "  ").lstrip() for row in rows)


def _linked(text: str, links: dict[str, str]) -> str:
    """Names in backticks that have a page point to it."""
    return re.sub(r"`(\w+)`", lambda found: f"[{found[0]}]({links[found[1]]})" if found[1] in links else found[0], text)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


if __name__ == "__main__":
    write(FOLDER)
