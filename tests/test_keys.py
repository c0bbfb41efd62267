"""The names of blobs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsorch._keys import (
    audio_key,
    audio_prefix,
    checked,
    clip_key,
    fence_of,
    is_speech_of_a_lease,
    is_upload,
    owner_prefix,
    upload_key,
)
from ttsorch.errors import ValidationError

SUBJECTS = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)
EXTENSIONS = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
FENCES = st.integers(min_value=0, max_value=2**63 - 1)
# Any text at all, lone surrogates included.
OWNERS = st.text(st.characters())
ALLOWED = set("abcdefghijklmnopqrstuvwxyz0123456789_-/.")


@given(st.uuids())
def test_a_uuid_is_its_own_prefix(owner: uuid.UUID) -> None:
    """An owner that is a canonical UUID keeps its name."""
    assert owner_prefix(str(owner)) == str(owner)


@given(st.uuids())
def test_another_spelling_of_a_uuid_is_another_owner(owner: uuid.UUID) -> None:
    """Upper case, braces, a URN or no dashes are hashed, so that they don't share the owner's folder."""
    spellings = {f"{{{owner}}}", owner.urn, owner.hex, f" {owner}"} | (
        {str(owner).upper()} - {str(owner)}
    )
    prefixes = {owner_prefix(spelling) for spelling in spellings}
    assert str(owner) not in prefixes
    assert len(prefixes) == len(spellings)


@given(OWNERS)
def test_any_other_owner_is_hashed(owner: str) -> None:
    """No host's user name appears in a key: its prefix is 32 hex digits, the same each time."""
    prefix = owner_prefix(owner)
    assert len(prefix) == 32
    assert set(prefix) <= set("0123456789abcdef")
    assert prefix == owner_prefix(owner)


@given(OWNERS | st.uuids().map(str), OWNERS | st.uuids().map(str))
def test_no_owner_reaches_into_another(one: str, other: str) -> None:
    """With its slash, no owner's prefix begins another owner's key."""
    if one != other:
        key = audio_key(other, "generation", 1, "wav")
        assert not key.startswith(f"{owner_prefix(one)}/")


def test_look_alike_owners_have_different_prefixes() -> None:
    """Case, spaces, composed and full-width letters tell owners apart."""
    owners = [
        "ann",
        "Ann",
        "ann ",
        "ａｎｎ",
        "\u00e9",
        "e\u0301",
        "u1",
        "u10",
        "",
        "../ann",
        "ann/",
    ]
    assert len({owner_prefix(owner) for owner in owners}) == len(owners)


@given(OWNERS, SUBJECTS, FENCES, EXTENSIONS)
def test_a_key_holds_only_safe_characters(
    owner: str, subject: str, fence: int, extension: str
) -> None:
    """Whatever the owner is called, a key has no dots but one, no escapes, no other case, and three parts."""
    key = audio_key(owner, subject, fence, extension)
    assert set(key) <= ALLOWED
    assert key.count(".") == 1
    assert key.count("/") == 2
    assert checked(key) == key


@given(OWNERS, SUBJECTS, SUBJECTS, FENCES, EXTENSIONS)
def test_a_prefix_selects_one_subject_and_the_key_tells_the_fence(
    owner: str, subject: str, other: str, fence: int, extension: str
) -> None:
    """The prefix begins all keys of its subject and none of another's; the fence can be read back."""
    key, prefix = audio_key(owner, subject, fence, extension), audio_prefix(owner, subject)
    assert key.startswith(prefix)
    assert fence_of(key) == fence
    if subject != other:
        assert not audio_key(owner, other, fence, extension).startswith(prefix)


@given(OWNERS, st.uuids(), st.uuids(), FENCES, EXTENSIONS)
def test_recordings_are_apart_from_each_other_and_from_results(
    owner: str, voice: uuid.UUID, take: uuid.UUID, fence: int, extension: str
) -> None:
    """An upload, each try's copy of it, and a result under the same id are different blobs, and looking
    for the results finds no recording."""
    upload = upload_key(owner, str(voice))
    clips = {clip_key(owner, str(voice), extension, take=each) for each in (take.hex, "clip")}
    result = audio_key(owner, str(voice), fence, extension)
    assert len({upload, result, *clips}) == 4
    assert not any(key.startswith(audio_prefix(owner, str(voice))) for key in (upload, *clips))
    assert all(key.startswith(f"{owner_prefix(owner)}/voices/{voice}/") for key in (upload, *clips))
    assert all(checked(key) == key for key in (upload, *clips))


@pytest.mark.parametrize(
    ("subject", "extension"),
    [
        ("..", "wav"),
        ("", "wav"),
        ("a b", "wav"),
        ("Upper", "wav"),
        ("a" * 65, "wav"),
        ("a/../b", "wav"),
        ("a\\b", "wav"),
        ("a\0", "wav"),
        ("%2e%2e", "wav"),
        ("ä", "wav"),
        ("gen", ""),
        ("gen", "WAV"),
        ("gen", "wav\n"),
        ("gen", "tar.gz"),
        ("gen", "../../x"),
    ],
)
def test_builds_no_unsafe_key(subject: str, extension: str) -> None:
    """A part that could mean something to a file system or a bucket is refused, not escaped."""
    with pytest.raises(ValidationError) as caught:
        audio_key("owner", subject, 1, extension)
    assert caught.value.code == "invalid_blob_key"


@given(st.text(st.characters()) | st.text("abz019_-/.~%\\ \0\nA", max_size=40))
def test_a_key_from_anywhere_is_safe_or_refused(text: str) -> None:
    """Text that passes has only safe characters, no empty or dotted parts, and a bounded length."""
    try:
        key = checked(text)
    except ValidationError:
        return
    assert key == text
    assert set(key) <= ALLOWED
    assert len(key) <= 256
    *folders, name = key.split("/")
    assert folders
    assert all(folder and "." not in folder for folder in folders)
    assert not name.startswith(".")


@pytest.mark.parametrize(
    "key",
    [
        "a.wav",
        "/a/1.wav",
        "a//1.wav",
        "a/1.wav/",
        "a/1.wav ",
        "a/1.",
        "a/.wav",
        "a/con.",
        "~/1.wav",
    ],
)
def test_refuses_a_key_of_another_form(key: str) -> None:
    """What isn't folder, folder, name and extension is no key."""
    with pytest.raises(ValidationError):
        checked(key)


def test_a_key_has_at_most_256_characters() -> None:
    """The longest key is 256 characters, so that every store can take it."""
    longest = "/".join(["a" * 64] * 3 + ["b" * 57]) + ".wav"
    assert len(longest) == 256
    assert checked(longest) == longest
    with pytest.raises(ValidationError):
        checked("/".join(["a" * 64] * 3 + ["b" * 58]) + ".wav")


def test_a_key_tells_what_it_is_of() -> None:
    """Whether a purge may take the blob although it is young."""
    speech = audio_key("o", "g", 1, "wav")
    imported = audio_key("o", "g", 0, "wav")
    upload, clip = upload_key("o", "v"), clip_key("o", "v", "wav")
    keys = [speech, imported, upload, clip, "o/g/x.wav", "o/upload.bin"]
    assert [is_speech_of_a_lease(key) for key in keys] == [True, *[False] * 5]
    assert [is_upload(key) for key in keys] == [False, False, True, False, False, False]
