"""What a person has to type to run this program again, here and now."""

import shutil
import sys
from pathlib import Path

__all__ = ["program"]


def program() -> str:
    """Answer `crossdock` when the shell finds it, else the path to it."""
    if shutil.which("crossdock") is not None:
        return "crossdock"
    installed = Path(sys.executable).with_name("crossdock")
    if not installed.exists():
        return f"{sys.executable} -m deploy.cli"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)
