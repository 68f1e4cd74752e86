"""Texts to fill a shop with: the Open Repair sample of this repository, and Russian requests.

Word frequencies are skewed as in life (Zipf), and what belongs together comes together: a
description is of the device that the title names.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

SAMPLE: Final = Path(__file__).parent.parent / "api" / "demo" / "open_repair_tickets.jsonl"
RUSSIAN_SHARE: Final = 0.5
TAIL_WORDS: Final = 3
"""Words of the long tail at the end of a description, at most."""
MIN_WORD: Final = 4

COMMON: Final = ("ремонт", "screen")
"""In a good part of all texts."""
RARE: Final = "магнетрон"
RARE_COUNT: Final = 20
"""How many tickets of any size have it."""
ABSENT: Final = "синхрофазотрон"
OLD: Final = "кинескоп"
"""Common, but only in the oldest fifth of the tickets."""
OLD_SHARE: Final = 0.3
OLD_UNTIL: Final = 0.2
PHRASE: Final = "вода течет из-под дверцы"
PHRASE_SHARE: Final = 0.003

_DEVICES: Final = {
    "Стиральная машина": ("не сливает воду", "не крутит барабан", "сильно шумит при отжиме", "не греет воду"),
    "Холодильник": ("не морозит", "громко гудит", "намерзает лёд", "не закрывается дверца"),
    "Посудомоечная машина": ("не набирает воду", "плохо моет посуду", "течёт снизу", "не сушит"),
    "Телефон": ("не заряжается", "разбит экран", "не включается", "быстро садится аккумулятор"),
    "Ноутбук": ("не включается", "перегревается и шумит", "не работает клавиатура", "мигает экран"),
    "Телевизор": ("нет изображения", "нет звука", "полосы на экране", "не включается с пульта"),
    "Пылесос": ("не тянет", "запах гари", "не сматывается шнур", "искрит двигатель"),
    "Микроволновка": ("не греет", "искрит внутри", "не крутится тарелка", "не работают кнопки"),
    "Кофемашина": ("не подаёт воду", "не мелет зёрна", "течёт из-под крышки", "горит ошибка"),
    "Принтер": ("жуёт бумагу", "печатает полосами", "не видит картридж", "не подключается к сети"),
    "Утюг": ("не греет подошву", "подтекает вода", "оборван шнур"),
    "Чайник": ("не отключается", "не греет", "течёт корпус"),
    "Котёл": ("не зажигается", "падает давление", "гаснет через минуту"),
    "Кондиционер": ("не холодит", "капает вода", "не реагирует на пульт"),
    "Лифт": ("застревает между этажами", "не закрываются двери", "не горят кнопки"),
}
_BRANDS: Final = (
    "Bosch",
    "Samsung",
    "LG",
    "Indesit",
    "Атлант",
    "Beko",
    "Philips",
    "Xiaomi",
    "Haier",
    "Бирюса",
)
_REMARKS: Final = (
    "Нужен ремонт как можно скорее.",
    "Раньше всё работало, сломалось вчера вечером.",
    "Гарантия закончилась, нужен срочный ремонт.",
    "Мастер уже приходил, но не помогло.",
    "Проверьте насос, фильтр и шланги.",
    "Позвоните заранее, домофон не работает.",
    "Запах горелой проводки, боимся включать.",
    "После скачка напряжения перестала работать.",
    "Прошу заменить деталь и проверить остальное.",
    "Дверца закрывается с трудом, вода на полу.",
    "Сколько будет стоить диагностика и запчасти?",
    "Удобно в выходные или после шести вечера.",
)


@dataclass(frozen=True, slots=True)
class Skewed:
    """Draws from a list so that the first is drawn most: the n-th with the weight 1/(n + flat)."""

    choices: Sequence[int]
    weights: Sequence[float]

    @classmethod
    def over(cls, count: int, *, flat: float = 2.0) -> "Skewed":
        """Return one over ``range(count)``."""
        return cls(range(count), list(accumulate(1 / (rank + flat) for rank in range(count))))

    def draw(self, dice: random.Random, count: int) -> list[int]:
        """Return ``count`` indices."""
        return dice.choices(self.choices, cum_weights=self.weights, k=count)


@dataclass(frozen=True, slots=True)
class Device:
    """One kind of thing, with what is said of it."""

    titles: Sequence[str]
    descriptions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Text:
    """What a request says; ``device`` is the number of the thing it is about."""

    title: str
    description: str
    device: int


class Words:
    """The shop's language: devices with titles and descriptions, and a tail of rarer words."""

    def __init__(self) -> None:
        rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
        self._foreign = _sample_devices(rows)
        self._russian = [_russian_device(name, faults) for name, faults in _DEVICES.items()]
        self._tail = _vocabulary(rows)
        self._pick_foreign = Skewed.over(len(self._foreign))
        self._pick_russian = Skewed.over(len(self._russian))
        self._pick_tail = Skewed.over(len(self._tail), flat=20)
        self._pick_text = Skewed.over(10_000, flat=5)

    @property
    def tail(self) -> Sequence[str]:
        """The rarer words, most frequent first."""
        return self._tail

    def texts(self, dice: random.Random, first: int, count: int, *, of: int) -> list[Text]:
        """Return the texts of the tickets ``first`` … ``first + count`` of a shop with ``of`` tickets."""
        russian = self._pick_russian.draw(dice, count)
        foreign = self._pick_foreign.draw(dice, count)
        said = self._pick_text.draw(dice, 2 * count)
        tail = self._pick_tail.draw(dice, TAIL_WORDS * count)
        made = []
        for n in range(count):
            in_russian = dice.random() < RUSSIAN_SHARE
            number = russian[n] if in_russian else foreign[n]
            device = (self._russian if in_russian else self._foreign)[number]
            words = [
                self._tail[w] for w in tail[TAIL_WORDS * n : TAIL_WORDS * n + dice.randrange(TAIL_WORDS + 1)]
            ]
            description = " ".join(
                [
                    device.descriptions[said[2 * n] % len(device.descriptions)],
                    *words,
                    *self._marks(dice, first + n, of=of),
                ]
            )
            title = device.titles[said[2 * n + 1] % len(device.titles)]
            made.append(Text(title, description, number + (len(self._foreign) if in_russian else 0)))
        return made

    @staticmethod
    def _marks(dice: random.Random, index: int, *, of: int) -> list[str]:
        """Return what makes a text findable by the searches that are measured."""
        marks = []
        if index % max(1, of // RARE_COUNT) == 0:
            marks.append(RARE)
        if index < of * OLD_UNTIL and dice.random() < OLD_SHARE:
            marks.append(OLD)
        if dice.random() < PHRASE_SHARE:
            marks.append(PHRASE)
        return marks


def _sample_devices(rows: list[dict[str, str]]) -> list[Device]:
    by_kind: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_kind.setdefault(row["title"].split()[0], []).append(row)
    kinds = sorted(by_kind.values(), key=len, reverse=True)
    return [
        Device(_distinct(row["title"] for row in kind), _distinct(row["description"] or "-" for row in kind))
        for kind in kinds
    ]


def _russian_device(name: str, faults: Sequence[str]) -> Device:
    titles = [f"{name} {brand} {fault}" for fault in faults for brand in _BRANDS]
    descriptions = [
        f"{name}: {fault}. {remark} {other}"
        for remark in _REMARKS
        for fault in faults
        for other in _REMARKS
        if other != remark
    ]
    return Device(titles, descriptions)


def _vocabulary(rows: list[dict[str, str]]) -> list[str]:
    counted = Counter(
        word
        for row in rows
        for word in (row["description"] or "").lower().split()
        if len(word) >= MIN_WORD and word.isalpha()
    )
    return [word for word, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
