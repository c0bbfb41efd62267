"""The catalog read from files says what the engine itself would say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ttsorch.errors import ConfigurationError
from ttsorch.providers._espeak.catalog import EngineVoice, published, read_catalog
from ttsorch.providers.local import LocalProvider

LOCAL = LocalProvider()

ENGINES_OWN_LIST = """
import ctypes, json, sys
class Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("languages", ctypes.POINTER(ctypes.c_char)),
                ("identifier", ctypes.c_char_p)]
engine = ctypes.CDLL(sys.argv[1])
engine.espeak_Initialize(2, 0, sys.argv[2].encode(), 0x8000)
engine.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
voices = {}
for voice in engine.espeak_ListVoices(None):
    if not voice:
        break
    languages, at = {}, 0
    while voice.contents.languages[at] != b"\\0":
        priority = voice.contents.languages[at][0]
        code = ctypes.string_at(ctypes.addressof(voice.contents.languages.contents) + at + 1)
        languages[code.decode().lower()] = priority
        at += len(code) + 2
    voices[voice.contents.identifier.decode()] = [voice.contents.name.decode().strip(), languages]
print(json.dumps(voices))
"""


def test_the_files_agree_with_the_engine() -> None:
    """Every voice has the name and the codes that the engine lists; only those it can't speak are left
    out."""
    command = [sys.executable, "-c", ENGINES_OWN_LIST, LOCAL._library, LOCAL._data]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    read = {voice.identifier: [voice.name, dict(voice.codes)] for voice in LOCAL._catalog.voices}

    assert read == {identifier: listed[identifier] for identifier in read}
    assert set(listed) - set(read) == {"gmq/fo", "trk/kaa", "art/xex"}


def test_voices_are_in_the_order_of_their_names() -> None:
    """The order is stable and made for reading."""
    names = [voice.name.casefold() for voice in LOCAL._catalog.voices]

    assert names == sorted(names)


def test_an_id_never_changes() -> None:
    """Rows hold these ids: they depend on the voice's identifier and on nothing else."""
    voice = published(EngineVoice("gmw/en-US", "Renamed", {"en-us": 2}))

    assert voice.id == "c86d93d5-8b3e-5e8b-8261-181506ab41ac"


def test_a_voice_is_published_for_people() -> None:
    """Clients see a readable name and language, and the provider finds its voice again."""
    american = LOCAL._catalog.voice("gmw/en-US")
    assert american is not None
    voice = published(american)

    assert (voice.name, voice.language) == ("English (America)", "English")
    assert (voice.tts_provider, voice.provider_voice_kind) == ("local", "builtin")
    assert LOCAL._catalog.voice(voice.provider_voice_id) == american
    assert voice.owner is None


def test_languages_are_offered_once_by_language_and_by_dialect() -> None:
    """Both "English" and "English (America)" are languages, each named once and in order."""
    languages = LOCAL.capabilities.languages

    assert {"English", "English (America)", "Thai"} <= set(languages)
    assert list(languages) == sorted(set(languages), key=str.casefold)


def test_a_voice_without_its_dictionary_is_left_out(tmp_path: Path) -> None:
    """A language whose dictionary wasn't packed would be mute, so it isn't offered."""
    (tmp_path / "lang").mkdir()
    (tmp_path / "voices" / "!v").mkdir(parents=True)
    (tmp_path / "xx_dict").touch()
    (tmp_path / "lang" / "aa").write_text("// a remark\nname Aa aa // spoken\nlanguage aa-BB 3\n")
    (tmp_path / "lang" / "xx").write_text("language xx\n\nlanguage xy 7")
    (tmp_path / "lang" / "yy").write_text("name  Why\ndictionary xx\nlanguage yy\n")

    assert read_catalog(tmp_path).voices == (
        EngineVoice("yy", "Why", {"yy": 5}),
        EngineVoice("xx", "xx", {"xx": 5, "xy": 7}),
    )


@pytest.mark.parametrize("data", ["/nowhere", None])
def test_an_incomplete_installation_is_named(
    data: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the wheel's files are gone, making the provider says what to install."""
    import espeakng_loader

    def get_data_path() -> str:
        if data is None:
            raise RuntimeError("data path not exists")
        return data

    monkeypatch.setattr(espeakng_loader, "get_data_path", get_data_path)

    with pytest.raises(ConfigurationError, match=r"pip install 'ttsorch\[local\]'"):
        LocalProvider()
