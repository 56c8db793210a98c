"""Structured logs: one JSON object a line, past-tense snake_case events, fixed keys.

Values never come from a body or a credential; an exception is logged by type and place, not with
its text, which may carry a vendor's words.
"""

import logging
import sys
import traceback
from typing import Any, Final, Protocol

import msgspec

from contracts import context

_ROOT: Final = "crossdock"
_encoder = msgspec.json.Encoder()


class Logger(Protocol):
    """What a module logs with."""

    def info(self, event: str, **fields: Any) -> None:
        """Record that something happened."""
        ...

    def warning(self, event: str, **fields: Any) -> None:
        """Record something somebody may have to look at."""
        ...

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        """Record something that must not happen."""
        ...


class _StructuredLogger:
    """A logger whose records are events with fields."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{name}")

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        if error is not None:
            fields["error"] = type(error).__name__
            fields["at"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)[-5:]
            ]
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


class JsonLines(logging.Formatter):
    """One line, one JSON object; newlines in values are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record with its time, level, logger, event, correlation and fields."""
        call = context.current()
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if call is not context.SYSTEM:
            line["correlationId"] = call.correlation_id
            line["consumer"] = call.consumer
        line.update(getattr(record, "fields", {}))
        return _encoder.encode(msgspec.to_builtins(line, enc_hook=str)).decode()


def get_logger(name: str) -> Logger:
    """Answer the logger of a part, as `journal.worker`."""
    return _StructuredLogger(name)


def configure_logs(level: str = "INFO", stream: Any = None) -> None:
    """Send every record to a stream (standard error by default) as JSON lines."""
    import time  # noqa: PLC0415  # only the process that configures logs needs it

    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonLines()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
