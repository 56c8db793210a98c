"""What systems say of some orders, told as systems tell it: twice, late, in any order."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from msgspec import structs

from contracts.canonical.documents import Invoice, Shipment, ShippedLine
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address, Customer
from process_apis.propagation.intake import Taken
from runtime.journal.process import Accepted
from runtime.journal.signalling import Published, SignalResult, SignalTo

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def a_package(number=1, reference="INV-1", quantity=3):
    return Shipment(
        id=f"6000000{number}/1",
        order=reference,
        warehouse="EAST",
        lines=(ShippedLine(item=item_id("A"), quantity=Decimal(quantity)),),
        shipped_at=at(number),
    )


def an_invoice(remaining="100.00", second=0, number="PS-INV1", reference="INV-1", **more):
    told = {
        "number": number, "order_number": "S-ORD1", "customer": customer_id("20001"), "lines": (),
        "net_amount": money("80.00", "GBP"), "gross_amount": money("100.00", "GBP"),
        "remaining": money(remaining, "GBP"), "state": "open",
        "invoice_date": date(2026, 11, 22), "reference": reference, "changed_at": at(second),
    }  # fmt: skip
    return Invoice(**told | more)


def a_customer(blocked="none", second=0, number="20001"):
    return Customer(
        id=customer_id(number), number=number, name="A customer",
        address=Address(street="1 Quay", city="Leeds", country="GB", name="A customer"),
        currency="GBP", blocked=blocked, credit_limit=None, changed_at=at(second),
    )  # fmt: skip


class MemoryInbox:
    """An inbox that keeps in memory what a journal keeps in its store."""

    def __init__(self, references=("INV-1",), customers=()):
        self.references = {reference.upper(): f"p-{reference}" for reference in references}
        self.releases = {}
        self.customers = {known: tuple(orders) for known, orders in customers}
        self.seen, self.notes, self.held = set(), {}, {}
        self.signals = []
        self._minted = 0

    def mint(self):
        self._minted += 1
        return f"{self._minted:026d}"

    async def publish(self, source, message_id, *, signals=()):
        where = []
        for signal in signals:
            target = signal.process_id or self._find(signal.term)
            if target is None:
                return Published(new=False, unresolved=(signal.term,))
            where.append(target)
        if (source, message_id) in self.seen:
            return Published(new=False)
        self.seen.add((source, message_id))
        self.signals += zip(where, signals, strict=True)
        return Published(new=True, signals=(SignalResult.RECORDED,) * len(where))

    async def signal(self, process_id, name, data, dedupe_key):
        if (process_id, dedupe_key) in self.seen:
            return SignalResult.DUPLICATE
        self.seen.add((process_id, dedupe_key))
        signal = SignalTo(name=name, dedupe_key=dedupe_key, data=data, process_id=process_id)
        self.signals.append((process_id, signal))
        return SignalResult.RECORDED

    async def accept(self, start):
        new = self.held.setdefault(start.key, start) is start
        return Accepted(process_id=start.id, reference=start.reference, created=new)

    async def note(self, kind, key):
        return self.notes.get((kind, key))

    async def set_note(self, kind, key, value):
        self.notes[kind, key] = value

    async def known_by(self, known):
        return self.customers.get(known.value, ())

    async def known_by_any(self, kind, values):
        return {value: self.customers[value] for value in values if self.customers.get(value)}

    async def values(self, kind):
        return tuple(self.customers)

    def _find(self, term):
        if term.kind == "release":
            return self.releases.get(term.value)
        return self.references.get(term.value.upper())

    def told(self, name, process_id=None):
        return [
            signal.data
            for target, signal in self.signals
            if signal.name == name and process_id in {None, target}
        ]


async def tell(intake, said):
    """Hand one thing a system said to the intake."""
    match said:
        case Shipment():
            return await intake.package(said)
        case Invoice():
            return await intake.invoice(said)
        case Customer():
            return await intake.customer(said)
        case ("review", reference, second, held):
            return await intake.review(reference, at(second), held=held)
        case ("cancelled", reference, number):
            return await intake.cancelled(reference, number)
    raise TypeError(said)


def history(random, *, orders=3, events=60):
    """What happened, in the order in which it happened."""
    said, remaining, held, reviewed = [], {}, {}, {}
    for second in range(events):
        reference = f"INV-{random.randrange(orders)}"
        match random.randrange(5):
            case 0:
                said.append(a_package(second, reference, random.randint(1, 5)))
            case 1 | 2:
                number = f"PS-{reference}"
                left = remaining.get(number, Decimal(100))
                if number in remaining:
                    left = random.choice([left, left - left // 3, Decimal(0), left + 10])
                remaining[number] = min(left, Decimal(100))
                said.append(an_invoice(str(remaining[number]), second, number, reference))
            case 3:
                number = f"2000{random.randrange(2)}"
                held[number] = not held.get(number, False)
                said.append(a_customer("all" if held[number] else "none", second, number))
            case 4:
                reviewed[reference] = not reviewed.get(reference, False)
                said.append(("review", reference, second, reviewed[reference]))
    return said


def disordered(random, said, *, within=50):
    """The same, each told once to five times, each up to so many places out of order."""
    told = [
        (place + random.uniform(0, within), one)
        for place, one in enumerate(said)
        for _ in range(random.randint(1, 5))
    ]
    return [one for _, one in sorted(told, key=lambda pair: pair[0])]


def outcome(inbox):
    """What whoever was told everything now believes."""
    packages = {data["id"] for data in inbox.told("wms.goods.shipped")}
    invoices = {data["number"] for data in inbox.told("erp.invoice.posted")}
    paid = {}
    for data in inbox.told("erp.invoice.paid"):
        sum_, _ = paid.get(data["invoice"], (Decimal(0), None))
        amount = Decimal(str(data["amount"]["amount"]))
        paid[data["invoice"]] = (sum_ + amount, Decimal(str(data["remaining"]["amount"])))
    holds = {}
    for data in inbox.told("erp.hold.changed"):
        holds[data["customer"] or data["reference"]] = data["held"]
    return packages, invoices, paid, {who for who, held in holds.items() if held}


def truth(said):
    """What is so, worked out from what happened alone."""
    packages = {one.id for one in said if isinstance(one, Shipment)}
    bills = {one.number: one for one in said if isinstance(one, Invoice)}
    holds = {one.id: one.blocked == "all" for one in said if isinstance(one, Customer)}
    holds |= {one[1]: one[3] for one in said if isinstance(one, tuple)}
    return packages, bills, {who for who, held in holds.items() if held}


__all__ = [
    "MemoryInbox", "Taken", "a_customer", "a_package", "an_invoice", "at", "disordered", "history",
    "outcome", "structs", "tell", "truth",
]  # fmt: skip
