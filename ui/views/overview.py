"""What the desk sees first: how much there is of what, and who has how much to do."""

from datetime import date, timedelta

import altair as alt
import streamlit as st

from ui import places
from ui.client import Json
from ui.moves import person
from ui.session import api
from ui.views.new_ticket import new_ticket_button
from ui.widgets import OPEN, empty, guarded, midnight, now, plain, t

DAYS = 14
MARKED_DAYS = 40


def page() -> None:
    """Draw the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(t("page_overview"))
        st.space("stretch")
        new_ticket_button()
    guarded(figures)()


def figures() -> None:
    """Draw the counts and the plots."""
    present = api().stats()
    today = api().stats(**{"from": midnight().isoformat()})
    lately = api().stats(**{"from": midnight(DAYS - 1).isoformat()})
    _counts(present, today)
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.subheader(t("created_and_done"))
        per_day(lately.get("per_day", []), midnight(DAYS - 1).date(), now().date())
    with right, st.container(border=True):
        st.subheader(t("load"))
        _load(present.get("per_worker", []))


def _counts(present: Json, today: Json) -> None:
    by_status = present.get("by_status", {})
    tiles: list[tuple[str, int, Json]] = [
        (t(f"count_{status}"), by_status.get(status, 0), {"status": [status]}) for status in OPEN
    ]
    tiles.append((t("overdue"), present.get("overdue", 0), {"overdue": "yes"}))
    tiles.append((t("done_today"), today.get("done", 0), {"status": ["done"], "sort": "-updated_at"}))
    with st.grid(min_column_width=128, gap="small"):
        for i, (label, number, filters) in enumerate(tiles):
            with st.container(border=True, key=f"tile-{i}", gap="xxsmall"):
                st.metric(label, number)
                places.link("tickets", t("open_list"), icon=":material/arrow_forward:", **filters)


def per_day(rows: list[Json], first: date, last: date) -> None:
    """Draw how many came and how many were finished, day by day; days without any are zero, not missing."""
    found = {row["day"][:10]: row for row in rows}
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    lines = [
        {"day": day.isoformat(), "kind": t(f"chart_{kind}"), "n": found.get(day.isoformat(), {}).get(kind, 0)}
        for day in span
        for kind in ("created", "done")
    ]
    if not any(line["n"] for line in lines):
        empty("no_figures")
        return
    chart = (
        alt.Chart(alt.InlineData(values=lines))
        .mark_line(point=len(span) <= MARKED_DAYS, strokeWidth=2)
        .encode(
            x=alt.X(
                "day:T",
                title=None,
                axis=alt.Axis(format="%d.%m", tickCount="day" if len(span) <= DAYS else 10),
            ),
            y=alt.Y("n:Q", title=None, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "kind:N",
                title=None,
                sort=[t("chart_created"), t("chart_done")],
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                alt.Tooltip("day:T", title=t("day"), format="%d.%m.%Y"),
                alt.Tooltip("kind:N", title=" "),
                alt.Tooltip("n:Q", title=t("number")),
            ],
        )
        .properties(height=240)
    )
    st.altair_chart(chart, alt=t("created_and_done"))


def _load(rows: list[Json]) -> None:
    busy = sorted((row for row in rows if row.get("worker")), key=lambda row: -row.get("open", 0))
    if not busy:
        empty("no_workers_yet")
        return
    most = max(row.get("open", 0) for row in busy) or 1
    for row in busy[:8]:
        late = row.get("overdue", 0)
        words = t("load_row", open=row.get("open", 0), in_progress=row.get("in_progress", 0))
        label = f"{plain(person(row['worker']))} · {words}" + (
            f" · :red[{t('overdue_n', n=late)}]" if late else ""
        )
        st.progress(row.get("open", 0) / most, text=label)
