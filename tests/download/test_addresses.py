"""Which addresses count as public."""

import pytest

from ttsorch._download.addresses import objection

PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.1", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2001:db7::1", "2001:db9::1",
    "2003::1", "2a00:1450:4001::1", "240e::1", "3fff:1000::1", "::ffff:8.8.8.8",
)  # fmt: skip

NOT_PUBLIC = (
    # IPv4: this host, private, carriers and clouds, loopback, link-local and metadata
    "0.0.0.1", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.100.100.200",
    "100.127.255.255", "127.0.0.1", "127.0.0.2", "127.255.255.254", "168.63.129.16", "169.254.0.1",
    "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "192.168.255.255",
    # IPv4: protocols, documentation, relays, benchmarks, multicast, reserved, broadcast
    "192.0.0.1", "192.0.0.170", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1",
    "192.88.99.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    # IPv6: unspecified, loopback, IPv4 in many coats
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:6464:64c8", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8", "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::ffff:0:127.0.0.1",
    # IPv6: local, metadata, multicast, protocols, documentation, never given out
    "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "febf::1", "fec0::1",
    "ff02::1", "ff0e::1", "100::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1",
    "2001:db8::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "4000::1", "5f00::1", "e000::1",
)  # fmt: skip

NO_ADDRESS = (
    "", "fe80::1%eth0", "2606:4700:4700::1111%1", "8.8.8.8%1", "0177.0.0.1", "0x7f.0.0.1", "127.1",
    "2130706433", "8.8.8.8 ", "8.8.8.8\n", "[::1]", "8.8.8.8:443", "8.8.8", "1.1.1.1/32", "localhost",
    "٨.8.8.8",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted(address: str) -> None:
    """Addresses of the open internet, up to the last one before each block of another kind."""
    assert objection(address) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """Whatever leads, or could be made to lead, somewhere that a stranger can't reach."""
    assert objection(address)


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    """Zone ids, other spellings and junk from a resolver."""
    assert objection(address) == "not an IP address"
