"""The rules of the house that a reader would otherwise have to remember, held by reading the code.

Each rule is a function from source to what breaks it, so that each can be shown to fail.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.ports.binding import operation, operations
from contracts.problems import CATALOGUE
from contracts.versions import VERSIONS

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contracts", "runtime", "gateway", "experience_apis", "process_apis", "system_apis", "deploy",
)  # fmt: skip
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CONNECTORS = sorted(path.parent for path in ROOT.glob("system_apis/*/*/connector.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of a module that is not a docstring."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def docstring(source: str) -> str:
    return ast.get_docstring(ast.parse(source)) or ""


# -- a vendor's words stay in its connector ------------------------------------------------------

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VENDORS_OWN = re.compile(r"[a-z][A-Z]|__c$|_")
"""What a word of a wire looks like; a plain English word could be anybody's."""
OAUTH = {"access_token", "refresh_token", "expires_in", "token_type", "grant_type"}
"""RFC 6749's words, in every vendor's wire and in our own issuer."""
TRANSLATING = re.compile(r"(wire(_\w+)?|mapping)\.py")
"""Where a vendor's words belong; a subject of its own may have a wire file of its own."""
ALSO_SAID = {
    "deploy/order_files/reading.py": "`UnitPrice` is a column of the wholesaler's file",
    "deploy/order_files/reconciling.py": "the sandbox's ledger names its rows after entity sets",
    "system_apis/crm/salesforce/connector.py": "the key of a look-up by either of two names",
    "system_apis/erp/business_central/failures.py": "refusals are told apart by what they name",
}
"""Where a vendor's word may stand besides its wire and mapping, and why."""


def our_words() -> set[str]:
    """Members of the canonical model, as Python and as JSON spell them."""
    found = set()
    for path in (ROOT / "contracts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                found |= {name, re.sub("_(.)", lambda after: after[1].upper(), name)}
    return found


def vendor_words(connector: Path) -> set[str]:
    """The words of a vendor's wire: what its `wire*.py` send and read that is not ours."""
    package = ".".join(connector.relative_to(ROOT).parts)
    words: set[str] = set()
    for path in connector.glob("wire*.py"):
        words |= {
            word for text in strings(ast.parse(path.read_text())) for word in WORD.findall(text)
        }
        for each in vars(importlib.import_module(f"{package}.{path.stem}")).values():
            if isinstance(each, type) and issubclass(each, msgspec.Struct):
                words |= set(each.__struct_encode_fields__)
    return {word for word in words if VENDORS_OWN.search(word)} - our_words() - OAUTH


def spoken(source: str, words: set[str]) -> set[str]:
    """The words of a vendor that a module's strings hold."""
    return {word for text in strings(ast.parse(source)) for word in WORD.findall(text)} & words


def test_a_vendors_words_are_spoken_in_its_connector_alone():
    """Renaming a vendor's field is a change to one directory, and mostly to one file."""
    wired = [connector for connector in CONNECTORS if (connector / "wire.py").is_file()]
    assert len(wired) == 3
    found = {}
    for connector in wired:
        words = vendor_words(connector)
        assert len(words) > 20, f"{name_of(connector)} speaks of nothing"
        for path in SOURCES:
            translated = path.parent == connector and TRANSLATING.fullmatch(path.name)
            if translated or "sandbox" in path.parts or name_of(path) in ALSO_SAID:
                continue
            if leaked := spoken(path.read_text(), words):
                found[name_of(path)] = leaked
    assert found == {}


@pytest.mark.parametrize(
    "leak", ["externalDocumentNumber", "ERP_Order__c", "partner_order_id", "salesOrders"]
)
def test_a_vendors_word_would_be_found(leak):
    """In a filter, a path or a key; in a docstring anybody may explain."""
    words = set().union(*(vendor_words(c) for c in CONNECTORS if (c / "wire.py").is_file()))
    assert spoken(f'"""Tells of {leak}."""\nquery = f"{{base}}/{leak}?$top=1"\n', words) == {leak}
    assert spoken(f'"""Tells of {leak}."""\n', words) == set()


# -- time is handed in ---------------------------------------------------------------------------

CLOCKS = {
    ("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"),
    ("datetime", "today"), ("date", "today"),
}  # fmt: skip
MAY_READ_A_CLOCK = {
    "runtime/clock.py": "it is the clock",
    "deploy/sandbox/clock.py": "it is the vendors' clock",
    "deploy/sandbox/wire.py": "the journal of requests is for people, on their wall's time",
}


def clocks_read(source: str) -> set[str]:
    """The calls of a module that ask the machine for the time of day."""
    return {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in CLOCKS
    }


def test_nobody_reads_a_clock_of_his_own():
    """What cannot be handed another time cannot be told what happens tomorrow."""
    found = {name_of(path): clocks_read(path.read_text()) for path in SOURCES}
    assert {name for name, read in found.items() if read} == set(MAY_READ_A_CLOCK)


@pytest.mark.parametrize(
    "line", ["t = time.time()", "t = datetime.now(UTC)", "f(date.today())", "x = time.time_ns()"]
)
def test_a_clock_of_ones_own_would_be_found(line):
    assert clocks_read(line) != set()
    assert clocks_read("t = clock.now()") == set()


# -- files one can read in one sitting -----------------------------------------------------------

LONG = 400
LEEWAY = 20
"""The rule says "about"."""
REASON = re.compile(r"more than 400 lines", re.IGNORECASE)
LONG_FOR_A_REASON = {
    "runtime/journal/journal.py": "one promise a method, and callers look in one place",
    "system_apis/erp/business_central/mapping.py": "a mapping is one file (design, section 6)",
}
"""Where the reason is known and the docstring does not give it."""


def too_long(source: str) -> bool:
    """Whether a module is long without saying why."""
    return source.count("\n") > LONG + LEEWAY and not REASON.search(docstring(source))


def test_a_long_file_says_why():
    """About 400 lines are what one reads in one sitting."""
    found = {name_of(path) for path in SOURCES if too_long(path.read_text())}
    assert found - set(LONG_FOR_A_REASON) == set()


def test_a_long_file_without_a_reason_would_be_found():
    assert too_long('"""A module."""\n' + "x = 1\n" * 421)
    assert not too_long('"""A table: more than 400 lines, one a row."""\n' + "x = 1\n" * 421)


# -- the name is the address ---------------------------------------------------------------------

NO_ADDRESS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc"}


def without_address(path: Path) -> set[str]:
    """The parts of a path that do not tell what is in there."""
    return NO_ADDRESS & {part.removesuffix(".py") for part in path.parts}


def test_every_name_tells_what_is_in_there():
    assert [name_of(p) for p in SOURCES if without_address(p.relative_to(ROOT))] == []


@pytest.mark.parametrize("path", ["gateway/utils.py", "runtime/common/x.py", "deploy/base.py"])
def test_a_name_that_tells_nothing_would_be_found(path):
    assert without_address(Path(path))


# -- every effect has a key ----------------------------------------------------------------------


def unkeyed(port: type) -> list[str]:
    """The operations of a port that have an effect on orders and take no Idempotency-Key."""
    return [
        one.name
        for one in operations(port)
        if one.operation.method != "GET"
        and (one.operation.limit == "orders" or (one.operation.scope or "").endswith(":write"))
        and one.operation.idempotency == "none"
    ]


@pytest.mark.parametrize("api", VERSIONS, ids=lambda api: api.slug)
def test_every_effect_on_orders_takes_a_key(api):
    """Without one, whoever repeats a call may order twice."""
    assert unkeyed(api.port) == []


def test_an_effect_without_a_key_would_be_found():
    class Careless:
        @operation("POST", "/orders", scope="orders:write", limit="orders")
        async def place(self, body: str) -> str: ...

        @operation("POST", "/things", scope="things:write")
        async def make(self, body: str) -> str: ...

        @operation("POST", "/checks", scope="things:read", limit="checks")
        async def check(self, body: str) -> str: ...

    assert unkeyed(Careless) == ["place", "make"]


# -- one directory per counterpart, one file name per role ---------------------------------------


def missing_files(names: set[str], connector: str) -> set[str]:
    """The files a connector lacks; one that speaks to nobody has no wire to translate."""
    needed = {"manifest.toml", "connector.py", "quirks.md"}
    if "runtime.http" in connector:
        needed |= {"wire.py", "mapping.py"}
    return needed - names


@pytest.mark.parametrize("connector", CONNECTORS, ids=name_of)
def test_a_connector_has_the_files_everybody_looks_for(connector):
    names = {path.name for path in connector.iterdir()}
    assert missing_files(names, (connector / "connector.py").read_text()) == set()


def test_every_directory_of_a_domain_is_a_connector():
    folders = {path.parent for path in ROOT.glob("system_apis/*/*/__init__.py")}
    assert folders == set(CONNECTORS)


def test_a_missing_file_would_be_found():
    present = {"manifest.toml", "connector.py", "quirks.md", "wire.py"}
    assert missing_files(present, "from runtime.http import HttpClient") == {"mapping.py"}
    assert missing_files(present - {"quirks.md"}, "") == {"quirks.md"}


# -- every refusal is in the catalogue, and the catalogue is used --------------------------------

REFUSING = {"refuse", "problem", "kind", "_closing", "refused"}


def slugs_raised(source: str) -> set[str]:
    """The slugs a module refuses with, by function or as the reason of a vendor's refusal."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=called):
                given = node.args[:1] if called in REFUSING else []
            case ast.Attribute(value=ast.Name(id="problems"), attr=called):
                given = node.args[:1]
            case _:
                continue
        if called == "Rejected":
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        found |= {
            each.value
            for each in given
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
    return found


def test_every_refusal_is_in_the_catalogue():
    """A slug outside it would be a 500 at the moment somebody must be refused."""
    product = [path for path in SOURCES if "sandbox" not in path.parts]
    found = {name_of(path): slugs_raised(path.read_text()) - set(CATALOGUE) for path in product}
    assert {name: slugs for name, slugs in found.items() if slugs} == {}
    assert len(set().union(*(slugs_raised(path.read_text()) for path in product))) > 20


def test_every_problem_of_the_catalogue_is_somebodys():
    """A row nobody uses is a promise nobody keeps; a contract's list of problems is no use."""
    used = set()
    for path in SOURCES:
        declared = path.parts[len(ROOT.parts)] == "contracts" and path.name != "outcomes.py"
        if not declared and "sandbox" not in path.parts:
            used |= set(strings(ast.parse(path.read_text()))) & set(CATALOGUE)
    assert set(CATALOGUE) - used == set()


@pytest.mark.parametrize(
    "line",
    ['raise refuse("order-lost")', 'Refuse(problem=problem("order-lost", detail="x"))',
     'Rejected(system="wms", reason="order-lost", detail="x")', 'return _closing("order-lost")'],
)  # fmt: skip
def test_a_refusal_outside_the_catalogue_would_be_found(line):
    assert slugs_raised(line) == {"order-lost"}
    assert "order-lost" not in CATALOGUE
