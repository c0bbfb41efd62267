"""Pages as a client sees them (C8)."""

from ttsorch.contract.wire import Pagination
from ttsorch.models import Page


def pagination(page: Page[object]) -> Pagination:
    """The block that goes with a page."""
    return Pagination(page=page.page, per_page=page.per_page, total=page.total, pages=page.pages)
