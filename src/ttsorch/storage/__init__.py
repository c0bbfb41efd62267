"""Where audio is kept: blob stores. (The stores for tasks are in :mod:`ttsorch.store`.)

Every one of them is a :class:`~ttsorch.protocols.BlobStore` and passes
:class:`ttsorch.testing.blob_store.BlobStoreSuite`.
"""

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from ttsorch.errors import ConfigurationError
from ttsorch.protocols import BlobStore

_FORMS = (
    "memory://, file:///absolute/folder, file:relative/folder, s3://bucket/prefix, gs://bucket/prefix,"
    " az://container/prefix or supabase://PROJECT.supabase.co/bucket/prefix"
)
#: Where the key of a Supabase project is looked for, the newer name first.
_SUPABASE_KEYS = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


def open_blob_store(url: str, environ: Mapping[str, str] | None = None) -> BlobStore:
    """The blob store that ``url`` names. Nothing is opened or created before the store is used.

    ``memory://`` keeps blobs until the process ends. ``file:///absolute/folder`` and
    ``file:relative/folder`` are folders, percent-encoded as RFC 8089 has it; what ``file://`` is followed
    by is a host there, so ``file://relative/folder`` is refused rather than guessed at.
    ``s3://``, ``gs://`` and ``az://`` are buckets (:class:`~ttsorch.storage.object.ObjectBlobStore`, extra
    ``object``), ``supabase://`` is one of Supabase
    (:class:`~ttsorch.storage.supabase.SupabaseBlobStore`).

    Args:
        environ: where the key of a Supabase project is looked for; that of this process if None. The
            credentials of the other clouds are read from this process's own.

    Raises:
        ConfigurationError: ``url`` has none of these forms, or a setting is missing or malformed.
    """
    scheme = url.partition(":")[0]
    if scheme in ("s3", "gs", "az"):
        return _open_bucket(url)
    if scheme == "supabase":
        return _open_supabase(url, os.environ if environ is None else environ)
    return _open_here(url)


def _open_bucket(url: str) -> BlobStore:
    try:
        from ttsorch.storage.object import ObjectBlobStore
    except ImportError as error:
        raise ConfigurationError(
            "Buckets need obstore. Install it with: pip install 'ttsorch[object]'",
            code="extra_missing",
            field="blob_store",
        ) from error
    return ObjectBlobStore(url)


def _open_supabase(url: str, environ: Mapping[str, str]) -> BlobStore:
    from ttsorch.storage.supabase import SupabaseBlobStore

    keys = (environ.get(variable, "").strip() for variable in _SUPABASE_KEYS)
    key = next((key for key in keys if key), None)
    if key is None:
        raise ConfigurationError(
            f"A supabase:// blob store needs its key in {' or '.join(_SUPABASE_KEYS)}.",
            field=_SUPABASE_KEYS[0],
        )
    return SupabaseBlobStore(url, key=key)


def _open_here(url: str) -> BlobStore:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _malformed() from None  # the cause quotes the URL
    if parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
        raise _malformed()
    if parts.scheme == "memory" and not parts.path:
        from ttsorch.storage.memory import MemoryBlobStore

        return MemoryBlobStore()
    folder = unquote(parts.path)
    if parts.scheme == "file" and folder and "\0" not in folder:
        from ttsorch.storage.filesystem import FilesystemBlobStore

        return FilesystemBlobStore(folder)
    raise _malformed()


def _malformed() -> ConfigurationError:
    return ConfigurationError(f"A blob store is given as one of: {_FORMS}.", field="blob_store")
