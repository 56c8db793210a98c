"""Claims: what many take of something limited never comes to more than there is."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import func, select

from runtime.store.claims import Bound, Claims, all_or_nothing, what_fits
from runtime.store.faults import StoreClosed
from runtime.store.schema import claim
from tests.journal_orders import an_open_store, store_url  # noqa: F401  # a fixture

pytestmark = pytest.mark.anyio

KEPT = timedelta(minutes=15)


class StandingClock:
    """A clock that goes on when it is told."""

    def __init__(self):
        self.at = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()

    def forward(self, **by):
        self.at += timedelta(**by)
        return self.at


def some_claims(store, clock, kind="stock"):
    return Claims(store, kind, clock=clock, remembered=KEPT)


@pytest.fixture
async def store(store_url):  # noqa: F811  # the fixture
    async with an_open_store(store_url) as opened:
        yield opened


def up_to(most, as_of=None):
    return Bound(most=Decimal(most), as_of=as_of)


def of(**amounts):
    return {account: Decimal(amount) for account, amount in amounts.items()}


async def take(claims, holder, bound, choose=all_or_nothing, *, expires_at=None, **wanted):
    bounds = {account: up_to(bound) for account in wanted}
    return await claims.take(holder, bounds, choose(of(**wanted)), expires_at=expires_at)


async def total(claims, account="a", as_of=None):
    return (await claims.totals({account: as_of})).get(account, Decimal(0))


async def test_all_or_nothing_and_what_fits(store):
    """Of 10, somebody has 7: then 4 do not fit, and what fits is 3."""
    claims = some_claims(store, StandingClock())

    first = await take(claims, "one", 10, a="7")
    nothing = await take(claims, "two", 10, a="4")
    rest = await take(claims, "three", 10, what_fits, a="4", b="2.5")

    assert (first.amounts, first.is_new) == (of(a="7"), True)
    assert nothing.amounts == {}
    assert rest.amounts == of(a="3", b="2.5")
    assert await total(claims) == 10


async def test_a_holder_takes_once_however_often_it_asks(store):
    """Also all at once, and also when it asks for something else."""
    claims = some_claims(store, StandingClock())

    answers = await asyncio.gather(*(take(claims, "one", 10, a=str(n)) for n in range(2, 8)))

    assert {str(answer.amounts) for answer in answers} == {str(answers[0].amounts)}
    assert sum(answer.is_new for answer in answers) == 1
    assert await total(claims) == answers[0].amounts["a"]


async def test_many_takers_at_once_come_to_the_bound_and_no_further(store):
    """100 of 10 each take of 300: 30 get it."""
    claims = some_claims(store, StandingClock())

    answers = await asyncio.gather(*(take(claims, f"h{n}", 300, a="10") for n in range(100)))

    assert sum(bool(answer.amounts) for answer in answers) == 30
    assert await total(claims) == 300


async def test_what_ended_counts_against_older_readings_only(store):
    """A reading from before the end does not know of it; a later one does."""
    clock = StandingClock()
    claims = some_claims(store, clock)
    await take(claims, "one", 10, a="7")
    before = clock.now()
    ended = clock.forward(seconds=10)

    left = await claims.end("one", of(a="5"), until=ended)
    later = clock.forward(seconds=10)

    assert left.amounts == of(a="2")
    assert await total(claims, as_of=before) == 7
    assert await total(claims, as_of=later) == 2
    assert (await claims.end("one", until=clock.now())).amounts == {}
    assert await total(claims, as_of=clock.forward(seconds=10)) == 0


async def test_a_bound_that_was_read_before_something_ended_counts_it(store):
    """Else what the other system did not count yet would be given away a second time."""
    clock = StandingClock()
    claims = some_claims(store, clock)
    await take(claims, "one", 10, a="7")
    read_at = clock.now()
    await claims.end("one", until=clock.forward(seconds=10))

    old = await claims.take("two", {"a": up_to(10, read_at)}, all_or_nothing(of(a="4")))
    young_reading = up_to(3, clock.forward(seconds=10))
    young = await claims.take("two", {"a": young_reading}, all_or_nothing(of(a="3")))

    assert old.amounts == {}
    assert young.amounts == of(a="3")


async def test_a_dropped_claim_counts_against_nothing(store):
    """Without an instant nothing is remembered of it."""
    clock = StandingClock()
    claims = some_claims(store, clock)
    await take(claims, "one", 10, a="7", b="1")

    await claims.end("one", of(b="1"), until=None)
    await claims.end("one", until=None)

    assert await claims.totals({"a": clock.now() - KEPT, "b": clock.now() - KEPT}) == {}


async def test_an_expired_claim_does_not_count_and_its_holder_may_take_again(store):
    """Also before anybody has swept."""
    clock = StandingClock()
    claims = some_claims(store, clock)
    await take(claims, "one", 10, a="7", expires_at=clock.now() + timedelta(seconds=5))

    kept = await claims.held("one")
    clock.forward(seconds=5)

    assert kept.amounts == of(a="7")
    assert kept.expires_at == clock.now()
    assert (await claims.held("one")).amounts == {}
    assert await total(claims) == 0
    assert (await take(claims, "one", 10, a="10")).is_new


async def test_a_claim_is_changed_and_left_out_of_its_own_sum(store):
    """An order that is checked again stands not in its own way; it may grow beyond the bound."""
    claims = some_claims(store, StandingClock())
    await take(claims, "one", 10, a="7")
    await take(claims, "two", 10, a="2")

    await claims.put("one", "a", Decimal("12.5"))

    assert await total(claims) == Decimal("14.5")
    assert await claims.totals({"a": None}, without="one") == of(a="2")
    await claims.put("one", "a", Decimal(0))
    assert await total(claims) == 2


async def test_a_choice_of_more_than_is_free_is_refused(store):
    """Whoever chooses cannot break the bound."""
    claims = some_claims(store, StandingClock())

    for wrong in ({"a": Decimal(11)}, {"b": Decimal(1)}, {"a": Decimal(-1)}):
        with pytest.raises(ValueError, match="is free"):
            await claims.take("one", {"a": up_to(10)}, lambda _free, wrong=wrong: wrong)
    assert await total(claims) == 0


async def test_kinds_do_not_touch(store):
    """Stock and credit may name their accounts and holders alike."""
    clock = StandingClock()
    stock, credit = some_claims(store, clock), some_claims(store, clock, "credit")
    await take(stock, "one", 10, a="7")

    assert (await take(credit, "one", 10, a="9")).is_new
    assert (await total(stock), await total(credit)) == (7, 9)


async def test_a_new_program_finds_what_is_held(store_url):  # noqa: F811  # the fixture
    """What was answered is durable; what was given back is not back again."""
    clock = StandingClock()
    async with an_open_store(store_url) as store:
        claims = some_claims(store, clock)
        await take(claims, "one", 10, a="3", b="4", expires_at=clock.now() + KEPT)
        await take(claims, "two", 10, a="5")
        await take(claims, "three", 10, a="2")
        await claims.end("one", of(a="1"), until=clock.now())
        await claims.end("three", until=clock.now())
    clock.forward(seconds=30)
    async with an_open_store(store_url) as store:
        claims = some_claims(store, clock)
        await claims.open()

        assert (await claims.held("one")).amounts == of(a="2", b="4")
        assert (await claims.held("one")).expires_at == clock.now() + KEPT - timedelta(seconds=30)
        assert await claims.totals({"a": clock.now(), "b": clock.now()}) == of(a="7", b="4")


async def test_sweeping_leaves_no_row_that_nobody_needs(store):
    """Expired, ended long ago: gone. Held: still there."""
    clock = StandingClock()
    claims = some_claims(store, clock)
    await take(claims, "held", 100, a="1")
    await take(claims, "expires", 100, a="1", expires_at=clock.now() + timedelta(seconds=1))
    await take(claims, "ends", 100, a="1")
    await claims.end("ends", until=clock.now())
    clock.forward(seconds=120)
    await claims.sweep()
    assert await total(claims, as_of=clock.now() - timedelta(seconds=121)) == 2
    clock.forward(hours=1)

    await claims.sweep()

    rows = await store.read(lambda c: c.execute(select(func.count()).select_from(claim)).scalar())
    assert rows == 1
    assert await total(claims, as_of=clock.now() - timedelta(hours=2)) == 1


async def test_what_could_not_be_written_is_not_held(tmp_path):
    """The caller was told so."""
    async with an_open_store(f"sqlite:///{tmp_path}/journal.db") as store:
        claims = some_claims(store, StandingClock())
    with pytest.raises(StoreClosed):
        await take(claims, "one", 10, a="7")
    assert await total(claims) == 0


class PlainBook:
    """Claims as a list that is gone through for every question."""

    def __init__(self, clock, margin):
        self._clock = clock
        self._margin = margin
        self._rows = []

    def total(self, account, as_of):
        rows = [row for row in self._rows if row["account"] == account and self._counts(row, as_of)]
        return sum((row["amount"] for row in rows), Decimal(0))

    def held(self, holder):
        open_ones = [r for r in self._rows if r["holder"] == holder and r["until"] is None]
        return [row for row in open_ones if self._counts(row, None)]

    def take(self, holder, wanted, as_of, expires):
        fits = all(20 - self.total(name, as_of) >= amount for name, amount in wanted.items())
        if self.held(holder) or not fits:
            return
        for account, amount in wanted.items():
            row = {"holder": holder, "account": account, "amount": amount}
            self._rows.append({**row, "until": None, "expires": expires})

    def end(self, holder, most):
        for row in self.held(holder):
            part = min(most.get(row["account"], Decimal(0)), row["amount"])
            row["amount"] -= part
            self._rows.append({**row, "amount": part, "until": self._clock.now() + self._margin})
        self._rows = [row for row in self._rows if row["amount"]]

    def _counts(self, row, as_of):
        if row["until"] is not None:
            return as_of is not None and row["until"] >= as_of
        return row["expires"] is None or row["expires"] > self._clock.now()


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_what_a_list_of_claims_would_say(store, seed):
    """Whatever comes in whatever order, totals and holdings are those of plain book-keeping."""
    random, clock = Random(seed), StandingClock()
    claims = some_claims(store, clock)
    model = PlainBook(clock, timedelta(seconds=0 if store.is_exclusive else 1))
    everything = dict.fromkeys("abc", Decimal(100))
    for _ in range(150):
        clock.forward(seconds=random.randrange(4))
        holder, account = f"h{random.randrange(6)}", random.choice("abc")
        as_of = random.choice([None, clock.now() - timedelta(seconds=random.randrange(30))])
        match random.choice(["take", "end", "end some", "ask"]):
            case "take":
                wanted = {name: Decimal(random.randrange(1, 9)) for name in random.sample("abc", 2)}
                bounds = {name: up_to(20, as_of) for name in wanted}
                expires = random.choice([None, clock.now() + timedelta(seconds=5)])
                model.take(holder, wanted, as_of, expires)
                await claims.take(holder, bounds, all_or_nothing(wanted), expires_at=expires)
            case "end":
                model.end(holder, everything)
                await claims.end(holder, until=clock.now())
            case "end some":
                model.end(holder, {account: Decimal(2)})
                await claims.end(holder, {account: Decimal(2)}, until=clock.now())
            case _:
                assert await total(claims, account, as_of) == model.total(account, as_of)
                held = {row["account"]: row["amount"] for row in model.held(holder)}
                assert (await claims.held(holder)).amounts == held
