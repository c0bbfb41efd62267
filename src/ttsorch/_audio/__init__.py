"""Audio as bytes: what it is, whether it is whole, and how long it lasts. Nothing is ever decoded.

:class:`AudioGate` is the way in: every result passes it before it is stored. :func:`sniff` alone tells
the format of a few bytes, and :func:`content_type_of` the content type of a blob's key.
"""

from ttsorch._audio.formats import EXTENSIONS, AudioFormat, content_type_of
from ttsorch._audio.gate import AudioGate
from ttsorch._audio.sniffing import HEAD, sniff

__all__ = ["EXTENSIONS", "HEAD", "AudioFormat", "AudioGate", "content_type_of", "sniff"]
