"""Whether an address is in a set of networks: as the standard library says it, for any of both."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from services.contract.addresses import networks
from services.edge.core.networks import Networks

ADDRESSES = st.ip_addresses().map(str)


@st.composite
def nets(draw: st.DrawFn) -> str:
    address = ip_address(draw(ADDRESSES))
    return f"{address}/{draw(st.integers(0, address.max_prefixlen))}"


@given(st.lists(nets(), min_size=1, max_size=8), st.lists(ADDRESSES, max_size=8))
def test_as_the_standard_library_says(texts: list[str], addresses: list[str]) -> None:
    known = [ip_network(text, strict=False) for text in texts]
    read = networks(" , ".join(texts))
    found = Networks(read)
    assert set(read) == {str(network) for network in known}
    for address in (*addresses, *(str(network.network_address) for network in known)):
        parsed = ip_address(address)
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        expected = any(mapped in network for network in known)
        assert (address in found) is expected
