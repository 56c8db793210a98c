"""Every table, once, for both stores.

Times are whole microseconds since 1970-01-01 UTC (`*_at`): exact, sortable and quick on both
stores. Documents are JSON bytes. A partial index holds only what is still to be done, so that
the cost of finding work does not grow with what has been done.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)

HEAD = "0001"
"""The migration that leads to this schema."""

metadata = MetaData()

# SQLite numbers rows by itself only in a column declared INTEGER.
_RowNumber = BigInteger().with_variant(Integer, "sqlite")

process = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("reference", Text, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("entity", Text),
    Column("behind", Boolean, nullable=False),  # an older process of its entity is still open
    Column("state", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("effects", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),  # runs of this state's step that decided nothing
    Column("in_doubt", Boolean, nullable=False),
    Column("settled_at", BigInteger),  # before that, a step in doubt after a take-over is not run
    Column("step_at", BigInteger),  # when the step or timer of this state is due
    Column("due_at", BigInteger),  # when a worker must look next; while leased: the lease's expiry
    Column("lease_owner", Text),
    Column("fence", BigInteger, nullable=False),
    Column("unread", Integer, nullable=False),  # signals not consumed
    Column("incident_id", Text),
    Column("incident_category", Text),
    Column("incident_passes", Boolean, nullable=False),  # closes by itself when the step moves
    Column("done", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # Room in each page for the rows that moves rewrite.
    postgresql_with={"fillfactor": "50"},
)
# Systems that carry the reference may fold its case, so two may not differ by case alone.
Index("process_reference", func.upper(process.c.reference), unique=True)
# The key comes first: people search by it, whoever's it is.
Index("process_key", process.c.key, process.c.consumer, process.c.operation, unique=True)
Index("process_consumer", process.c.consumer, process.c.id)
_is_due = process.c.due_at.is_not(None)
Index(
    "process_due",
    process.c.lane,
    process.c.due_at,
    sqlite_where=_is_due,
    postgresql_where=_is_due,
)
# SQLite uses a partial index only for a question in the index's own words: "done = 0" there.
Index(
    "process_open",
    process.c.kind,
    process.c.id,
    sqlite_where=text("done = 0"),
    postgresql_where=text("NOT done"),
)
# Not on PostgreSQL: there a row whose indexed columns stay as they are is rewritten in its page and
# no index is touched. Every move changes the state: with this index each would write to all.
Index(
    "process_state",
    process.c.lane,
    process.c.kind,
    process.c.state,
    process.c.version,
    sqlite_where=text("done = 0"),
).ddl_if(dialect="sqlite")
Index(
    "process_entity",
    process.c.entity,
    process.c.id,
    sqlite_where=text("entity IS NOT NULL AND done = 0"),
    postgresql_where=text("entity IS NOT NULL AND NOT done"),
)

entry = Table(
    "entry",
    metadata,
    Column("seq", _RowNumber, primary_key=True, autoincrement=True),
    Column("process_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # of the process, by the change this line tells of
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("says", Text, nullable=False),
    Column("data", LargeBinary),
)
Index("entry_process", entry.c.process_id, entry.c.seq)

term = Table(
    "term",
    metadata,
    Column("value", Text, primary_key=True),  # first: people search by it, whatever its kind
    Column("kind", Text, primary_key=True),
    Column("process_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)
Index("term_process", term.c.process_id)

signal = Table(
    "signal",
    metadata,
    Column("process_id", Text, primary_key=True),
    Column("dedupe_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("consumed_at", BigInteger),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("subscriber", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),  # while leased: the lease's expiry
    Column("lease_owner", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("result", Text),
    Column("set_aside", Boolean, nullable=False),  # refused for good: a person may send it again
)
_is_waiting = delivery.c.done_at.is_(None)
Index(
    "delivery_due",
    delivery.c.subscriber,
    delivery.c.due_at,
    delivery.c.created_at,
    sqlite_where=_is_waiting,
    postgresql_where=_is_waiting,
)
Index(
    "delivery_entity",
    delivery.c.subscriber,
    delivery.c.entity,
    delivery.c.id,
    sqlite_where=_is_waiting,
    postgresql_where=_is_waiting,
)
Index(
    "delivery_set_aside",
    delivery.c.subscriber,
    delivery.c.id,
    sqlite_where=text("set_aside = 1"),
    postgresql_where=text("set_aside"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("idempotency_expiry", idempotency.c.expires_at)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("process_id", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("says", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_by", Text),
    Column("remedied", Integer, nullable=False),  # how many actions were taken on it
)
Index("incident_process", incident.c.process_id)
_is_unresolved = incident.c.closed_at.is_(None)
Index(
    "incident_open",
    incident.c.id,
    sqlite_where=_is_unresolved,
    postgresql_where=_is_unresolved,
)

audit = Table(
    "audit",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Index("audit_at", audit.c.at, audit.c.chain, audit.c.seq)

# One row for each commit that wrote lines: which they are, and a digest of them. See `sealing`.
seal = Table(
    "seal",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

redrive = Table(
    "redrive",
    metadata,
    Column("id", Text, primary_key=True),
    Column("selection", LargeBinary, nullable=False),
    Column("action", Text, nullable=False),
    Column("amendment", LargeBinary, nullable=False),
    Column("pause", BigInteger, nullable=False),  # microseconds between two processes
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("total", Integer, nullable=False),
    Column("applied", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("due_at", BigInteger),  # when the next one may be acted on; null while not running
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
_is_running = redrive.c.due_at.is_not(None)
Index(
    "redrive_due",
    redrive.c.due_at,
    sqlite_where=_is_running,
    postgresql_where=_is_running,
)

redrive_item = Table(
    "redrive_item",
    metadata,
    Column("redrive_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("incident_id", Text, nullable=False),
    Column("process_id", Text, nullable=False),
    Column("remedied", Integer, nullable=False),  # what the incident's was when it was selected
    Column("outcome", Text),
    Column("reason", Text),
    Column("at", BigInteger),
    sqlite_with_rowid=False,
)

note = Table(
    "note",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

claim = Table(
    "claim",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),  # what is limited: stock, credit
    Column("holder", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),  # in hundred-thousandths
    Column("until", BigInteger, nullable=False),  # readings after this instant include it
    Column("expires_at", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
)
Index("claim_account", claim.c.kind, claim.c.account, claim.c.until)
Index("claim_holder", claim.c.kind, claim.c.holder, claim.c.until)
