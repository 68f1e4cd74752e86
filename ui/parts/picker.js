// Files beside a form: chosen before the request exists, sent under its code once it does.
const chosen = (globalThis.crmChosen ??= []);

class Picker {
  constructor(root, data) {
    Object.assign(this, { root, data, refusals: [], rows: [] });
    dropZone(root, (files) => this.take(files));
    this.draw();
    if (data.place) this.sendAll();
  }

  take(files) {
    this.refusals = [];
    for (const file of files) {
      const why = chosen.length < this.data.most ? whyNot(file, this.data) : "file_too_many";
      if (why) this.refusals.push(`${file.name}: ${problemWords(why, this.data)}`);
      else chosen.push(file);
    }
    this.draw();
    if (this.data.place) this.sendAll();
  }

  draw() {
    const { words, place } = this.data;
    const zone = make("div", "zone");
    zone.append(chooser(words, (files) => this.take(files)), make("span", "", words.files_hint));
    const chips = make("div", "chips");
    if (!place) {
      for (const file of chosen) {
        chips.append(
          preview(file, words, () => {
            chosen.splice(chosen.indexOf(file), 1);
            this.draw();
          })
        );
      }
    }
    const wrong = make("div", "wrong");
    wrong.setAttribute("role", "alert");
    wrong.append(...this.refusals.map((line) => make("p", "", line)));
    this.status = make("div", "sent");
    this.status.setAttribute("aria-live", "polite");
    this.status.append(...this.rows);
    this.root.replaceChildren(zone, chips, this.status, wrong);
  }

  async sendAll() {
    if (this.sending) return;
    this.sending = true;
    while (chosen.length) {
      const file = chosen[0];
      const row = preview(file, this.data.words);
      const bar = make("progress");
      bar.max = 1;
      bar.value = 0;
      row.append(bar);
      this.rows.push(row);
      this.draw();
      const url = `talk/${this.data.place}/attachments`;
      const answer = await sendFile(url, file, {}, (share) => (bar.value = share));
      chosen.shift();
      bar.remove();
      row.append(
        answer.ok
          ? make("span", "well", `✓ ${this.data.words.file_sent}`)
          : make("span", "wrong", problemWords(answer.code, this.data))
      );
      if (answer.code === "unreachable" || answer.code === "rate_limited") {
        const again = button("link", this.data.words.again, "", () => {
          this.rows = this.rows.filter((other) => other !== row);
          chosen.push(file);
          this.draw();
          this.sendAll();
        });
        row.append(again);
      }
    }
    this.sending = false;
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".picker");
  if (!root.picker || root.picker.data.place !== data.place) root.picker = new Picker(root, data);
}
