"""``gunicorn --config examples/mounting/gunicorn_workers.py examples.mounting.django_app:app``

A whole site in one file; a real one has its settings, its URLs and its WSGI file where Django puts them.
"""

import secrets
from functools import partial

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest

from examples.mounting.blocking import tts
from examples.mounting.settings import config, owner_of
from ttsorch.adapters.django import contract_urls
from ttsorch.config import load_signing_key
from ttsorch.contract import ContractHandler


def authenticate(request: HttpRequest) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


make_handler = partial(ContractHandler, signing_key=load_signing_key(config))
urlpatterns = [*contract_urls(tts, make_handler, authenticate)]

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SECRET_KEY=secrets.token_hex(),
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
)
app = get_wsgi_application()
