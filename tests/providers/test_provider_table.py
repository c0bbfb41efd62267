"""Which provider a name stands for."""

import subprocess
import sys
from pathlib import Path

import pytest

from ttsorch.errors import ConfigurationError
from ttsorch.providers import configured_providers, load_provider, provider_names
from ttsorch.providers.local import LocalProvider


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that registers providers, good and bad."""
    metadata = tmp_path / "acme_speech-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-speech\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[ttsorch.providers]\n"
        "zeta = acme_speech:Speech\n"
        "acme = acme_speech:Speech\n"
        "local = acme_speech:Speech\n"
        "absent = acme_speech_absent:Speech\n"
        "misnamed = acme_speech:Other\n"
        "unmade = acme_speech:number\n"
    )
    (tmp_path / "acme_speech.py").write_text(
        "number = 5\n"
        "class Speech:\n"
        "    @classmethod\n"
        "    def from_env(cls, environ):\n"
        "        speech = cls()\n"
        "        speech.name = environ['ACME_NAME']\n"
        "        return speech\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["local", " Local\n"])
def test_a_built_in_name_makes_its_provider(name: str) -> None:
    """A name is found whatever its case and the space around it."""
    assert isinstance(load_provider(name, {}), LocalProvider)


@pytest.mark.parametrize("name", ["", "nobody", "LOCAL-2"])
def test_an_unknown_name_is_answered_with_the_contracts_sentence(name: str) -> None:
    """The sentence of row R2 names the raw value and every provider there is."""
    expected = ", ".join(provider_names())

    with pytest.raises(ConfigurationError) as caught:
        load_provider(name, {})

    assert caught.value.message == (
        f"Invalid TTS_PROVIDER_MODE: {name}. Expected one of: {expected}"
    )
    assert caught.value.http_status == 500


@pytest.mark.usefixtures("third_party")
def test_third_parties_follow_the_built_in_names() -> None:
    """Registered names come after ours, in order, and each name once."""
    names = provider_names()

    assert names[0] == "local"
    assert names[-5:] == ("absent", "acme", "misnamed", "unmade", "zeta")
    assert len(set(names)) == len(names)


@pytest.mark.usefixtures("third_party")
def test_a_third_party_is_made_from_the_environment() -> None:
    """A registered class is made by its from_env, with the variables it is given."""
    assert load_provider("acme", {"ACME_NAME": "acme"}).name == "acme"


@pytest.mark.usefixtures("third_party")
def test_a_built_in_name_is_not_taken_over() -> None:
    """A distribution that registers a name of ours doesn't get its place."""
    assert isinstance(load_provider("local", {"ACME_NAME": "acme"}), LocalProvider)


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", ["absent", "misnamed", "unmade"])
def test_a_provider_that_cannot_be_loaded_is_named(name: str) -> None:
    """A missing module, class or from_env is a configuration error with its cause."""
    with pytest.raises(ConfigurationError, match=f"'{name}' can't be loaded") as caught:
        load_provider(name, {})

    assert caught.value.__cause__ is not None


def test_a_provider_with_a_malformed_setting_is_missed_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was begun with it will not finish: the operator has to hear which variable it is."""
    environ = {"DASHSCOPE_API_KEY": "sk-fake", "DASHSCOPE_REGION": "c4nary"}
    assert configured_providers(environ, but="local") == ()
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "qwen" in warning.getMessage()
    assert "DASHSCOPE_REGION" in warning.getMessage()
    assert "c4nary" not in caplog.text


def test_a_provider_without_settings_is_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    """Most hosts have one."""
    assert configured_providers({}, but="local") == ()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_looking_at_the_table_imports_no_provider() -> None:
    """Importing the package and listing the names loads no provider and no vendor's library."""
    program = (
        "import sys, ttsorch.providers as table; table.provider_names();"
        "print(*(name for name in sys.modules if name.startswith('ttsorch.providers.')))"
    )
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    assert answer.stdout.strip() == b""


def test_every_built_in_provider_exists() -> None:
    """Each entry of the table names a class that can be imported."""
    from ttsorch.providers import _table

    assert all(callable(entry.load().from_env) for entry in _table().values())
