"""Subnets: chosen away from everything that the machine routes, handed out under a lock, and never to a dead end."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.engine.base import NetworkSpec
from envspin.engine.fake import FakeEngine
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, ExhaustedError, UsageError
from envspin.run import subnets
from envspin.run.machine_lock import machine_lock
from envspin.run.subnets import WantedNetwork

POOL = IPv4Network("10.213.0.0/24")

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.8.0.0/14 2 0 2
        |-- 10.8.0.0
           /24 link UNICAST
        |-- 10.8.0.1
           /32 host LOCAL
        |-- 10.8.0.255
           /32 link BROADCAST
Id 52:
  +-- 10.213.0.0/16 2 0 2
     |-- 10.213.64.0
        /18 universe UNICAST
        /20 universe THROW
     |-- 10.213.128.0
        /24 universe BLACKHOLE
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine without routes, and locks of this test's own."""
    monkeypatch.setattr(subnets, "ROUTES", tmp_path / "no-route")
    monkeypatch.setattr(subnets, "FORWARDING", tmp_path / "no-trie")
    monkeypatch.setattr("envspin.run.machine_lock.SHARED_FOLDER", tmp_path)
    monkeypatch.setenv("ENVSPIN_SUBNETS", str(POOL))
    return tmp_path


def want(name: str, *, members: int = 2) -> WantedNetwork:
    return WantedNetwork(NetworkSpec(name, {}), members)


def list_networks(engine: FakeEngine) -> list[str]:
    return sorted(each.name for each in engine.list_resources({}) if each.name != "bridge")


class TestChoice:
    @given(st.integers(1, 200), st.lists(st.integers(0, 255), max_size=5), st.randoms())
    def test_chosen_ones_are_free_in_the_pool_large_enough_and_all_there_are(self, members, taken, randomness):
        used = [IPv4Network(f"10.213.0.{number}/32") for number in taken]
        chosen = list(subnets.choose_subnets(POOL, members=members, taken=used, randomness=randomness))
        for subnet in chosen:
            assert subnet.subnet_of(POOL)
            assert subnet.num_addresses >= members + subnets.RESERVED_ADDRESSES
            assert not any(subnet.overlaps(network) for network in used)
        every = list(POOL.subnets(new_prefix=subnets.find_prefix(members)))
        assert sorted(chosen) == [each for each in every if not any(each.overlaps(network) for network in used)]

    def test_the_order_is_another_one_each_time(self):
        orders = {
            tuple(subnets.choose_subnets(POOL, members=2, taken=[], randomness=random.Random(seed)))
            for seed in range(20)
        }
        assert len(orders) > 10

    def test_a_pool_that_is_too_small_gives_none(self):
        assert list(subnets.choose_subnets(POOL, members=400, taken=[], randomness=random.Random(1))) == []

    @pytest.mark.parametrize("route", ["0.0.0.0/0", "0.0.0.0/1"])
    def test_a_route_to_the_world_takes_nothing(self, route):
        everything = [IPv4Network(route)]
        assert next(subnets.choose_subnets(POOL, members=1, taken=everything, randomness=random.Random(1)))

    def test_by_default_there_is_room_for_thousands(self, monkeypatch):
        monkeypatch.delenv("ENVSPIN_SUBNETS")
        free = subnets.choose_subnets(subnets.choose_pool([]), members=12, taken=[], randomness=random.Random(1))
        assert len(set(free)) == 4096

    @pytest.mark.parametrize("text", ["everything", "", "10.1.0.0/16,", "10.1.0.0/16,fd00::/64", "10.1.0.1/16"])
    def test_a_pool_that_is_none_is_a_usage_error(self, monkeypatch, text):
        monkeypatch.setenv("ENVSPIN_SUBNETS", text)
        with pytest.raises(UsageError, match="ENVSPIN_SUBNETS"):
            subnets.read_pools()


class TestPools:
    @pytest.mark.parametrize(
        ("taken", "chosen"),
        [
            ([], "10.213.0.0/16"),
            (["0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/7"], "10.213.0.0/16"),
            (["10.0.0.0/8"], "172.30.0.0/16"),
            (["10.213.0.0/16"], "172.30.0.0/16"),
            (["10.213.0.0/17"], "10.213.0.0/16"),
            (["10.213.128.0/17", "10.213.0.0/17"], "172.30.0.0/16"),
            (["10.213.0.0/16", "172.16.0.0/12"], "192.168.208.0/20"),
        ],
    )
    def test_the_next_default_is_for_where_others_cover_all_of_the_one_before(self, monkeypatch, taken, chosen):
        monkeypatch.delenv("ENVSPIN_SUBNETS")
        assert str(subnets.choose_pool(map(IPv4Network, taken))) == chosen

    def test_what_environments_fill_is_given_back_and_no_reason_to_go_on(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/27, 10.98.0.0/27")
        full = [IPv4Network("10.99.0.0/28"), IPv4Network("10.99.0.16/28")]
        assert str(subnets.choose_pool(full)) == "10.99.0.0/27"

    def test_behind_a_vpn_that_routes_the_first_pool_networks_come_from_the_second(self, machine, monkeypatch):
        monkeypatch.delenv("ENVSPIN_SUBNETS")
        monkeypatch.setattr(subnets, "read_forwarding", lambda: ["10.0.0.0/8"])
        engine = FakeEngine()
        subnets.create_network(engine, want("one"))
        (subnet,) = set(engine.list_subnets()) - set(FakeEngine().list_subnets())
        assert IPv4Network(subnet).subnet_of(IPv4Network("172.30.0.0/16"))

    def test_the_routes_of_this_machine_are_nothing_to_an_engine_elsewhere(self, monkeypatch):
        monkeypatch.setattr(subnets, "read_forwarding", lambda: ["10.213.0.0/16"])
        with pytest.raises(EngineError, match=r"all of it is part of 10\.213\.0\.0/16"):
            subnets.create_network(FakeEngine(), want("one"))
        subnets.create_network(FakeEngine(), want("one"), engine_is_local=False)

    def test_where_all_are_covered_all_are_named(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/16,172.30.0.0/16")
        with pytest.raises(EngineError) as caught:
            subnets.choose_pool([IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12")])
        for word in ("10.99.0.0/16", "172.30.0.0/16", "10.0.0.0/8", "172.16.0.0/12"):
            assert word in caught.value.message
        assert not isinstance(caught.value, ExhaustedError)


class TestRoutes:
    def test_the_main_table_is_read(self, machine, monkeypatch):
        (machine / "route").write_text(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
            "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
            "br-1\t0000D50A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\n"
        )
        monkeypatch.setattr(subnets, "ROUTES", machine / "route")
        assert subnets.read_routes() == ["0.0.0.0/0", "10.213.0.0/28"]
        assert subnets.read_routes(subnets.DIRECT) == ["10.213.0.0/28"]

    def test_all_tables_are_read_a_vpns_own_too(self, machine, monkeypatch):
        (machine / "trie").write_text(FIB_TRIE)
        monkeypatch.setattr(subnets, "FORWARDING", machine / "trie")
        assert subnets.read_forwarding() == [
            "0.0.0.0/0",
            "10.8.0.0/24",
            "10.8.0.1/32",
            "10.213.64.0/18",
            "10.213.128.0/24",
        ]

    def test_what_a_vpn_routes_is_skipped(self, machine, monkeypatch):
        (machine / "trie").write_text(FIB_TRIE)
        monkeypatch.setattr(subnets, "FORWARDING", machine / "trie")
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.213.64.0/17")
        free = subnets.choose_subnets(
            IPv4Network("10.213.0.0/17"), members=2, taken=subnets.list_taken([]), randomness=random.Random(1)
        )
        assert all(subnet.subnet_of(IPv4Network("10.213.0.0/18")) for subnet in free)

    def test_the_kernels_own_tables_can_be_read_here(self, monkeypatch):
        monkeypatch.undo()
        assert subnets.read_forwarding() == [] or "127.0.0.0/8" in subnets.read_forwarding()

    def test_version_six_is_none_of_ours(self):
        assert subnets.list_taken(["fd00::/64", "10.0.0.0/8"]) == [IPv4Network("10.0.0.0/8")]


class TestCreation:
    def test_a_full_pool_says_what_to_do(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/28")
        engine = FakeEngine()
        created = subnets.create_network(engine, want("first"))
        assert created in {each.id for each in engine.list_resources({})}
        with pytest.raises(ExhaustedError, match="no free subnet for network second") as caught:
            subnets.create_network(engine, want("second"))
        assert "ENVSPIN_SUBNETS" in caught.value.hint

    def test_a_name_that_is_taken_is_not_retried(self):
        engine = FakeEngine()
        subnets.create_network(engine, want("same"))
        with pytest.raises(ConflictError):
            subnets.create_network(engine, want("same"))

    def test_overlaps_that_only_the_engine_knows_pick_others(self, monkeypatch):
        engine = FakeEngine()
        with monkeypatch.context() as blind:
            blind.setattr(engine, "list_subnets", list)
            for number in range(16):
                subnets.create_network(engine, want(f"net-{number}"))
        assert len(set(engine.list_subnets())) == 1 + 16

    def test_none_is_made_while_not_all_fit(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/27")
        engine = FakeEngine()
        subnets.create_network(engine, want("another"))
        with pytest.raises(ExhaustedError, match="no free subnet for network two"):
            subnets.create_network(engine, want("one"), others=[want("two")])
        assert list_networks(engine) == ["another"]
        subnets.create_network(engine, want("two"))
        assert list_networks(engine) == ["another", "two"]

    def test_a_small_one_leaves_room_for_the_large_one_that_follows(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/26")
        for _ in range(20):
            engine = FakeEngine()
            subnets.create_network(engine, want("one"), others=[want("two"), want("large", members=28)])
            subnets.create_network(engine, want("two"), others=[want("large", members=28)])
            subnets.create_network(engine, want("large", members=28))

    @pytest.mark.parametrize(
        ("pool", "others", "members", "message"),
        [
            ("10.99.0.0/28", [want("other")], 2, "too small for an environment with 2 networks"),
            ("10.99.0.0/28", [], 20, "too small for an environment with 20 containers"),
            ("172.17.128.0/20", [], 2, "all of it is part of 172.17.0.0/16"),
        ],
    )
    def test_what_waiting_cannot_mend_is_no_scarcity(self, monkeypatch, pool, others, members, message):
        monkeypatch.setenv("ENVSPIN_SUBNETS", pool)
        with pytest.raises(EngineError, match=message) as caught:
            subnets.create_network(FakeEngine(), want("one", members=members), others=others)
        assert not isinstance(caught.value, ExhaustedError)
        assert "ENVSPIN_SUBNETS" in caught.value.hint

    def test_each_create_is_surrounded_even_one_that_fails(self):
        engine, seen = FakeEngine(), []

        @contextmanager
        def note(name):
            seen.append(("begin", name))
            try:
                yield
            finally:
                seen.append(("end", name))

        engine.inject("create_network", EngineUnreachableError("gone"))
        with pytest.raises(EngineUnreachableError):
            subnets.create_network(engine, want("one"), creating=note)
        assert seen == [("begin", "one"), ("end", "one")]


class TestLock:
    def test_subnets_are_handed_out_under_the_machines_lock(self):
        engine, seen = FakeEngine(), []
        create = engine.create_network

        def look(spec, **told):
            with machine_lock("subnets", seconds=0) as is_free:
                seen.append(is_free)
            return create(spec, **told)

        engine.create_network = look
        subnets.create_network(engine, want("one"))
        with machine_lock("subnets", seconds=0) as is_free_afterwards:
            assert (seen, is_free_afterwards) == ([False], True)

    def test_a_holder_that_does_not_let_go_is_not_waited_for_for_ever(self):
        engine = FakeEngine()
        with machine_lock("subnets", seconds=0) as is_held:
            subnets.create_network(engine, want("one"), lock_seconds=0.05)
        assert is_held
        assert list_networks(engine) == ["one"]

    def test_many_at_once_share_a_pool_without_overlap(self):
        engine, failures = FakeEngine(), []

        def make(number):
            try:
                subnets.create_network(engine, want(f"net-{number}"))
            except EngineError as error:
                failures.append(error)

        threads = [threading.Thread(target=make, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(list_networks(engine)) == 16
