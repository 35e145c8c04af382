"""Write a report as one HTML page that needs nothing beside itself: no network, no other file.

The overview is plain HTML (`overview`); what there is to say of each call lies in the page as
packed data (`packing`), and the page's own script unpacks it when the reader opens the call.

Requirements:
    No name of the user's becomes markup: the template escapes everything, the script makes text
    nodes only, and a content security policy lets no other script run and no request leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["html_text"]


def html_text(report: Report, *, top: int = 20) -> str:
    """Return the report as a page.

    Args:
        report: what the run found out.
        top: the most rows in a table of elements.
    """
    from pytest_gradcheck.reporters.html.page import page

    return page(report, top=top)
