"""The command line: one module a command, imported when that command is asked for.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. A fault is one sentence that says what
to do; the stack of an unexpected one goes to `fault.log` in the data directory.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

import click

__all__ = ["crossdock", "main"]

_COMMANDS: Final = {
    "up": ("deploy.commands.up", "Start everything: sandbox vendors, tiers and gateway."),
    "demo": ("deploy.commands.demo", "Close a deal in the CRM and follow it to the warehouse."),
    "orders": ("deploy.commands.orders", "Import an order file, or tell the story of one order."),
    "find": ("deploy.commands.find", "Find what any number belongs to: order, document, key."),
    "exceptions": ("deploy.commands.exceptions", "List what stopped orders; apply a remedy."),
    "redrive": ("deploy.commands.redrive", "Work off exceptions at a rate; look first."),
    "lanes": ("deploy.commands.lanes", "Show what is due, at work, waiting, and still to tell."),
    "redeliver": ("deploy.commands.redeliver", "Send again what a subscriber refused for good."),
    "budgets": ("deploy.commands.budgets", "Show what each vendor account allows."),
    "breakers": ("deploy.commands.breakers", "Show the circuit breakers; trip or reset one."),
    "sweeps": ("deploy.commands.sweeps", "Show what the systems disagree on; compare them now."),
    "audit": ("deploy.commands.audit", "Show who did what; verify that the record is whole."),
    "key": ("deploy.commands.key", "Make an API key for a client."),
    "revoke": ("deploy.commands.revoke", "Withdraw a client, key, certificate or token."),
    "token": ("deploy.commands.token", "Print an access token for a client."),
    "check": ("deploy.commands.check", "Check a configuration file and name every fault in it."),
    "explain": ("deploy.commands.explain", "Show what the gateway would say to a call, and why."),
    "diff": ("deploy.commands.diff", "Show which recorded calls a new configuration changes."),
    "gateway": ("deploy.commands.gateway", "Run the gateway alone, in front of tiers apart."),
    "serve": ("deploy.commands.serve", "Run one tier alone: system, process or experience."),
    "worker": ("deploy.commands.worker", "Carry orders on beside others, on a shared store."),
    "sandbox": ("deploy.commands.sandbox", "Run the vendor simulators alone."),
}


_OPERATORS: Final = frozenset(
    {
        "find",
        "exceptions",
        "redrive",
        "lanes",
        "redeliver",
        "budgets",
        "breakers",
        "sweeps",
        "audit",
    }
)


class _OnDemand(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _ = _COMMANDS[cmd_name]
        command = import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.command is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        for title, named in (
            ("Commands", _COMMANDS.keys() - _OPERATORS),
            ("Keeping orders moving", _OPERATORS),
        ):
            with formatter.section(title):
                formatter.write_dl(
                    [(name, said) for name, (_, said) in _COMMANDS.items() if name in named]
                )


@click.group(
    cls=_OnDemand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog=(
        "Settings come from the environment: CROSSDOCK_PORT (8080), CROSSDOCK_SANDBOX_PORT (8090), "
        "CROSSDOCK_DATA (./.crossdock)."
    ),
)
@click.version_option(package_name="crossdock", message="crossdock %(version)s")
def crossdock() -> None:
    """Carry a quote from the CRM to a confirmed, shipped, invoiced order, exactly once.

    Start with `crossdock up --demo`.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    It ends without taking the interpreter down: a thread of the HTTP client's runtime that still
    reports then would abort the process ("PyGILState_Release"), about once in fifty runs.
    """
    code = _run(arguments)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read our output has gone (`| head`)
        code = code or 1
    os._exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = crossdock.main(arguments, prog_name="crossdock", standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 1
    except Exception as fault:  # noqa: BLE001  # the rim: a person gets a sentence, not a stack
        click.echo(f"Error: {_unexpected(fault)}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _unexpected(fault: Exception) -> str:
    import traceback  # noqa: PLC0415  # only when something went wrong

    from deploy.addresses import Addresses  # noqa: PLC0415  # only when something went wrong

    said = f"an unexpected fault ({type(fault).__name__}: {fault})."
    try:
        log = Addresses.from_environment().data / "fault.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(fault, file=file)
    except (OSError, click.ClickException):
        return said
    return f"{said} Its details are in {log}."


if __name__ == "__main__":
    main()
