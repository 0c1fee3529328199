from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.gateway.image_fetch.public_addresses import NOT_PUBLIC_IPV4, PUBLIC_IPV6, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.0.1.1"]
PUBLIC += ["11.0.0.0", "126.255.255.255", "128.0.0.1", "169.253.1.1", "223.255.255.254", "2606:4700::1111", "2a00::1"]
NOT_PUBLIC = {
    "this host": ["0.0.0.0", "0.1.2.3"],
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12:3456::1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"],
    "metadata": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"],
    "carriers' NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.8", "::", "100::1", "4000::1", "e000::1", "5f00::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "IPv4 inside IPv6": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "::127.0.0.1"],
    "6to4": ["2002:7f00:1::1", "2002:808:808::1", "192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:7f00:1::"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"],
    "site-local": ["fec0::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, all_ in NOT_PUBLIC.items() for one in all_])
def test_an_address_that_is_not_public(kind: str, address: str) -> None:
    assert not is_public(ip_address(address)), kind


@given(st.sampled_from(NOT_PUBLIC_IPV4), st.integers(0))
def test_no_member_of_a_closed_network_is_public_in_any_notation(network, n: int) -> None:
    address = network[n % network.num_addresses]
    number = int(address)
    assert not is_public(address)
    for prefix in ("::ffff:0:0", "64:ff9b::", "::", "::ffff:0:0:0"):
        assert not is_public(IPv6Address(int(IPv6Address(prefix)) | number))
    assert not is_public(IPv6Address((0x2002 << 112) | (number << 80)))


@given(st.integers(0, 2**128 - 1))
def test_outside_of_global_unicast_nothing_is_public(number: int) -> None:
    address = IPv6Address(number)
    assert not is_public(address) or address in PUBLIC_IPV6


@given(st.integers(0, 2**32 - 1))
def test_what_is_public_is_global_in_pythons_eyes_too(number: int) -> None:
    address = IPv4Address(number)
    assert not is_public(address) or (address.is_global and not address.is_multicast)
