// A conversation. Text from people is only ever set as text, never as HTML.
class Talk {
  constructor(root, data, tell) {
    Object.assign(this, { root, data, tell, nodes: new Map(), looking: new Map(), kinds: new Set() });
    // The newest comment that was heard of, and the newest event that changes the whole page.
    Object.assign(this, { heard: 0, page: 0 });
    this.kept = `crm-talk:${data.place}`;
    this.draft = { text: "", internal: false, parent: null, edit: null, ...this.restored() };
    this.outbox = this.draft.outbox || [];
    this.files = [];
    this.refusals = [];
    this.build();
    this.live = new Live(data.place, (message) => this.hear(message));
    this.clock = setInterval(() => this.live.check(), 10000);
    this.onshow = () => document.visibilityState === "visible" && this.kinds.size && this.refresh();
    document.addEventListener("visibilitychange", this.onshow);
    this.work();
  }

  leave() {
    clearInterval(this.clock);
    clearTimeout(this.again);
    clearTimeout(this.dead);
    document.removeEventListener("visibilitychange", this.onshow);
    this.live.close();
  }

  restored() {
    try {
      return JSON.parse(sessionStorage.getItem(this.kept)) || {};
    } catch {
      return {};
    }
  }

  keep() {
    const outbox = this.outbox.map(({ files, ...item }) => item);
    sessionStorage.setItem(this.kept, JSON.stringify({ ...this.draft, outbox }));
  }

  // --- what is on the screen

  build() {
    this.list = make("div", "list");
    this.list.setAttribute("role", "log");
    this.list.setAttribute("aria-label", this.data.words.title);
    this.older = button("older", "", "", () => this.tell("older", this.data.messages.length));
    this.pending = make("div", "pending");
    this.scroller = make("div", "scroller");
    this.scroller.tabIndex = 0;
    this.scroller.append(this.older, this.list, this.pending);
    this.around = make("div", "around");
    this.around.setAttribute("aria-live", "polite");
    this.shelf = make("div", "shelf");
    this.composer = this.buildComposer();
    this.root.replaceChildren(this.shelf, this.scroller, this.around, this.composer);
    dropZone(this.root, (files) => this.choose(files));
  }

  buildComposer() {
    const { words } = this.data;
    const form = make("form", "composer");
    this.about = make("div", "about");
    this.field = make("textarea");
    this.field.rows = 2;
    this.field.maxLength = 10000;
    this.field.setAttribute("aria-label", words.placeholder);
    this.field.value = this.draft.text;
    this.field.oninput = () => {
      this.draft.text = this.field.value;
      this.keep();
      this.grow();
      if (this.field.value && !this.draft.internal) this.live.typing();
    };
    this.field.onkeydown = (event) => {
      const enter = event.key === "Enter" && !event.isComposing && !event.shiftKey;
      if (enter && (event.ctrlKey || event.metaKey || !matchMedia("(pointer: coarse)").matches)) {
        event.preventDefault();
        this.submit();
      }
      if (event.key === "Escape") this.begin();
      event.stopPropagation(); // keys of the page are no keys of a text
    };
    this.field.onpaste = (event) => {
      if (event.clipboardData.files.length) this.choose([...event.clipboardData.files]);
    };
    this.chips = make("div", "chips");
    this.wrong = make("div", "wrong");
    this.wrong.setAttribute("role", "alert");
    const bar = make("div", "bar");
    this.who = make("div", "who");
    this.send = button("send", words.send, "", () => this.submit());
    this.send.type = "submit";
    form.onsubmit = (event) => {
      event.preventDefault();
      this.submit();
    };
    this.chooser = chooser(words, (files) => this.choose(files));
    bar.append(this.chooser, this.who, this.send);
    form.append(this.about, this.field, this.chips, this.wrong, bar);
    return form;
  }

  update(data, tell) {
    const { scroller } = this;
    const low = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    const below = scroller.scrollHeight - scroller.scrollTop;
    const first = this.nodes.size ? this.data.messages[0]?.id : undefined;
    Object.assign(this, { data, tell });
    clearTimeout(this.dead);
    this.drawMessages();
    this.drawShelf();
    this.drawPending();
    this.drawComposer();
    this.drawAround();
    if (first !== undefined && data.messages[0]?.id !== first && !low) {
      scroller.scrollTop = scroller.scrollHeight - below; // older ones came in above
    } else if (low || first === undefined) {
      scroller.scrollTop = scroller.scrollHeight;
    }
    this.expect();
  }

  drawMessages() {
    const { words, messages } = this.data;
    this.older.textContent = words.older;
    this.older.hidden = !this.data.more;
    const wanted = [];
    for (const message of messages) {
      const written = JSON.stringify(message);
      let node = this.nodes.get(message.id);
      if (node?.written !== written) {
        node = drawMessage(message, this);
        node.written = written;
        this.nodes.set(message.id, node);
      }
      wanted.push(node);
    }
    for (const id of this.nodes.keys()) {
      if (!messages.some((message) => message.id === id)) this.nodes.delete(id);
    }
    if (!wanted.length) wanted.push(make("p", "nobody", words.nothing));
    this.list.replaceChildren(...wanted);
  }

  drawShelf() {
    const written = JSON.stringify(this.data.files);
    if (this.shelf.written === written) return;
    this.shelf.written = written;
    this.shelf.replaceChildren(...this.data.files.map((file) => drawFile(file, this)));
    this.shelf.hidden = !this.data.files.length;
  }

  drawPending() {
    const there = new Set(this.data.messages.map((message) => message.number));
    this.outbox = this.outbox.filter((item) => !(item.done && (item.id === null || there.has(item.id))));
    this.pending.replaceChildren(...this.outbox.map((item) => drawWaiting(item, this)));
  }

  drawComposer() {
    const { words, staff } = this.data;
    const { internal, parent, edit } = this.draft;
    this.composer.hidden = !this.data.writable;
    this.composer.classList.toggle("internal", internal);
    this.field.placeholder = internal ? words.placeholder_internal : words.placeholder;
    this.send.textContent = edit ? words.save : words.send;
    this.chooser.hidden = Boolean(edit);
    const about = this.data.messages.find((message) => message.number === (edit || parent));
    this.about.hidden = !(edit || parent);
    this.about.replaceChildren(
      make("span", "", edit ? words.editing : `${words.reply_to} ${about?.author || ""}`),
      button("icon", "×", words.never_mind, () => this.begin())
    );
    const choices = [];
    if (staff && !edit) {
      for (const [value, label] of [[false, words.to_everybody], [true, words.to_team]]) {
        const one = button("choice", label, "", () => {
          this.draft.internal = value;
          this.keep();
          this.drawComposer();
          this.field.focus();
        });
        one.setAttribute("aria-pressed", String(internal === value));
        choices.push(one);
      }
    }
    choices.push(make("small", "", internal ? words.read_by_team : words.read_by_all));
    this.who.replaceChildren(...choices);
    this.chips.replaceChildren(
      ...this.files.map((file) =>
        preview(file, words, () => {
          this.files = this.files.filter((other) => other !== file);
          this.drawComposer();
        })
      )
    );
    this.wrong.replaceChildren(...this.refusals.map((line) => make("p", "", line)));
    this.grow();
  }

  drawAround() {
    const { words } = this.data;
    const lines = [];
    if (this.over) lines.push(words.over);
    else if (this.away || this.data.failed) lines.push(words.away);
    const names = [...this.looking.values()];
    if (names.length) lines.push(words.looking.replace("{who}", names.join(", ")));
    if (this.typist) lines.push(words.typing.replace("{who}", this.typist));
    this.around.textContent = lines.join(" · ");
    this.around.classList.toggle("away", Boolean(this.away || this.over || this.data.failed));
  }

  grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight + 2, 220)}px`;
  }

  // --- what a person does

  begin(draft = {}) {
    // What was typed before an edit comes back after it.
    const aside = draft.edit ? this.draft.aside || this.draft.text : undefined;
    const text = this.draft.edit && !draft.edit ? this.draft.aside : "";
    this.draft = { text: text || "", internal: this.draft.internal, parent: null, edit: null, aside, ...draft };
    this.field.value = this.draft.text;
    this.refusals = [];
    this.keep();
    this.drawComposer();
    this.field.focus();
  }

  choose(files) {
    this.refusals = [];
    for (const file of files) {
      const why = this.files.length < this.data.most ? whyNot(file, this.data) : "file_too_many";
      if (why) this.refusals.push(`${file.name}: ${problemWords(why, this.data)}`);
      else this.files.push(file);
    }
    this.drawComposer();
  }

  async submit() {
    const text = this.field.value.trim();
    if (this.draft.edit) {
      if (text) await this.change("PATCH", this.draft.edit, { text });
      return;
    }
    if (!text && !this.files.length) return;
    const { internal, parent } = this.draft;
    const key = crypto.randomUUID?.() || `${Date.now()}-${Math.random()}`;
    this.outbox.push({ key, text, internal: internal && this.data.staff, parent, files: this.files });
    this.files = [];
    this.begin();
    this.drawPending();
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.work();
  }

  async change(method, number, body) {
    const answer = await call(`talk/${this.data.place}/comments/${number}`, method, body);
    if (answer.code) this.refusals = [problemWords(answer.code, this.data)];
    else this.begin();
    this.drawComposer();
    this.refresh("comment");
  }

  takeBack(message) {
    if (confirm(this.data.words.take_back_sure)) this.change("DELETE", message.number);
  }

  async deleteFile(file) {
    if (!confirm(`${this.data.words.delete_file} ${file.name}?`)) return;
    const answer = await call(`talk/${this.data.place}/attachments/${file.id}`, "DELETE");
    this.refusals = answer.code ? [problemWords(answer.code, this.data)] : [];
    this.drawComposer();
    this.refresh("attachment");
  }

  // Send what waits, in order, each under its key: an answer that was lost makes no second message.
  async work() {
    if (this.working) return;
    this.working = true;
    for (const item of [...this.outbox]) {
      if (item.done || item.failed) continue;
      const answer = await this.deliver(item);
      if (answer.later) {
        clearTimeout(this.again);
        this.again = setTimeout(() => this.work(), 1500);
        break;
      }
      if (answer.code) item.failed = answer.code;
      else Object.assign(item, { done: true, id: answer.id ?? null });
      this.keep();
      this.refresh("comment");
      this.drawPending();
    }
    this.working = false;
    this.keep();
    if (this.outbox.some((item) => !item.done && !item.failed) && !this.again) this.work();
    this.again = null;
  }

  async deliver(item) {
    let id = item.id;
    if (item.text && !id) {
      const body = { text: item.text, visibility: item.internal ? "internal" : "public", parent_id: item.parent };
      if (this.data.by_code) delete body.visibility;
      const answer = await call(`talk/${this.data.place}/comments`, "POST", body, item.key);
      if (answer.status >= 500 || answer.status === 429 || !answer.status) return { later: true };
      if (answer.code) return answer;
      id = item.id = answer.id;
    }
    const fields = id ? { comment_id: id } : {};
    for (const file of [...(item.files || [])]) {
      const answer = await sendFile(`talk/${this.data.place}/attachments`, file, fields, (share) => {
        item.share = share;
        this.drawPending();
      });
      if (answer.code) this.refusals.push(`${file.name}: ${problemWords(answer.code, this.data)}`);
      item.files = item.files.filter((other) => other !== file);
    }
    this.drawComposer();
    return { id };
  }

  // --- what others do

  hear(message) {
    const who = message.who?.name || this.data.words.roles[message.who?.role];
    if (message.type === "typing") {
      this.typist = who;
      clearTimeout(this.typistGone);
      this.typistGone = setTimeout(() => {
        this.typist = "";
        this.drawAround();
      }, 4000);
    } else if (message.type === "presence") {
      if (message.state === "gone") this.looking.delete(message.who.id);
      else if (message.who.id !== this.data.me) this.looking.set(message.who.id, who);
    } else if (message.type === "reborn") {
      // The page comes back by itself, as a rule; one that does not is dead, and is loaded anew.
      clearTimeout(this.dead);
      this.dead = setTimeout(() => this.root.isConnected && location.reload(), 6000);
    } else if (message.type === "lost") {
      this.away = true;
      this.looking.clear();
    } else if (message.type === "over") {
      this.over = true;
      this.refresh("over");
    } else if (message.type === "ready") {
      this.away = false;
      this.refresh("comment"); // what was said between drawing the page and now
      this.work();
    } else if (message.type !== "ping" && message.event_id) {
      if (message.type === "comment") {
        this.heard = Math.max(this.heard, message.subject_id);
        this.typist = "";
      }
      if (!this.data.quiet.includes(message.type)) this.page = message.event_id;
      this.refresh(message.type);
    }
    this.drawAround();
  }

  // Ask for the page's part anew, once for many events; a tab nobody looks at waits until somebody does.
  refresh(kind) {
    if (kind) this.kinds.add(kind);
    if (document.visibilityState !== "visible" || this.asking) return;
    this.asking = setTimeout(() => {
      this.asking = null;
      // A whole new page would close the dialog that somebody is writing in: that waits.
      const busy = document.querySelector('[role="dialog"]') !== null;
      const over = this.kinds.has("over");
      this.kinds.clear();
      this.tell("heard", { page: busy ? 0 : this.page, over: over && !busy, at: Date.now() });
      this.expect();
    }, 40);
  }

  // What was heard of, or sent, must come: a run that failed, or was overtaken, is asked for again.
  expect() {
    const newest = Math.max(0, ...this.data.messages.map((message) => message.number || 0));
    const waiting = this.outbox.some((item) => item.done && item.id);
    const old = this.data.drawn < this.page;
    clearTimeout(this.expecting);
    if (newest < this.heard || waiting || old || this.data.failed) {
      this.expecting = setTimeout(() => this.root.isConnected && this.refresh("comment"), 1000);
    }
  }
}

async function call(url, method, body, key) {
  try {
    const headers = { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) };
    const sent = { method, headers, credentials: "same-origin" };
    if (body) sent.body = JSON.stringify(body);
    const answer = await fetch(new URL(url, document.baseURI), sent);
    const text = await answer.text();
    if (answer.ok) return { status: answer.status, id: text ? JSON.parse(text).id : null };
    return { status: answer.status, code: codeOf(text) };
  } catch {
    return { status: 0, code: "unreachable" };
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".talk");
  if (root.talk && root.talk.data.place !== data.place) {
    root.talk.leave();
    root.talk = null;
  }
  root.talk ??= new Talk(root, data, setTriggerValue);
  root.talk.update(data, setTriggerValue);
  // Also called between two drawings of the same element, which is no farewell.
  return () => setTimeout(() => root.isConnected || root.talk?.leave(), 300);
}
