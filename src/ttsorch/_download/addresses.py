"""Which IP addresses audio may come from: those that any stranger on the internet could reach too.

The table is our own. :mod:`ipaddress` answers differently from one patch release to the next, and neither of
its questions is ours: ``is_private`` is false for Alibaba's metadata service (100.100.100.200), ``is_global``
is true for multicast, 6to4 and NAT64 addresses that lead back inside.

Sources: the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890 and its successors), the IPv6
global unicast registry, and the vendors' pages on instance metadata.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier or a cloud (its metadata service too)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "Azure's platform service"),
        ("169.254.0.0/16", "link-local (and metadata services)"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocols"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# Everything that IANA has given out for hosts. What lies outside needs no row of its own: loopback, mapped
# and compatible IPv4, both NAT64 prefixes, unique local, link-local, site-local, multicast, discard.
_UNICAST_V6 = IPv6Network("2000::/3")

_NOT_PUBLIC_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "IETF protocols (Teredo, ORCHID, benchmarks)"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3ffe::/16", "6bone, handed back"),
        ("3fff::/20", "documentation"),
    )
)


def objection(address: str) -> str | None:
    """Why ``address``, as a resolver wrote it, may not be connected to; None when it is public.

    An IPv4 address that is mapped into IPv6 is judged as what it is. Other spellings of an IPv4 address
    (octal, hexadecimal, short) and zone ids are refused unread.
    """
    try:
        # A zone id picks a network card, so whatever has one is not the internet.
        parsed = None if "%" in address else ip_address(address)
    except ValueError:
        parsed = None
    if parsed is None:
        return "not an IP address"
    if isinstance(parsed, IPv6Address):
        return _objection_v4(parsed.ipv4_mapped) if parsed.ipv4_mapped else _objection_v6(parsed)
    return _objection_v4(parsed)


def _objection_v4(address: IPv4Address) -> str | None:
    return next((why for network, why in _NOT_PUBLIC_V4 if address in network), None)


def _objection_v6(address: IPv6Address) -> str | None:
    if address not in _UNICAST_V6:
        return "not global unicast"
    return next((why for network, why in _NOT_PUBLIC_V6 if address in network), None)
