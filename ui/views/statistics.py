"""Figures of a period, for all or one worker."""

from datetime import date, datetime, time, timedelta

import altair as alt
import streamlit as st

from ui import places
from ui.address import Address
from ui.client import Json
from ui.listing import Cell, Column, Row, listing
from ui.moves import person, workers
from ui.session import api
from ui.views.overview import per_day
from ui.widgets import PRIORITIES, STATUSES, empty, guarded, now, t, took, zone

PERIODS = {"week": 7, "month": 30, "quarter": 91, "year": 365}
CHOSEN = "chosen"


def page() -> None:
    """Draw the page."""
    st.title(t("page_statistics"))
    guarded(figures)()


def figures() -> None:
    """Draw the figures of the chosen period."""
    people = {str(worker["id"]): person(worker) for worker in workers()}
    address = Address(
        "statistics",
        {"period": "one", "worker": "one"},
        {"period": [*PERIODS, CHOSEN], "worker": list(people)},
        {"period": "month"},
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            t("period"),
            [*PERIODS, CHOSEN],
            key=address.key("period"),
            required=True,
            format_func=lambda one: t(f"period_{one}"),
        )
        first, last = _period(address.get("period"))
        st.selectbox(
            t("worker"),
            list(people),
            key=address.key("worker"),
            index=None,
            width=240,
            format_func=lambda id_: people[id_],
            placeholder=t("any_worker"),
        )
    address.write()
    query = {
        "from": _start(first),
        "to": _start(last + timedelta(days=1)),
        "worker_id": address.get("worker"),
    }
    found = api().stats(**query)
    _numbers(found)
    with st.container(border=True):
        st.subheader(t("created_and_done"))
        per_day(found.get("per_day", []), first, last)
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.subheader(t("by_status"))
        _bars([(t(f"status_{one}"), found.get("by_status", {}).get(one, 0)) for one in STATUSES])
    with right, st.container(border=True):
        st.subheader(t("by_priority"))
        _bars([(t(f"priority_{one}"), found.get("by_priority", {}).get(one, 0)) for one in PRIORITIES])
    st.subheader(t("workers"))
    _workers(found.get("per_worker", []))


def _period(name: str) -> tuple[date, date]:
    today = now().date()
    if name != CHOSEN:
        return today - timedelta(days=PERIODS[name] - 1), today
    chosen = st.date_input(
        t("period_days"),
        value=(today - timedelta(days=29), today),
        max_value=today,
        format="DD.MM.YYYY",
        key="statistics-days",
        width=260,
    )
    # While only the first day is picked, the period ends today.
    days = [*chosen, today]
    return days[0], days[1] if len(days) > 1 else today


def _start(day: date) -> str:
    return datetime.combine(day, time(), tzinfo=zone()).isoformat()


def _numbers(found: Json) -> None:
    tiles = [
        (t("chart_created"), str(found.get("created", 0)), ""),
        (t("chart_done"), str(found.get("done", 0)), ""),
        (t("open_now"), str(found.get("open", 0)), ""),
        (t("overdue"), str(found.get("overdue", 0)), ""),
    ]
    for key in ("assign", "start", "done"):
        times = found.get(f"seconds_to_{key}") or {}
        tiles.append(
            (t(f"time_to_{key}"), took(times.get("median")), t("nine_of_ten", time=took(times.get("p90"))))
        )
    with st.grid(min_column_width=160, gap="small"):
        for label, value, note in tiles:
            with st.container(border=True, gap="xxsmall"):
                st.metric(label, value, help=t("median_help") if note else None)
                if note:
                    st.caption(note)


def _bars(rows: list[tuple[str, int]]) -> None:
    if not any(number for _, number in rows):
        st.caption(t("no_figures"))
        return
    table = alt.InlineData(values=[{"kind": kind, "n": number} for kind, number in rows])
    base = alt.Chart(table).encode(
        y=alt.Y("kind:N", title=None, sort=None),
        x=alt.X("n:Q", title=None, axis=alt.Axis(tickMinStep=1)),
        tooltip=[alt.Tooltip("kind:N", title=" "), alt.Tooltip("n:Q", title=t("number"))],
    )
    st.altair_chart(base.mark_bar(cornerRadiusEnd=3).properties(height=34 * len(rows)), alt=t("number"))


def _workers(rows: list[Json]) -> None:
    shown = [row for row in rows if row.get("worker")]
    if not shown:
        empty("no_workers_yet")
        return
    headings = [
        Column(t("worker")),
        Column(t("open_now"), tight=True),
        Column(t("status_in_progress"), tight=True),
        Column(t("status_done"), tight=True),
        Column(t("time_to_done"), tight=True),
        Column(t("overdue"), tight=True),
    ]
    lines = [
        Row(
            row["worker"]["id"],
            [
                Cell(person(row["worker"])),
                Cell(str(row.get("open", 0))),
                Cell(str(row.get("in_progress", 0))),
                Cell(str(row.get("done", 0))),
                Cell(took(row.get("median_seconds_to_done"))),
                Cell(str(row.get("overdue", 0))),
            ],
            places.url("tickets", worker=row["worker"]["id"]),
        )
        for row in shown
    ]
    listing("statistics-workers", t("workers"), headings, lines, lambda id_: places.go("tickets", worker=id_))
