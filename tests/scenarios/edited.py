"""The configuration file of a running system, as an operator edits it."""

import os
import signal

import msgspec

from tests.scenarios.stage import eventually


class Edited:
    """The file of a running system, and the log that says what became of an edit."""

    def __init__(self, stage, node="data"):
        self.stage = stage
        self.file = stage.folder / "crossdock.toml"
        self.good = self.file.read_text(encoding="utf-8")
        self.log = stage.folder / node / "crossdock.log"

    def told(self, event):
        lines = self.log.read_text(encoding="utf-8").splitlines()
        records = [msgspec.json.decode(line) for line in lines if line.startswith("{")]
        return [record for record in records if record.get("event") == event]

    async def reload(self, text, becomes="configuration_taken_over"):
        """Write the file, send SIGHUP, wait until the log says what became of it."""
        before = len(self.told(becomes))
        self.file.write_text(text, encoding="utf-8")
        os.kill(self.stage.system.pids[-1], signal.SIGHUP)

        async def said():
            return len(self.told(becomes)) > before

        await eventually(said, becomes)

    def disabled(self, client):
        return self.good.replace(f"[clients.{client}]\n", f"[clients.{client}]\ndisabled = true\n")
