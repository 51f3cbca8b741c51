"""Request bodies, read with an end in every direction: bytes, seconds, parts, names.

The library's own multipart reader knows no total and waits for ever, so an upload is read by this one. It yields the
bytes of the field `file` as they come; nothing is kept in memory but one read. A body that is cut or malformed raises
before the last byte is handed on, so that what was received so far is thrown away.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from aiohttp.helpers import parse_mimetype
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException  # noqa: F401

from orchestrator.domain.errors import Fault, Rejected, TooLarge
from web.errors import BadRequest, TooSlow, UnsupportedMedia
from web.keys import SETTINGS
from web.settings import WebSettings

READ_BYTES = 256 * 1024
PARTS_MAX = 20
PART_HEADER_BYTES_MAX = 8 * 1024
OTHER_FIELDS_BYTES_MAX = 256 * 1024
BOUNDARY_CHARACTERS_MAX = 70  # RFC 2046
NAME_CHARACTERS_MAX = 120
FIELD = "file"
