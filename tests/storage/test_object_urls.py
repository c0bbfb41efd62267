"""The URLs of buckets, and what is said about wrong ones."""

import sys
import traceback

import pytest

from ttsorch.errors import ConfigurationError
from ttsorch.storage import open_blob_store
from ttsorch.storage._object_urls import ObjectUrl, parse_object_url
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.storage.supabase import SupabaseBlobStore

SECRET_KEY = "sb_secret_canary_of_a_project"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://my-bucket", ObjectUrl("s3", "my-bucket")),
        ("s3://my-bucket/", ObjectUrl("s3", "my-bucket")),
        ("s3://my.bucket/a/B_c.d/", ObjectUrl("s3", "my.bucket", "a/B_c.d")),
        (
            "s3://bucket/p?endpoint=https://x.r2.example.com&region=auto&virtual_hosted=true",
            ObjectUrl(
                "s3",
                "bucket",
                "p",
                endpoint="https://x.r2.example.com",
                region="auto",
                virtual_hosted=True,
            ),
        ),
        (
            "s3://bucket?endpoint=http://localhost:9000",
            ObjectUrl("s3", "bucket", endpoint="http://localhost:9000", allow_http=True),
        ),
        (
            "s3://bucket?endpoint=http://minio:9000&allow_http=true&signed_links=false",
            ObjectUrl(
                "s3",
                "bucket",
                endpoint="http://minio:9000",
                allow_http=True,
                signed_links=False,
            ),
        ),
        ("gs://bucket/p", ObjectUrl("gs", "bucket", "p")),
        ("az://container/p?account=me", ObjectUrl("az", "container", "p", account="me")),
    ],
)
def test_takes_a_bucket_apart(url: str, expected: ObjectUrl) -> None:
    """Bucket, folder and options."""
    assert parse_object_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:bucket",
        "s3:///path",
        "s3://b",
        "s3://Bucket",
        "s3://canary:canary@bucket/p",
        "s3://bucket:80/p",
        "s3://bucket:canary/p",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/a b",
        "s3://bucket/canary#x",
        "s3://bucket?secret_access_key=canary",
        "s3://bucket?region=a&region=canary",
        "s3://bucket?region=",
        "s3://bucket?region=can%20ary",
        "s3://bucket?account=canary",
        "s3://bucket?allow_http=canary",
        "s3://bucket?signed_links=canary",
        "s3://bucket?endpoint=canary",
        "s3://bucket?endpoint=ftp://canary",
        "s3://bucket?endpoint=http://minio.canary:9000",
        "s3://bucket?endpoint=https://canary:canary@host",
        "s3://bucket?endpoint=https://host/?x=canary",
        "s3://bucket?endpoint=http://u:canary@host&allow_http=true",
        "gs://bucket?region=canary",
        "az://container?virtual_hosted=canary",
        "az://[canary",
        "supabase://",
        "supabase://abc.supabase.co",
        "supabase://abc.supabase.co/",
        "supabase://abc.supabase.co/bucket/a b",
        "supabase://abc.supabase.co/bucket?key=canary",
        "supabase://canary@abc.supabase.co/bucket",
        "supabase://abc.supabase.co:canary/bucket",
        "supabase://abc supabase.co/bucket",
    ],
)
def test_refuses_any_other_url_without_showing_it(url: str) -> None:
    """A typo may be a secret: what is expected is said, and not what came."""
    with pytest.raises(ConfigurationError) as caught:
        open_blob_store(url, {"SUPABASE_SECRET_KEY": SECRET_KEY})
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert "canary" not in str(caught.value.detail)
    assert caught.value.field == "blob_store"


@pytest.mark.parametrize(
    "url", ["s3://bucket/p?region=eu-central-1", "gs://bucket", "az://cont?account=me"]
)
def test_opens_a_bucket_without_asking_anybody(url: str) -> None:
    """Opening makes no request, whether or not there are credentials."""
    blobs = open_blob_store(url)
    assert isinstance(blobs, ObjectBlobStore)
    assert repr(blobs) == f"ObjectBlobStore({url[:2]})"


def test_a_malformed_credential_is_not_shown() -> None:
    """obstore quotes what it can't read; we name the family of settings."""
    credentials = {"service_account_key": SECRET_KEY}
    with pytest.raises(ConfigurationError, match="GOOGLE_") as caught:
        ObjectBlobStore("gs://bucket", credentials=credentials)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_an_unknown_credential_is_refused() -> None:
    """A misspelt setting would otherwise be one that is silently missing."""
    with pytest.raises(ConfigurationError, match="AWS_"):
        ObjectBlobStore("s3://bucket", credentials={"secret_acces_key": "canary"})


def test_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore, the command that installs it."""
    monkeypatch.setitem(sys.modules, "ttsorch.storage.object", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ttsorch\[object\]'"):
        open_blob_store("s3://bucket")


# --- Supabase -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"])
def test_finds_the_key_of_a_project(variable: str) -> None:
    """In the environment that is given; and never shows it."""
    blobs = open_blob_store("supabase://abc.supabase.co/audio/app", {variable: SECRET_KEY})
    assert isinstance(blobs, SupabaseBlobStore)
    assert "canary" not in repr(blobs) + repr(blobs._bucket)
    assert blobs._bucket.at("/info", "a/b/1.wav") == (
        "https://abc.supabase.co/storage/v1/object/info/audio/app/a/b/1.wav"
    )


def test_names_the_variables_that_a_project_needs() -> None:
    """Without a key there is no store."""
    with pytest.raises(
        ConfigurationError, match="SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY"
    ):
        open_blob_store("supabase://abc.supabase.co/audio", {"SUPABASE_SECRET_KEY": "  "})


@pytest.mark.parametrize("key", ["canary", "canary canary canary", "canary\ncanary\ncanary"])
def test_refuses_what_can_not_be_a_key(key: str) -> None:
    """Too short, or something that no header can hold; not shown."""
    with pytest.raises(ConfigurationError) as caught:
        open_blob_store("supabase://abc.supabase.co/audio", {"SUPABASE_SECRET_KEY": key})
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("supabase://localhost:54321/audio", "http://localhost:54321"),
        ("supabase://127.0.0.1:54321/audio", "http://127.0.0.1:54321"),
        ("supabase://[::1]:54321/audio", "http://[::1]:54321"),
        ("supabase://storage.example.com/audio", "https://storage.example.com"),
    ],
)
def test_speaks_plain_http_to_this_machine_only(url: str, origin: str) -> None:
    """A key on an open wire would be everybody's."""
    assert SupabaseBlobStore(url, key=SECRET_KEY)._bucket.origin == origin
