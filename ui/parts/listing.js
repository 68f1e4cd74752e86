// A list: a table where there is room, cards on a phone. Text is only ever set as text, never as HTML.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".listing");
  const table = make("table");
  table.setAttribute("aria-label", data.label);
  table.append(head(), body());
  root.replaceChildren(table);

  function head() {
    const row = make("tr");
    for (const column of data.columns) {
      const cell = make("th", column.tight ? "tight" : "");
      cell.scope = "col";
      if (column.sort) cell.append(sorter(column, cell));
      else cell.textContent = column.label;
      row.append(cell);
    }
    const found = make("thead");
    found.append(row);
    return found;
  }

  function sorter(column, cell) {
    const button = make("button");
    const down = data.sort === `-${column.sort}`;
    const up = data.sort === column.sort;
    button.type = "button";
    button.textContent = column.label + (up ? " ↑" : down ? " ↓" : "");
    if (up || down) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
    button.onclick = () => setTriggerValue("sorted", down ? column.sort : `-${column.sort}`);
    return button;
  }

  function body() {
    const found = make("tbody");
    for (const row of data.rows) {
      const line = make("tr", row.unread ? "unread" : "");
      row.cells.forEach((cell, i) => line.append(drawn(cell, data.columns[i], row, i === 0)));
      if (row.id != null) {
        line.classList.add("open");
        line.onclick = (event) => {
          if (event.target.closest("a") && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
          if (event.target.closest("a[data-foreign]") || String(getSelection())) return;
          event.preventDefault();
          setTriggerValue("opened", row.id);
        };
      }
      found.append(line);
    }
    return found;
  }

  function drawn(cell, column, row, first) {
    const found = make("td", (column.tight ? "tight" : "") + (cell.tone ? " toned" : ""));
    found.dataset.label = column.label;
    if (!cell.text && !cell.note) found.classList.add("none");
    const text = first && row.href ? make("a") : make("span", cell.tone ? `tone ${cell.tone}` : "");
    if (first && row.href) text.href = row.href;
    text.textContent = cell.text;
    found.append(text);
    if (cell.note) {
      const note = make("small", cell.alarm ? "alarm" : "");
      note.textContent = cell.note;
      found.append(note);
    }
    return found;
  }

  function make(tag, kind = "") {
    const found = document.createElement(tag);
    if (kind) found.className = kind;
    return found;
  }
}
