"""Lists of ports and blocks: what they admit, their canonical texts, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.network.traffic import (
    HIGHEST_PORT,
    LONGEST_LIST,
    Blocks,
    PortSet,
    Protocol,
    address,
    refuse_ports_without_protocol,
)

port = st.integers(1, HIGHEST_PORT)
port_ranges = st.lists(st.tuples(port, port).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=20)
block = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False))


@given(port_ranges, port)
def test_a_port_list_admits_what_one_of_its_ranges_holds(ranges: list[tuple[int, int]], wanted: int) -> None:
    ports = PortSet.parse(",".join(f"{first}:{last}" for first, last in ranges), "ports")
    probes = {wanted, *(edge for one in ranges for end in one for edge in (end - 1, end, end + 1))}
    for probe in probes:
        assert ports.admits(probe) == any(first <= probe <= last for first, last in ranges)


@given(port_ranges)
def test_the_canonical_text_of_ports_is_its_own_and_without_overlaps(ranges: list[tuple[int, int]]) -> None:
    given_text = ",".join(f" {first} : {last}" for first, last in ranges)
    ports = PortSet.parse(given_text, "ports")
    assert PortSet.parse(str(ports), "ports") == ports
    assert len(str(ports)) <= len(given_text)
    for left, right in zip(ports.ranges, ports.ranges[1:], strict=False):
        assert left.last < right.first


@given(st.lists(block, min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_a_block_list_admits_what_one_of_its_blocks_holds(blocks: list[IPv4Network], number: int) -> None:
    read = Blocks.parse(" , ".join(map(str, blocks)), "blocks")
    probes = [IPv4Address(number), *(one.network_address for one in blocks), *(one[-1] for one in blocks)]
    for probe in probes:
        assert read.admits(probe) == any(probe in one for one in blocks)


@given(st.lists(block, min_size=1, max_size=20))
def test_the_canonical_text_of_blocks_is_its_own_and_without_overlaps(blocks: list[IPv4Network]) -> None:
    read = Blocks.parse(",".join(map(str, blocks)), "blocks")
    assert Blocks.parse(str(read), "blocks") == read
    for left, right in zip(read.networks, read.networks[1:], strict=False):
        assert left[-1] < right[0]


@given(st.text(max_size=40))
def test_whatever_is_given_is_read_or_refused_by_its_name(text: str) -> None:
    for kind in (PortSet, Blocks):
        try:
            read: object = kind.parse(text, "field")
        except Invalid as refused:
            read = refused.field
        assert read == "field" or len(str(read)) <= len(text) <= LONGEST_LIST


def test_lists_are_written_as_people_write_them() -> None:
    assert str(PortSet.parse("85, 80:83,87,82:84,00443", "ports")) == "80:84,85,87,443"
    assert str(Blocks.parse("10.1.0.0/24,10.0.0.0/8, 1.2.3.4/32,0.0.0.0/32", "b")) == "0.0.0.0,1.2.3.4,10.0.0.0/8"


def test_an_empty_list_restricts_nothing() -> None:
    for text in ("", "  "):
        assert PortSet.parse(text, "ports").admits(1)
        assert Blocks.parse(text, "blocks").admits(IPv4Address("10.0.0.1"))
        assert not str(PortSet.parse(text, "ports"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0", "0 is out of range"),
        ("65536", "65536 is out of range"),
        ("80:65536", "80:65536 is out of range"),
        ("83:80", "83:80 ends before it begins"),
        ("80-83", "80-83 is not a port or a range"),
        ("80,http", "http is not a port or a range"),
        ("80:", "80: is not a port or a range"),
        ("80:81:82", "80:81:82 is not a port or a range"),
        ("８０", "８０ is not a port or a range"),
        (", ,", ", , is not a port or a range"),
    ],
)
def test_a_wrong_port_is_named(text: str, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        PortSet.parse(text, "ports")
    assert refused.value.problem == problem
    assert "80:83,85,87" in refused.value.allowed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1,::1", "::1 is IPv6, which networks do not carry"),
        ("[fe80::1]", "[fe80::1] is IPv6, which networks do not carry"),
        ("2001:db8::/32", "2001:db8::/32 is IPv6, which networks do not carry"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4 is IPv6, which networks do not carry"),
        ("1.2.3", "1.2.3 is not an IP address or block"),
        ("01.2.3.4", "01.2.3.4 is not an IP address or block"),
        ("1.2.3.4/33", "1.2.3.4/33 is not an IP address or block"),
        ("1.2.3.4/", "1.2.3.4/ is not an IP address or block"),
        ("1.2.3.0/255.255.255.0", "1.2.3.0/255.255.255.0 is not an IP address or block"),
        ("10.0.0.5/24", "10.0.0.5/24 is an address inside a block"),
        (",", ", is not an IP address or block"),
    ],
)
def test_a_wrong_block_is_named(text: str, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        Blocks.parse(text, "blocks")
    assert refused.value.problem == problem


def test_an_address_inside_a_block_is_answered_with_both_readings() -> None:
    with pytest.raises(Invalid) as refused:
        Blocks.parse("10.0.0.5/24", "blocks")
    assert refused.value.allowed == "10.0.0.0/24 for the block, 10.0.0.5 for the address"


def test_one_address_is_read_alone() -> None:
    assert address(" 10.0.0.5 ", "ip") == "10.0.0.5"
    for text, problem in (("::1", "IPv6"), ("10.0.0.0/8", "is not an IP address"), ("", "is not an IP address")):
        with pytest.raises(Invalid, match=problem):
            address(text, "ip")


def test_only_tcp_and_udp_have_ports() -> None:
    some, names = PortSet.parse("80", "ports"), ("protocol", "ports")
    for protocol in (Protocol.TCP, Protocol.UDP):
        refuse_ports_without_protocol(protocol, some, names)
    for without in (None, *Protocol):
        refuse_ports_without_protocol(without, PortSet(), names)
    for wrong, field in ((None, "protocol"), (Protocol.ICMP, "ports")):
        with pytest.raises(Invalid) as refused:
            refuse_ports_without_protocol(wrong, some, names)
        assert refused.value.field == field
