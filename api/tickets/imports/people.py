"""Invents clients and workers for sample data. Nobody of them can exist.

E-mail domains are those of RFC 2606, telephone numbers those that regulators keep for films: Ofcom's
07700 900xxx, the 555-01xx of North America, Arcep's 06 39 98 xx xx, and 030 23125 xxx of the
Bundesnetzagentur. Where no such range is known, a client has an e-mail address alone.
"""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api.clients.matching import Contact
from api.core.fields import e164, key_of
from api.tickets.imports.rows import Row

MAIL_DOMAINS: Final = ("example.com", "example.org", "example.net")
AREAS: Final = (202, 212, 303, 312, 415, 503, 604, 617, 720, 808)
PHONE_ONLY: Final = 0.2
PHONE_KNOWN: Final = 0.8


def seeded(external_id: str, what: str) -> random.Random:
    """Return dice that fall alike for one record on every run."""
    return random.Random(f"{external_id}/{what}")  # noqa: S311  plausible, not secret


@dataclass(frozen=True)
class Locale:
    """Where a client is at home."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    streets: tuple[str, ...]
    clients: int
    """How many there are: about a third of the sample's records, so that most come more than once."""
    phone: Callable[[int], str] | None = None


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _british(n: int) -> str:
    return f"+44 7700 900{n:03d}"


def _american(n: int) -> str:
    return f"+1 {AREAS[n // 100]}-555-01{n % 100:02d}"


def _french(n: int) -> str:
    return f"+33 6 39 98 {n // 100:02d} {n % 100:02d}"


def _german(n: int) -> str:
    return f"+49 30 23125{n:03d}"


_ENGLISH: Final = (
    _names(
        "Alice Ben Chloe Daniel Ellie Finn Grace Harry Isla Jack Katie Liam Mia Noah Olivia Peter Rosie Sam"
    ),
    _names(
        "Adams Baker Clarke Davies Evans Foster Green Hughes King Lewis Moore Nelson Parker Reid Shaw Walker"
    ),
    ("Station Road", "High Street", "Church Lane", "Mill Road", "Park Avenue"),
)
_FRENCH: Final = (
    _names("Amélie Bruno Camille Denis Élodie Fabien Inès Julien Léa Marc Nadia Olivier Sophie Thomas"),
    _names("Bernard Dubois Durand Fontaine Girard Lambert Laurent Martin Moreau Petit Roux Simon"),
    ("rue de la Gare", "avenue des Tilleuls", "rue du Moulin", "place du Marché"),
)
_GERMAN: Final = (
    _names("Anja Bernd Claudia Dirk Eva Felix Greta Jürgen Karin Lukas Monika Nils Petra Stefan Ute"),
    _names("Bauer Becker Fischer Hoffmann Keller Krüger Maier Müller Richter Schäfer Vogel Weber"),
    ("Bahnhofstraße", "Gartenweg", "Lindenstraße", "Am Markt"),
)
_DUTCH: Final = (
    _names("Anouk Bas Daan Els Femke Hans Joost Lotte Maarten Nienke Ruud Sanne Tess Willem"),
    _names("Bakker Bos Dekker Hendriks Jansen Kok Meijer Mulder Peters Smit Visser Vermeulen"),
    ("Stationsstraat", "Molenweg", "Kerkstraat", "Dorpsplein"),
)
_SPANISH: Final = (
    _names("Ana Bruno Carmen Diego Elena Hugo Inés Javier Lucía Mateo Nuria Pablo Sofía"),
    _names("Álvarez Castro Díaz Fernández García Herrera López Muñoz Ortiz Romero Vega"),
    ("calle Mayor", "avenida del Parque", "calle del Molino"),
)
_ITALIAN: Final = (
    _names("Anna Bruno Chiara Davide Elisa Franco Giulia Luca Marta Paolo"),
    _names("Bianchi Conti Esposito Ferrari Gallo Marino Ricci Romano Russo"),
    ("via Roma", "via Garibaldi", "corso Italia"),
)
_NORDIC: Final = (
    _names("Astrid Bjørn Elin Erik Frida Gunnar Ingrid Jon Kari Lars Maja Ole Sigrid"),
    _names("Andersen Berg Dahl Eriksen Haugen Lindqvist Lund Nilsson Olsen Strand"),
    ("Storgata", "Kirkeveien", "Skolegatan"),
)
_CHINESE: Final = (
    _names("Ka-yan Chi-ming Mei-ling Wai-kit Siu-fong Tsz-ching Ho-yin"),
    _names("Chan Cheung Ho Lam Lee Wong Yip"),
    ("Garden Road", "Harbour Street"),
)

_BELGIAN: Final = (_DUTCH[0] + _FRENCH[0], _DUTCH[1] + _FRENCH[1], _DUTCH[2] + _FRENCH[2])

LOCALES: Final = {
    "GBR": Locale(*_ENGLISH, 140, _british),
    "IRL": Locale(*_ENGLISH, 35),
    "JEY": Locale(*_ENGLISH, 20),
    "AUS": Locale(*_ENGLISH, 35),
    "NZL": Locale(*_ENGLISH, 12),
    "USA": Locale(*_ENGLISH, 50, _american),
    "CAN": Locale(
        _ENGLISH[0] + _FRENCH[0], _ENGLISH[1] + _FRENCH[1], _ENGLISH[2], 40, lambda n: _american(n + 500)
    ),
    "FRA": Locale(*_FRENCH, 35, _french),
    "DEU": Locale(*_GERMAN, 85, _german),
    "AUT": Locale(*_GERMAN, 15),
    "CHE": Locale(*_GERMAN, 30),
    "NLD": Locale(*_DUTCH, 90),
    "BEL": Locale(*_BELGIAN, 60),
    "ESP": Locale(*_SPANISH, 35),
    "ARG": Locale(*_SPANISH, 35),
    "ITA": Locale(*_ITALIAN, 35),
    "NOR": Locale(*_NORDIC, 35),
    "SWE": Locale(*_NORDIC, 35),
    "ISL": Locale(*_NORDIC, 30),
    "HKG": Locale(*_CHINESE, 35),
    "TWN": Locale(*_CHINESE, 3),
}
ELSEWHERE: Final = Locale(_FRENCH[0] + _ENGLISH[0], _FRENCH[1] + _ENGLISH[1], _FRENCH[2], 20)

WORKERS: Final = (
    ("demo-anna", "Анна Соколова", "Electronics"),
    ("demo-boris", "Борис Лебедев", "Household appliances"),
    ("demo-clara", "Clara Hoffmann", "Computers and phones"),
    ("demo-david", "David Moore", "Tools and toys"),
    ("demo-elif", "Elif Kaya", "Textiles and furniture"),
)
"""Username, name, department. They cannot sign in."""


def contact_for(row: Row) -> Contact:
    """Return the client that a record has in every run."""
    country = row.country or ""
    locale = LOCALES.get(country, ELSEWHERE)
    n = seeded(row.external_id, "client").randrange(locale.clients)
    # From here on by the client's number alone, so that all of its records agree.
    draw = seeded(f"{country or 'elsewhere'} {n}", "person")
    first, last = draw.choice(locale.first), draw.choice(locale.last)
    phone = locale.phone(n) if locale.phone and draw.random() < PHONE_KNOWN else None
    email = None
    if phone is None or draw.random() > PHONE_ONLY:
        where = f".{country.casefold()}" if country.isascii() and country.isalpha() else ""
        email = f"{_ascii(first)}.{_ascii(last)}{where}{n}@{draw.choice(MAIL_DOMAINS)}"
    return Contact(
        name=f"{first} {last}",
        phone=phone,
        phone_key=e164(phone, "GB") if phone else None,
        email=email,
        email_key=key_of(email) if email else None,
        comment=None,
    )


def address_for(row: Row) -> str:
    """Return where the client of a record lives."""
    country = row.country or ""
    locale = LOCALES.get(country, ELSEWHERE)
    n = seeded(row.external_id, "client").randrange(locale.clients)
    draw = seeded(f"{country or 'elsewhere'} {n}", "home")
    return f"{draw.choice(locale.streets)} {draw.randint(1, 120)}"


def _ascii(name: str) -> str:
    spelled = unicodedata.normalize("NFKD", name.casefold().replace("ø", "o"))
    return "".join(letter for letter in spelled if letter.isascii() and letter.isalpha())
