"""A simulator's memory survives what kills its process."""

import pytest

from deploy.sandbox.vault import Vault, VaultDamagedError


def test_what_was_put_is_there_after_a_restart(tmp_path):
    vault = Vault(tmp_path)
    orders = vault.table("orders")
    orders.put("1", {"number": "A", "total": "10.00"})
    orders.put("2", {"number": "B"})
    orders.put("1", {"number": "A", "total": "12.00"})
    orders.delete("2")

    again = Vault(tmp_path).table("orders")  # the first one was never closed: it was killed

    assert dict(again.items()) == {"1": {"number": "A", "total": "12.00"}}


def test_a_torn_last_line_never_happened_and_later_writes_are_whole(tmp_path):
    vault = Vault(tmp_path)
    vault.table("orders").put("1", {"number": "A"})
    with (tmp_path / "vault.jsonl").open("ab") as log:
        log.write(b'[["orders","2",{"number":"B"}],["stock","X",{"on_ha')

    after = Vault(tmp_path)
    assert list(after.table("orders").values()) == [{"number": "A"}]
    assert len(after.table("stock")) == 0

    after.table("orders").put("3", {"number": "C"})
    assert [order["number"] for order in Vault(tmp_path).table("orders").values()] == ["A", "C"]


def test_a_damaged_line_in_the_middle_is_named_not_skipped(tmp_path):
    vault = Vault(tmp_path)
    vault.table("orders").put("1", {"number": "A"})
    path = tmp_path / "vault.jsonl"
    path.write_bytes(b'{"not":"a batch"}\n' + path.read_bytes())

    with pytest.raises(VaultDamagedError, match="line 1"):
        Vault(tmp_path)


def test_a_batch_is_one_line_all_of_it_or_nothing(tmp_path):
    vault = Vault(tmp_path)
    orders, stock = vault.table("orders"), vault.table("stock")
    stock.put("X", {"on_hand": 5})
    by_number = orders.index("number")

    with vault.batch():
        orders.put("1", {"number": "A"})
        stock.put("X", {"on_hand": 4})
    assert (tmp_path / "vault.jsonl").read_bytes().count(b"\n") == 2

    def fails_halfway() -> None:
        with vault.batch():
            orders.put("2", {"number": "B"})
            stock.delete("X")
            stock.delete("no such key")

    with pytest.raises(KeyError):
        fails_halfway()

    assert stock.get("X") == {"on_hand": 4}
    assert by_number.get("B") == []
    again = Vault(tmp_path)
    assert list(again.table("orders").values()) == [{"number": "A"}]
    assert again.table("stock").get("X") == {"on_hand": 4}


def test_seed_data_is_not_logged_and_does_not_undo_what_happened_to_it(tmp_path):
    seed = [("1", {"name": "one"}), ("2", {"name": "two"}), ("3", {"name": "three"})]
    vault = Vault(tmp_path)
    items = vault.table("items")
    items.load(seed)
    assert (tmp_path / "vault.jsonl").stat().st_size == 0
    items.put("1", {"name": "renamed"})
    items.delete("2")

    again = Vault(tmp_path).table("items")
    again.load(seed)

    assert dict(again.items()) == {"1": {"name": "renamed"}, "3": {"name": "three"}}


def test_an_index_follows_puts_moves_and_deletes():
    table = Vault(None).table("orders")
    table.put("1", {"customer": "X", "open": True})
    by_customer = table.index("customer")
    open_ones = table.index("open", lambda order: order["customer"] if order["open"] else None)
    table.put("2", {"customer": "X", "open": False})
    table.put("3", {"customer": "Y", "open": True})

    assert [order["open"] for order in by_customer.get("X")] == [True, False]
    assert len(open_ones.get("X")) == 1

    table.put("1", {"customer": "Y", "open": True})
    assert by_customer.count("X") == 1
    assert by_customer.count("Y") == 2
    assert open_ones.get("X") == []
    table.delete("3")
    assert by_customer.get("Y") == [{"customer": "Y", "open": True}]
    assert table.index("customer") is by_customer


def test_what_changed_since_is_found_without_looking_at_everything():
    """A record that changed again is found once, at its last change; a deleted one is not."""
    table = Vault(None).table("documents")
    for number in range(5):
        table.put(str(number), {"at": f"2026-11-2{number}", "n": number})
    recent = table.recent(lambda record: record["at"])
    table.put("1", {"at": "2026-11-27", "n": 1})
    table.put("6", {"at": "2026-11-23", "n": 6})
    table.delete("4")
    assert [record["n"] for record in recent.since("2026-11-22")] == [2, 3, 6, 1]
    assert recent.since("2026-11-28") == []
    for day in range(30_000):
        table.put("2", {"at": f"{2027 + day}-01-01", "n": 2})
    assert len(recent._entries) < 20_100
    assert [record["n"] for record in recent.since("2026-11-24")] == [1, 2]
