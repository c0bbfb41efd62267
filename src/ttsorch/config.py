"""From settings to a running orchestrator: the one place that knows every kind of part.

The library itself takes its parts as constructor arguments. A server or a command is configured by an
environment instead: :meth:`Config.from_env` reads it, :func:`open_orchestrator` opens what it names.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import anyio

from ttsorch._environment import (
    is_loopback,
    read,
    read_host,
    read_hosts_and_ports,
    read_networks,
    read_number,
    read_secret,
    read_tokens,
    read_url,
)
from ttsorch.contract.signing import MIN_SECRET_BYTES
from ttsorch.errors import ConfigurationError, StorageUnavailable
from ttsorch.models import NO_LIMITS, Limits
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import Listener
from ttsorch.providers import configured_providers, known_provider, load_provider
from ttsorch.storage import open_blob_store
from ttsorch.store import migrate_task_store, open_task_store

__all__ = ["LOCAL_OWNER", "Config", "load_signing_key", "migrate_database", "open_orchestrator"]

#: Who owns everything when there is nobody to tell apart: no tokens, or a command line.
LOCAL_OWNER = "local"

_HOST = "127.0.0.1"
_PORT = 8000
_PROVIDER = "local"
#: Where a proxy on the same machine comes from.
_LOOPBACK = ("127.0.0.0/8", "::1")
_DATABASE_URL = "sqlite:///data/ttsorch.db"

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_DATABASES = ("memory://", _SQLITE, *_POSTGRES)
_BLOB_STORES = ("file:", "memory://", "s3://", "gs://", "az://", "supabase://")

_SIGNING_KEY = "TTSORCH_SIGNING_KEY"
_SIGNING_KEY_BYTES = 32


def _blobs_of_this_folder() -> str:
    return (Path.cwd() / "data" / "blobs").as_uri()


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a server or a command. Its repr shows no secret.

    Args:
        database_url: see :func:`ttsorch.store.open_task_store`.
        blob_url: see :func:`ttsorch.storage.open_blob_store`.
        tokens: bearer token → owner; None for one owner without a token, on a loopback address only.
        signing_key: for links to stored audio; None: see :func:`load_signing_key`.
        limits: how much is taken in.
        trusted_proxies: see :class:`ttsorch.contract.origin.Origins`.
        environ: where the providers find their own settings. Those that find all of theirs finish what
            they have begun, also when another one takes the new tasks.

    Raises:
        ConfigurationError: no tokens, but a host that others can reach.
    """

    host: str = _HOST
    port: int = _PORT
    provider: str = _PROVIDER
    database_url: str = field(default=_DATABASE_URL, repr=False)
    blob_url: str = field(default_factory=_blobs_of_this_folder, repr=False)
    tokens: Mapping[str, str] | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)
    limits: Limits = NO_LIMITS
    trusted_proxies: tuple[str, ...] = _LOOPBACK
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.tokens is None and not is_loopback(self.host):
            raise ConfigurationError(
                "TTSORCH_TOKENS must be set (token=owner,token=owner) unless HOST is a loopback address.",
                code="tokens_required",
                field="TTSORCH_TOKENS",
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """The settings in ``environ`` (design, section 11); a blank variable counts as unset.

        Raises:
            ConfigurationError: a value is malformed. Names the variable and what is expected, never the
                value; only the provider's name is shown, as contract row R2 wants it.
        """
        port = read_number(environ, "PORT", least=0, most=65535)
        # Providers read this one themselves; a typo should show whichever of them is active.
        read_hosts_and_ports(environ, "TTSORCH_RESULT_HOSTS")
        return cls(
            host=read_host(environ, "HOST") or _HOST,
            port=_PORT if port is None else port,
            provider=known_provider(read(environ, "TTS_PROVIDER_MODE") or _PROVIDER),
            database_url=read_url(environ, "TTSORCH_DATABASE_URL", _DATABASES) or _DATABASE_URL,
            blob_url=read_url(environ, "TTSORCH_BLOB_URL", _BLOB_STORES) or _blobs_of_this_folder(),
            tokens=read_tokens(environ, "TTSORCH_TOKENS"),
            signing_key=read_secret(environ, _SIGNING_KEY, min_length=MIN_SECRET_BYTES),
            limits=Limits(
                active_per_owner=read_number(environ, "TTSORCH_MAX_ACTIVE_JOBS", least=1),
                submits_per_minute=read_number(environ, "TTSORCH_MAX_SUBMITS_PER_MINUTE", least=1),
                in_flight_per_provider=read_number(environ, "TTSORCH_MAX_IN_FLIGHT", least=1),
            ),
            trusted_proxies=read_networks(environ, "TTSORCH_TRUSTED_PROXIES") or _LOOPBACK,
            environ=dict(environ),
        )


# --- opening ------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_orchestrator(
    config: Config,
    *,
    background: bool = True,
    polls_synthesize: bool = True,
    listeners: Sequence[Listener] = (),
) -> AsyncIterator[Orchestrator]:
    """Open the parts that ``config`` names and run an orchestrator over them; close all of them on
    leaving, in reverse order, and whatever is open already when a later one can't be opened.

    Raises:
        ConfigurationError: a part can't be made from its settings.
        StorageUnavailable: the database or the blob store can't be opened; names the variable.
    """
    async with AsyncExitStack() as parts:
        with _naming("TTSORCH_DATABASE_URL"):
            store = await open_task_store(config.database_url)
        parts.push_async_callback(_close, store)
        with _naming("TTSORCH_BLOB_URL"):
            blobs = open_blob_store(config.blob_url, config.environ)
        parts.push_async_callback(_close, blobs)
        provider = load_provider(config.provider, config.environ)
        parts.push_async_callback(_close, provider)
        others = configured_providers(config.environ, but=config.provider)
        for other in others:
            parts.push_async_callback(_close, other)
        orchestrator = Orchestrator(
            provider=provider,
            also=others,
            tasks=store,
            voices=store,
            blobs=blobs,
            background=background,
            polls_synthesize=polls_synthesize,
            limits=config.limits,
            listeners=listeners,
        )
        yield await parts.enter_async_context(orchestrator)


async def migrate_database(config: Config) -> int:
    """Bring the schema of the configured database up to date and return its version.

    Raises:
        ConfigurationError, SchemaTooNew, StorageUnavailable: as
            :func:`~ttsorch.store.migrate_task_store`.
    """
    with _naming("TTSORCH_DATABASE_URL"):
        return await migrate_task_store(config.database_url)


class _Closable(Protocol):
    async def aclose(self) -> None: ...


async def _close(part: _Closable) -> None:
    # A cancelled host is no reason to leave files and sockets open.
    with anyio.CancelScope(shield=True):
        await part.aclose()


@contextmanager
def _naming(variable: str) -> Iterator[None]:
    """A backend knows what its URL must look like, but not where the URL came from."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{variable}: {error.message}", code=error.code, field=variable, detail=error.detail
        ) from error
    except StorageUnavailable as error:
        # Of the same class: one that was made by a newer ttsorch is told apart by it.
        raise type(error)(
            f"{variable}: {_why_unavailable(error)}", code=error.code, detail=error.detail
        ) from error


def _why_unavailable(error: StorageUnavailable) -> str:
    """The general sentence is for clients, and tells whoever starts a process nothing."""
    if error.message != StorageUnavailable.default_message:
        return error.message
    return f"cannot be opened ({error.detail})." if error.detail else "cannot be opened."


# --- the signing key ----------------------------------------------------------------------------------


def load_signing_key(config: Config) -> bytes:
    """The key that links to stored audio are signed with. Blocking: it may read or write a file.

    The configured one; else one that is made at the first start and kept beside the SQLite file, readable
    by its owner only; with a memory database, one that is forgotten with it.

    Raises:
        ConfigurationError: there is none, and none can be kept: processes on several machines have to be
            given the same one.
    """
    if config.signing_key is not None:
        return config.signing_key
    if config.database_url.startswith(_POSTGRES):
        raise _signing_key_error("must be set when the database is PostgreSQL")
    if not config.database_url.startswith(_SQLITE):
        return secrets.token_bytes(_SIGNING_KEY_BYTES)
    path = Path(config.database_url.removeprefix(_SQLITE) + ".signing-key")
    try:
        key = _read_or_make(path)
    except OSError as error:
        raise _signing_key_error(
            "must be set, because no key can be kept beside the database", detail=error.strerror
        ) from error
    if len(key) < MIN_SECRET_BYTES:
        raise _signing_key_error(
            "must be set, or the damaged .signing-key file beside the database removed"
        )
    return key


def _read_or_make(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _publish(secrets.token_bytes(_SIGNING_KEY_BYTES), path)
        return path.read_bytes()


def _publish(key: bytes, path: Path) -> None:
    """Make the file appear with all of its content, unless another process was first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


def _signing_key_error(rule: str, *, detail: str | None = None) -> ConfigurationError:
    return ConfigurationError(
        f"{_SIGNING_KEY} {rule}.", code="signing_key_required", field=_SIGNING_KEY, detail=detail
    )
