"""The one Django of this process: its settings are global, its URLs are set by each test."""

from collections.abc import Callable

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, clear_url_caches, include, path

from tests.adapters.http import PLAIN_PAGE

urlpatterns: list[URLPattern | URLResolver] = []


class Stranger:
    """Nobody has logged in here."""

    is_authenticated = False


def with_a_stranger(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that the login check needs before it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = Stranger()  # type: ignore[assignment]
        return get_response(request)

    return middleware


def configure() -> None:
    """Once in a process. The middleware is what the view has to be exempt from."""
    if settings.configured:
        return
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="for tests only",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        DATABASES={},
        MIDDLEWARE=[
            "django.middleware.csrf.CsrfViewMiddleware",
            "tests.adapters.django_site.with_a_stranger",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ],
    )
    django.setup()


def serve_urls(contract: list[URLPattern], prefix: str) -> None:
    """The contract below ``prefix``, beside a page of the host's."""
    below = prefix.strip("/")
    mounted = [path(f"{below}/", include(contract))] if below else contract
    urlpatterns[:] = [path("page", _page), *mounted]
    clear_url_caches()


def _page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PLAIN_PAGE)


_page.login_required = False  # type: ignore[attr-defined]
