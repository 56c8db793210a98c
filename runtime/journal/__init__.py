"""The journal: long-lived processes that survive anything.

What it promises, exactly.

**A process** is a row: kind, state, data, effects, revision. Its lifecycle is a table; a move the
table does not have raises. States are explicit, not recorded code: a release continues the rows
it finds, and refuses to start (`CannotContinue`) if there is one that it does not understand.

**Accept.** One transaction writes the key, the process, its first timeline entry, its search
terms and its deliveries. The caller is answered after the commit. One (consumer, operation, key)
is one process for ever; the same key with another fingerprint is refused (`KeyReused`).

**Advance.** A worker holds a process by a lease with an expiry and a fence. The lease is durable
before the step runs. A step has at most one external effect; its `Move` commits (state, data,
entries, terms, deliveries, incident, consumed signals: all or nothing) before the next step runs.
A process accepted beside a worker is born leased, and a move keeps the lease for the next step:
n steps cost n + 1 commits, and commits of many processes share one fsync.

**Crash.** A lease that lapses is taken over by any worker; its fence rises, so whatever the old
holder still commits is refused and dropped. The step runs again with `in_doubt` true: its effect
may have happened, and a look-up must come before a second try. So every step runs at least once,
every move commits at most once, and an effect happens once if the step heeds `in_doubt`. Leases
compare the clocks of hosts: keep those well within a lease of each other. A wrong clock costs
look-ups, never the fence.

A type may give a state time to settle after a crash (`settle_after_takeover`): so long after the
lease lapsed, on SQLite after the restart, its step in doubt is not run, whatever signals come. It
adds to the time of recovery. A step that a drain cut off settles too.

**Again** is retried at its time, with backoff and jitter; the doubt it reports lasts until a step
moves. An exception or an overrun budget is an `Again` in doubt, and after some attempts an incident
besides. So is a decision that cannot be written. What cannot be read, or not even marked as
failing, is set aside: an incident, and no lease; no other process waits for it. **Wait** parks
until a signal or a time. A state without a step waits for signals; its timer, if set, arrives as
the signal `timer`.

**Signals** are recorded once per process and dedupe key, and offered in order of arrival before
any step runs. A signal that a state has no use for is kept and offered again after the next move.
One whose function fails is kept as well, with an incident, and offered again after a remedy.
One that arrives while a step runs is offered as soon as that step has committed. One that comes
after the end is on the timeline and changes nothing.

**Undo.** A move records its effect; `Process.next_undo` walks them in reverse, and a move that
undoes the same effect twice raises.

**Incidents.** At most one is open for a process. Who acts, and which actions are allowed, follows
from its category. A remedy is audited and reaches the process as the signal `remedy`; `retry` and
`amend_and_retry` (a merge patch of the data) are understood without the process's help. Each
incident counts the actions on it: a redrive acts on one only if the count is what it was when it
was selected, in the transaction that records it, so however many redrive it, it is acted on once.

**Record.** The lines of a commit are sealed with it, the seals and the audit are chained, one chain
of each for a node: `verifying` finds whatever was edited, removed, added, swapped or cut off.

**Lanes** have concurrency of their own. Processes of one `entity` run one at a time, oldest
first; one that is stuck holds up its own entity and nothing else.

**Deliveries** are written with the move that caused them. For each subscriber, events of one
entity arrive in order, at least once; a subscriber that fails keeps its own queue and delays no
other. With `coalesce` only the newest goes out.

**Stores.** SQLite for one program (it takes a lock; a second one is refused), where every lease
found at start is a dead program's and lapses at once. PostgreSQL for many, where programs announce
work, deliveries and changes to each other; an announcement is a hint, and everybody also looks.
Losing the database in mid-commit is `StoreUnavailable`: a caller may ask again under the same key,
a worker repeats its commit until it is told that it landed or that the lease is lost.

Authors of processes import from `runtime.journal.process` and `runtime.journal.incidents`, which
know nothing of SQL; programs that run them from `runtime.journal.journal` and
`runtime.journal.worker`.
"""
