"""How a request finds its route. The table itself is in ``handler.py``."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ttsorch.contract.cors import Cors
from ttsorch.contract.exchange import HttpRequest, HttpResponse
from ttsorch.contract.failures import MethodNotAllowed
from ttsorch.contract.query import Query
from ttsorch.contract.signing import LinkSigner
from ttsorch.errors import NotFound
from ttsorch.orchestrator import Orchestrator

#: The owner of a call to a public route: nobody's id, and so nobody's rows.
NOBODY = ""

_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that found its route: what an endpoint works with. ``params`` are the parts of the path
    that the route names; ``origin`` is ``scheme://host`` as the client sees it, empty if unknown. With
    ``own_links`` no link leads to the blob store itself."""

    orchestrator: Orchestrator
    signer: LinkSigner
    request: HttpRequest
    owner: str
    params: Mapping[str, str]
    query: Query
    origin: str = ""
    own_links: bool = False


Endpoint: TypeAlias = Callable[[Call], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the contract. ``{name}`` in ``path`` is one segment, ``{name:path}`` the rest of it. A
    ``public`` route asks nobody who is calling; one with ``any_mode`` has nothing to do with the provider
    of the moment; ``cors`` overrides the handler's own."""

    method: str
    path: str
    endpoint: Endpoint
    public: bool = False
    any_mode: bool = False
    cors: Cors | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """All routes of one path."""

    pattern: re.Pattern[str]
    routes: Mapping[str, Route]

    @property
    def methods(self) -> tuple[str, ...]:
        return (*self.routes, "OPTIONS")

    @property
    def cors(self) -> Cors | None:
        return next(iter(self.routes.values())).cors

    def route(self, method: str) -> Route:
        """Raises :class:`MethodNotAllowed`."""
        try:
            return self.routes[method]
        except KeyError:
            raise MethodNotAllowed(self.methods) from None


class Router:
    """The table, ready for look-ups."""

    def __init__(self, routes: Sequence[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = by_path.setdefault(route.path, {})
            methods[route.method] = route
            if route.method == "GET":
                # The same answer without its body, which the handler drops (RFC 9110, 9.3.2).
                methods["HEAD"] = route
        self._resources = [Resource(_compile(path), found) for path, found in by_path.items()]

    def find(self, path: str) -> tuple[Resource, Mapping[str, str]]:
        """The resource at ``path``, with the parts of the path that it names.

        Raises:
            NotFound: the contract has no such path.
        """
        for resource in self._resources:
            found = resource.pattern.fullmatch(path)
            if found is not None:
                return resource, found.groupdict()
        raise NotFound("There is nothing at this address.", code="unknown_path")


def _compile(path: str) -> re.Pattern[str]:
    return re.compile(_PLACEHOLDER.sub(_group, path))


def _group(placeholder: re.Match[str]) -> str:
    name, rest = placeholder.groups()
    return f"(?P<{name}>{'.+' if rest else '[^/]+'})"
