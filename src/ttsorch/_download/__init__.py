"""Fetching result audio from a URL that somebody else chose.

A vendor's answer names a URL; a vendor that is broken into, or misled, names one inside our network.
``hosts`` says which URLs may be asked, ``addresses`` and ``network`` which machines may be behind their
names, ``pace`` how long and how slowly they may answer, ``fetching`` makes one exchange with its redirects,
``body`` reads what comes and resumes what broke off, and :class:`Downloader` puts them together.
"""

from ttsorch._download.download import Downloader
from ttsorch._download.network import Resolver
from ttsorch._download.pace import Limits

__all__ = ["Downloader", "Limits", "Resolver"]
