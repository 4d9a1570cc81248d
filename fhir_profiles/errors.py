"""Every refusal this hub can give.

BirthCareError
├── Refused           sending it again will not help
│   ├── Invalid       400  invalid       does not fit the standard or the profile
│   ├── Unsupported   415  not-supported a media type, version or event that we do not take
│   │   └── NotOffered 422              an interaction in a Bundle that we do not take: the media type is right
│   ├── TooLarge      413  too-long      larger than the published limit
│   ├── Unknown       401  login         no valid token, or a sender that is not registered
│   ├── Forbidden     403  forbidden     role, treatment relation or consent says no
│   ├── Missing       404  not-found     no such plan or resource
│   └── Conflict      409  conflict      someone wrote a newer version
└── Unavailable       503  transient     a neighbour is away, or the backlog is full; try again later

`public` is what the caller may read: it never repeats what was sent. `path` points into what was sent.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class BirthCareError(Exception):
    """The root of all answers that are not a success."""

    issue: ClassVar[str] = "exception"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, public: str, *, path: str = "", code: str = "") -> None:
        super().__init__(public)
        self.public = public
        self.path = path
        self.code = code or self.issue


class Refused(BirthCareError):
    """Sending the same again will not help."""

    issue, status = "processing", HTTPStatus.UNPROCESSABLE_ENTITY


class Invalid(Refused):
    """It does not fit the standard, the profile, or itself."""

    issue, status = "invalid", HTTPStatus.BAD_REQUEST


class Unsupported(Refused):
    """A media type, version, event or interaction that the hub does not take."""

    issue, status = "not-supported", HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class NotOffered(Unsupported):
    """An interaction that an entry of a Bundle asks for and we do not take; the media type is right."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooLarge(Refused):
    """Larger, deeper or longer than the published limit."""

    issue, status = "too-long", HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unknown(Refused):
    """No valid token, or a sender that is not registered."""

    issue, status = "login", HTTPStatus.UNAUTHORIZED


class Forbidden(Refused):
    """The rules say no; the attempt has been recorded."""

    issue, status = "forbidden", HTTPStatus.FORBIDDEN


class Missing(Refused):
    """There is no such thing, or none that the asker may know of."""

    issue, status = "not-found", HTTPStatus.NOT_FOUND


class Conflict(Refused):
    """Someone wrote a newer version."""

    issue, status = "conflict", HTTPStatus.CONFLICT


class Unavailable(BirthCareError):
    """Something the hub needs is away, or it is too busy; the same request may succeed later."""

    issue, status = "transient", HTTPStatus.SERVICE_UNAVAILABLE
