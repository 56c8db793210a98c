"""SOQL cut into tokens, each with its column."""

import re

import msgspec

from deploy.sandbox.salesforce.errors import Refusal

__all__ = ["Token", "malformed", "tokens_of"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
      | (?P<date>\d{4}-\d\d-\d\d)
      | (?P<number>[+-]?\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<sign><=|>=|!=|<>|[=<>(),:])""",
    re.VERBOSE,
)


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token; ``word`` is its text in upper case, ``at`` its column from 1."""

    kind: str
    text: str
    word: str
    at: int


def tokens_of(text: str) -> list[Token]:
    """Cut a query into tokens; the last is of kind ``end``.

    Raises:
        Refusal: MALFORMED_QUERY at a character that begins no token.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise malformed(
                text, at + 1, f"line 1:{at} no viable alternative at character '{text[at]}'"
            )
        kind = found.lastgroup
        if kind != "space" and kind is not None:
            piece = found.group()
            tokens.append(Token(kind, piece, piece.upper(), at + 1))
        at = found.end()
    tokens.append(Token("end", "<EOF>", "<EOF>", len(text) + 1))
    return tokens


def malformed(text: str, at: int, message: str, code: str = "MALFORMED_QUERY") -> Refusal:
    """A refusal that shows the place, as Salesforce does."""
    start = max(0, at - 21)
    snippet = text[start : at + 20].replace("\n", " ")
    caret = " " * (at - 1 - start) + "^"
    row = text.count("\n", 0, at - 1) + 1
    column = at - (text.rfind("\n", 0, at - 1) + 1)
    return Refusal(code, f"\n{snippet}\n{caret}\nERROR at Row:{row}:Column:{column}\n{message}")
