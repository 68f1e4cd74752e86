"""Every table, for Alembic and the tests: importing this module fills ``Base.metadata``."""

from api.auth.models import RefreshToken, User, UserSession
from api.clients.models import Client
from api.core.db import Base
from api.core.idempotency import IdempotencyKey
from api.core.limits import RateHit
from api.core.revisions import Revision
from api.tickets.attachments.models import Attachment
from api.tickets.comments.models import Comment, TicketRead
from api.tickets.counters import COUNTERS, DELTAS, HISTOGRAMS
from api.tickets.models import Ticket, TicketEvent
from api.tickets.responses.models import Offer, OfferMessage
from api.tickets.vocabulary import KnownWord, WordsRead

__all__ = [
    "COUNTERS",
    "DELTAS",
    "HISTOGRAMS",
    "Attachment",
    "Base",
    "Client",
    "Comment",
    "IdempotencyKey",
    "KnownWord",
    "Offer",
    "OfferMessage",
    "RateHit",
    "RefreshToken",
    "Revision",
    "Ticket",
    "TicketEvent",
    "TicketRead",
    "User",
    "UserSession",
    "WordsRead",
]
