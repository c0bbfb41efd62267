"""A client belongs to one event loop."""

import anyio
import httpx
import pytest

from ttsorch._http import HttpClient, get_request


def test_a_client_does_not_move_to_another_event_loop(anyio_backend: str) -> None:
    """Its second loop is refused clearly, instead of being given the first one's dead connections."""
    http = HttpClient(transport=httpx.MockTransport(lambda request: httpx.Response(200)))

    async def ask() -> int:
        return (await http.exchange(get_request("https://vendor.test"), deadline=5)).status

    assert anyio.run(ask, backend=anyio_backend) == 200
    with pytest.raises(RuntimeError, match="another event loop"):
        anyio.run(ask, backend=anyio_backend)
