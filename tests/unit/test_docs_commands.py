"""What the documents say can be done: every command, address, path and setting in them is real."""

import itertools
import re
import shlex
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import msgspec
import pytest

from contracts.ports.binding import operations
from contracts.versions import supported
from deploy.checking import faults_of
from deploy.cli import crossdock
from deploy.order_files.documents import Reason
from deploy.profile import Settings
from gateway.config import GatewaySettings, IdempotencySettings, Issuer, ShieldSettings
from gateway.policies.guard import GuardLimits
from gateway.resilience import CacheSettings
from gateway.revocation import EVERY_SECONDS
from tests.policies.parcels import contract_file

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
ORDER_FILES = (ROOT / "docs" / "order-files.md").read_text()
RUNBOOKS = "".join(page.read_text() for page in sorted((ROOT / "docs/runbooks").glob("*.md")))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
CURL_OPTIONS = {"-s", "-i", "-si"}
SANDBOX_DESK = {"/_sandbox/ledger", "/_sandbox/faults", "/_sandbox/catalog"}


def commands_in(text):
    """Every line that a reader could paste into a shell, with its continuation lines."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    blocks += re.findall(r"`((?:crossdock|make) [^`]+)`", text)
    for block in blocks:
        yield from split(block)


def split(block):
    """One command a line, unless a quoted string or a backslash goes on."""
    pending = ""
    for line in block.splitlines():
        pending += line.removesuffix("\\") + " "
        if line.endswith("\\"):
            continue
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation is still open
            continue
        pending = ""
        if words:
            yield words


def crossdock_commands(text):
    for words in commands_in(text):
        joined = " ".join(words)
        inner = re.search(r"\$\((crossdock [^)]*)\)", joined)
        if inner:
            yield shlex.split(inner[1])
        bare = list(itertools.dropwhile(lambda word: "=" in word, words))
        if bare and bare[0] == "crossdock":
            yield bare


def curl_commands(text):
    return [words for words in commands_in(text) if words[0] == "curl"]


@pytest.mark.parametrize(
    "words",
    [
        *crossdock_commands(README),
        *crossdock_commands(CONFIGURATION),
        *crossdock_commands(ORDER_FILES),
        *crossdock_commands(RUNBOOKS),
    ],
    ids=" ".join,
)
def test_a_crossdock_command_parses(words):
    """By the command line's own parser, without running it."""
    parse(words)


def parse(words):
    command, arguments, context = crossdock, words[1:], None
    if arguments == ["--help"]:
        return
    while isinstance(command, click.Group):
        context = command.make_context(command.name, arguments, parent=context)
        if command.invoke_without_command and not context._protected_args:
            return
        name, command, arguments = command.resolve_command(context, context._protected_args)
        arguments = [*arguments, *context.args]
        assert command is not None, name
    command.make_context(command.name, arguments, parent=context)


def test_there_are_commands_to_check():
    """An empty list would prove nothing."""
    assert len(list(crossdock_commands(README))) >= 6
    assert len(curl_commands(README)) >= 7
    assert len(list(crossdock_commands(RUNBOOKS))) >= 40


@pytest.mark.parametrize("words", curl_commands(README), ids=" ".join)
def test_a_curl_call_is_one_that_a_contract_names(words):
    """Method, path, query and body fit the published operation."""
    call = parsed(words)
    if call["url"].port == 8090:
        assert call["url"].path in SANDBOX_DESK
        return
    assert call["url"].port == 8080
    found = operation_at(call["method"], call["url"].path)
    assert found is not None, call["url"].path
    if call["body"] is not None:
        msgspec.json.decode(call["body"], type=found.body)
    if found.operation.idempotency == "required":
        assert "idempotency-key" in call["headers"]
    for name in parse_qs(call["url"].query):
        assert name in found.query.__struct_encode_fields__


def parsed(words):
    call = {"method": "GET", "headers": {}, "body": None, "url": None}
    words = iter(words[1:])
    for word in words:
        if word in {"-H", "-d", "-X"}:
            value = next(words)
            if word == "-H":
                name, _, text = value.partition(": ")
                call["headers"][name.lower()] = text
            elif word == "-d":
                call |= {"body": value, "method": "POST"}
            else:
                call["method"] = value
        elif word.startswith("-"):
            assert word in CURL_OPTIONS
        else:
            call["url"] = urlsplit(word)
    return call


def operation_at(method, path):
    for api in supported():
        for found in operations(api.port):
            template = re.sub(r"\{[a-z_]+\}", "[^/]+", api.path + found.operation.path)
            if found.operation.method == method and re.fullmatch(template, path):
                return found
    return None


def test_make_targets_exist():
    """A reader types what is written."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for words in commands_in(README) if words[0] == "make"}
    assert named
    assert named <= targets


def test_python_modules_exist():
    """`python -m` finds what is named."""
    named = {
        words[words.index("-m") + 1]
        for words in commands_in(README)
        if words[0].endswith("python") and "-m" in words
    }
    assert named
    for name in named:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


def test_paths_and_links_in_the_readme_exist():
    """What lives where, lives there."""
    table = README[README.index("## Where things live") :]
    paths = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(paths) >= 8
    missing = [path for path in [*paths, *links] if not (ROOT / path).exists()]
    assert missing == []


def test_every_policy_of_the_picture_is_one_and_none_is_left_out():
    """The picture is true."""
    picture = README[README.index("```text") : README.index("Each tier knows")]
    policies = {path.stem for path in (ROOT / "gateway" / "policies").glob("[a-z]*.py")}
    drawn = picture[picture.index("gateway") : picture.index("experience")]
    names = {name for name in re.findall(r"[a-z_]+", drawn) if name in policies}
    assert names == policies
    assert set(re.findall(r"([a-z_]+) ·", drawn)) <= policies
    for name in ("sales/v1", "operations/v1", "pricing-credit", "quote-to-order"):
        assert any(api.path.endswith(name) or api.name.endswith(name) for api in supported())


def test_the_configuration_shown_has_no_fault(tmp_path, monkeypatch):
    """Whoever starts from it starts from something that works."""
    (example,) = re.findall(r"```toml\n(.*?)```", CONFIGURATION, re.DOTALL)
    for name in re.findall(r'"env:([A-Z_]+)"', example):
        monkeypatch.setenv(name, "a secret")
    file = tmp_path / "crossdock.toml"
    file.write_text(example)
    contract_file(tmp_path)

    assert faults_of(Settings(config=file)) == []


@pytest.mark.parametrize(
    "text",
    [
        CONFIGURATION,
        (ROOT / "CHANGELOG.md").read_text(),
        (ROOT / "docs" / "decisions" / "0012-identity.md").read_text().splitlines()[0],
        crossdock.get_command(click.Context(crossdock), "revoke").help,
        import_module("deploy.commands.revoke").__doc__,
    ],
    ids=["configuration", "changelog", "decision", "help", "module"],
)
def test_how_soon_a_withdrawal_holds_is_told_alike(text):
    """One look takes it from the file to Redis, another from there to the other gateways."""
    said = re.findall(
        r"(?:revoke|withdraw|refuses it)[^.]*?within (\w+) seconds?", text.replace("\n", " ")
    )

    assert 2 * EVERY_SECONDS == 2.0
    assert set(said) == {"two"}


def test_every_key_of_an_issuer_and_of_the_gateway_is_described():
    """By its name, beside what it means; a foreign issuer often needs one of them."""
    sections = {
        "guard.": GuardLimits,
        "idempotency.": IdempotencySettings,
        "shield.": ShieldSettings,
        "cache.": CacheSettings,
        "": Issuer,
    }
    named = {f"{at}{name}" for at, each in sections.items() for name in each.__struct_fields__}
    named |= set(GatewaySettings.__struct_fields__) - {each.strip(".") for each in sections}
    assert named - set(re.findall(r"`([a-z_.]+)`", CONFIGURATION)) == set()


def test_every_variable_described_is_read_somewhere():
    """And every one that is read is described."""
    described = set(re.findall(r"`(CROSSDOCK_[A-Z_]+)`", CONFIGURATION))
    code = "".join(path.read_text() for path in (ROOT / "deploy").rglob("*.py"))
    read = set(re.findall(r'"(CROSSDOCK_[A-Z_]+)"', code))
    assert described - read == set()
    assert read - described <= {"CROSSDOCK_CRASH_AT", "CROSSDOCK_SANDBOX_WEBHOOKS"}


def test_every_reason_to_set_a_row_aside_is_explained():
    """In the order in which they are tried."""
    explained = re.findall(
        r"`([a-z-]+)`", "".join(re.findall(r"^\| (`.*?) \|", ORDER_FILES, re.MULTILINE))
    )
    assert explained == [reason.value for reason in Reason]


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_one_page_with_all_its_parts(record):
    """Context, decision, evidence, consequences, and what would change it."""
    text = record.read_text()
    parts = ("Context", "Decision", "Evidence", "Consequences", "What would change our mind")
    for part in parts:
        assert re.search(rf"^(\*\*{part}|## {part})", text, re.MULTILINE), part
    assert text.startswith(f"# {record.stem[:4]} ")
    assert len(text.splitlines()) <= 70


def test_what_is_merged_must_pass_what_a_developer_runs():
    """One script, and it is `make test`."""
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert script[-1] == "exec make test"
    assert "export CI=true" in script
