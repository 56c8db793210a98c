"""YAML as far as JSON goes (YAML 1.2.2, section 10.3).

A date is text there, `no` is a word, and a name written twice or an alias is a fault: what two
readers could understand differently has no place in a contract.
"""

import re
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # it brings no types

__all__ = ["parse"]


class _Core(yaml.SafeLoader):  # type: ignore[misc]  # as above
    """Knows null, true, false and numbers; everything else is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # the library's own name for it

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read one node, which is no alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="an alias, which JSON has not", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # the library's signature
        """Read an object. Its names are text, as in JSON: a status is written as a number here."""
        made: dict[str, Any] = {}
        for key, value in node.value:
            name = str(self.construct_object(key, deep=True))
            if name in made:
                raise yaml.MarkedYAMLError(
                    problem=f"{name!r} is written twice", problem_mark=key.start_mark
                )
            made[name] = self.construct_object(value, deep=deep)
        return made


_NUMBER: Final = r"^[-+]?(?:0|[1-9][0-9]*)"
for _tag, _form, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", ["t", "f"]),
    ("int", _NUMBER + "$", list("-+0123456789")),
    ("float", _NUMBER + r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", list("-+0123456789")),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), _first)


def parse(raw: bytes) -> Any:
    """Read a document; raise `ValueError` with the line for anything else."""
    try:
        return yaml.load(raw, _Core)  # noqa: S506  # a safe loader, and stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise ValueError(f"{error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
