"""The command line helps, refuses in one sentence, and is quick to ask."""

import os
import re
import shlex
import subprocess
import sys
from urllib.parse import urlsplit

import click
import pytest

from deploy.cli import crossdock
from tests.serving import free_port
from tests.unit.test_docs_commands import operation_at, parse

NAMES = ["up", "demo", "orders", "key", "revoke", "token", "check", "explain", "sandbox"]


def walked(group, *words):
    """Every command there is, groups too, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield pytest.param((*words, name), command, id=" ".join((*words, name)))
        if isinstance(command, click.Group):
            yield from walked(command, *words, name)


def examples(epilog):
    """The commands of an example; a semicolon, a pipe or a bracket ends each."""
    found = re.findall(r"crossdock (?:\"[^\"]*\"|[^;|)\"])*", epilog)
    return [shlex.split(each) for each in found]


def run(tmp_path, *arguments, **environment):
    """Run the command line to its end; nothing listens on the ports it is given."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "CROSSDOCK_PORT": str(free_port()),
            "CROSSDOCK_SANDBOX_PORT": str(free_port()),
            "CROSSDOCK_DATA": str(tmp_path / "data"),
            **environment,
        },
    )


def test_help_names_every_command(tmp_path):
    """And how to begin."""
    asked = run(tmp_path, "--help")

    assert asked.returncode == 0
    assert "crossdock up --demo" in asked.stdout
    assert all(f"  {name} " in asked.stdout for name in NAMES)


@pytest.mark.parametrize(("words", "command"), list(walked(crossdock)))
def test_each_command_shows_an_example_and_explains_every_option(words, command):
    """A person copies the example first."""
    assert command.help
    assert (command.epilog or "").startswith("Example: ")
    shown = examples(command.epilog)
    assert ["crossdock", *words] in [each[: len(words) + 1] for each in shown]
    for each in shown:
        parse(each)
    for address in re.findall(r"https?://\S+", command.epilog):
        assert operation_at("GET", urlsplit(address).path), address
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_asking_for_help_loads_nothing_heavy():
    """A quick answer: no terminal library, no JSON library, no server."""
    program = (
        "import sys; from deploy.cli import _run; _run(['--help']);"
        "print([m for m in ('rich', 'msgspec', 'pyreqwest', 'granian', 'litestar')"
        " if m in sys.modules])"
    )
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert asked.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["up", "--limits", "maybe"],
        ["token"],
        ["orders", "import"],
        ["explain", "GET"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(tmp_path, arguments):
    """And says where help is."""
    asked = run(tmp_path, *arguments)

    assert asked.returncode == 2
    assert "Error: " in asked.stderr


@pytest.mark.parametrize(
    "arguments", [["token", "crm"], ["demo"], ["orders", "show", "1"]], ids=" ".join
)
def test_without_a_running_system_a_command_says_how_to_start_it(tmp_path, arguments):
    """One sentence, no stack."""
    asked = run(tmp_path, *arguments)

    assert asked.returncode == 1
    assert "Nothing answers at http://127.0.0.1:" in asked.stderr
    assert " up`" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_port_that_is_none_is_refused_by_its_name(tmp_path):
    """The variable, the value, and what is needed."""
    asked = run(tmp_path, "token", "crm", CROSSDOCK_PORT="eighty")

    assert asked.returncode == 2
    assert "CROSSDOCK_PORT is 'eighty': a port from 1 to 65535 is needed." in asked.stderr


def test_check_names_every_fault_at_once(tmp_path):
    """Place, what is allowed, the nearest name; secrets are never repeated."""
    file = tmp_path / "crossdock.toml"
    file.write_text(
        '[clients.a]\nscopes = ["orders:wirte"]\n'
        '[systems.business_central]\ntenat = "x"\nclient_secret = "hunter2"\n'
    )
    asked = run(tmp_path, "check", file)

    assert asked.returncode == 1
    assert "Did you mean 'orders:write'?" in asked.stdout
    assert "systems.business_central.tenat" in asked.stdout
    assert "Did you mean 'tenant'?" in asked.stdout
    assert "a secret in the clear" in asked.stdout
    assert "hunter2" not in asked.stdout + asked.stderr
    assert f"There are {len(asked.stdout.splitlines())} faults" in asked.stderr


@pytest.mark.parametrize(
    ("line", "place", "told"),
    [
        ("sample_ration = 0.5", "telemetry.sample_ration", "Did you mean 'sample_ratio'?"),
        ("sample_ratio = 1.5", "telemetry.sample_ratio", "1 or less"),
        ('traces_endpoint = "http://collector:4318"', "telemetry.traces_endpoint", "with its path"),
    ],
)
def test_check_finds_what_is_wrong_with_telemetry(tmp_path, line, place, told):
    """A misspelt name, a share above one, an endpoint without its path."""
    file = tmp_path / "crossdock.toml"
    file.write_text(f"[telemetry]\n{line}\n")
    asked = run(tmp_path, "check", file)

    assert asked.returncode == 1
    assert place in asked.stdout
    assert told in asked.stdout


def test_check_finds_no_fault_in_the_sandbox_profile(tmp_path):
    """What is run without a file is held to the same rules."""
    asked = run(tmp_path, "check")

    assert (asked.returncode, asked.stdout) == (0, "the sandbox profile: no fault found.\n")


def test_explain_tells_each_policys_verdict(tmp_path):
    """A call that would pass, and one of a client for whom it is not."""
    passes = run(tmp_path, "explain", "POST", "/sales/v1/orders", "--as", "crm")
    lacks = run(tmp_path, "explain", "GET", "/operations/v1/exceptions", "--as", "partner-acme")

    assert passes.returncode == 0
    assert "sales/v1/place_order" in passes.stdout
    assert lacks.returncode == 1
    assert "refuse  is for clients who may act for all accounts" in lacks.stdout


def test_explain_names_the_faults_of_a_configuration(tmp_path):
    """What cannot be used cannot be explained either, and is no unexpected fault."""
    file = tmp_path / "crossdock.toml"
    file.write_text("[storee]\n")
    asked = run(
        tmp_path, "explain", "GET", "/sales/v1/orders", "--as", "crm", CROSSDOCK_CONFIG=str(file)
    )

    assert asked.returncode == 1
    assert "Did you mean 'store'?" in asked.stderr
    assert "cannot be used" in asked.stderr


def test_explain_names_the_nearest_client(tmp_path):
    """A typo is answered with what was meant."""
    asked = run(tmp_path, "explain", "GET", "/sales/v1/orders", "--as", "partner-acne")

    assert asked.returncode == 2
    assert "Did you mean partner-acme?" in asked.stderr
