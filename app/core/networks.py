"""Networks of callers: addresses, the networks of trusted proxies, and the networks by which a caller is limited."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def parse_address(host: str) -> str | None:
    """Return the address as PostgreSQL's inet accepts it, or None if it is not one. An IPv6 zone (`fe80::1%eth0`) is
    left out. An IPv4 address in IPv6 (`::ffff:192.0.2.1`) becomes the IPv4 address, since it is the same caller."""
    try:
        found = ip_address(host)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found).partition("%")[0]


def get_network(address: str) -> str:
    """Return an IPv4 address itself, or the /64 of an IPv6 address: one caller can use every address of a /64."""
    found = ip_address(address)
    return address if found.version == 4 else str(ip_address(int(found) >> 64 << 64))


def get_wide_network(address: str) -> str:
    """Return the network that one provider or office has: the /24 of an IPv4 address, the /48 of an IPv6 address."""
    return str(ip_network(f"{address}/{24 if ip_address(address).version == 4 else 48}", strict=False))


def parse_network(text: str) -> Network:
    """Return a network (`10.0.0.0/8`, or one address). Raises ValueError for anything else, for a network that is
    written with the address of a host, and for one that contains every address."""
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError("every address")
    return network


class Networks:
    """A set of networks. `in` compares an address that `parse_address` has returned."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._contains = lru_cache(maxsize=4096)(self._compare)

    def __contains__(self, address: str) -> bool:
        return self._contains(address)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _compare(self, address: str) -> bool:
        found = ip_address(address)
        return any(found in network for network in self._networks)
