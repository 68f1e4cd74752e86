// How one message, one file and one text that waits to be sent look.
function drawMessage(message, talk) {
  const { words } = talk.data;
  const node = make("article", "message");
  node.classList.toggle("mine", message.mine);
  node.classList.toggle("internal", message.internal);
  const head = make("header");
  head.append(make("b", "", message.author));
  if (message.role) head.append(make("span", "role", message.role));
  if (message.internal) head.append(make("span", "label", words.internal));
  node.append(head);
  if (message.parent) {
    const quote = make("blockquote");
    quote.append(make("b", "", message.parent.author), make("span", "", message.parent.text));
    node.append(quote);
  }
  if (message.withdrawn) node.append(make("p", "gone", words.taken_back));
  else if (message.text) node.append(make("p", "text", message.text));
  if (message.files.length) {
    const files = make("div", "files");
    files.append(...message.files.map((file) => drawFile(file, talk)));
    node.append(files);
  }
  const foot = make("footer");
  foot.append(make("time", "", message.edited ? `${message.at} · ${words.edited}` : message.at));
  if (message.number && !message.withdrawn && talk.data.writable) {
    // An answer may not be more public than what it answers.
    const internal = message.internal || talk.draft.internal;
    foot.append(button("link", words.reply, "", () => talk.begin({ parent: message.number, internal, text: talk.draft.edit ? "" : talk.draft.text })));
  }
  if (message.editable) {
    const { number, text } = message;
    foot.append(
      button("link", words.edit, "", () => talk.begin({ edit: number, text, internal: message.internal })),
      button("link", words.take_back, "", () => talk.takeBack(message))
    );
  }
  node.append(foot);
  return node;
}

function drawFile(file, talk) {
  const { words, place } = talk.data;
  const address = new URL(`talk/${place}/attachments/${file.id}`, document.baseURI).href;
  const found = make("span", "file");
  const link = make("a");
  link.href = address;
  link.download = file.name;
  link.title = `${file.name}, ${sizeWords(file.size, words)}`;
  if (file.thumb) {
    const picture = make("img");
    picture.src = `${address}?thumbnail=1`;
    picture.alt = file.name;
    picture.loading = "lazy";
    link.append(picture);
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      enlarge(address, file, talk);
    };
  } else {
    const name = make("span", "name", file.name);
    name.append(make("small", "", sizeWords(file.size, words)));
    link.append(icon("paper"), name);
  }
  found.append(link);
  if (file.mine) {
    const label = `${words.delete_file} ${file.name}`;
    found.append(button("icon remove", "×", label, () => talk.deleteFile(file)));
  }
  return found;
}

function enlarge(address, file, talk) {
  const window = make("dialog");
  const picture = make("img");
  picture.alt = file.name;
  picture.src = address;
  // Some browsers know no HEIC: the small picture is better than none.
  picture.onerror = () => {
    picture.onerror = null;
    picture.src = `${address}?thumbnail=1`;
  };
  const bar = make("div", "bar");
  const save = make("a", "", talk.data.words.download);
  save.href = address;
  save.download = file.name;
  bar.append(make("span", "name", file.name), save, button("icon", "×", talk.data.words.close, () => window.close()));
  window.append(picture, bar);
  window.onclick = (event) => event.target === window && window.close();
  window.onclose = () => window.remove();
  talk.root.append(window);
  window.showModal();
}

function drawWaiting(item, talk) {
  const { words } = talk.data;
  const node = make("article", "message mine waiting");
  node.classList.toggle("internal", Boolean(item.internal));
  if (item.text) node.append(make("p", "text", item.text));
  for (const file of item.files || []) node.append(preview(file, words));
  if (item.failed) {
    node.append(
      make("p", "wrong", problemWords(item.failed, talk.data)),
      button("link", words.edit, "", () => {
        talk.outbox = talk.outbox.filter((other) => other !== item);
        talk.files = item.files || [];
        talk.begin({ text: item.text, internal: item.internal });
        talk.drawPending();
      })
    );
  } else {
    const share = item.share ? ` ${Math.round(item.share * 100)} %` : "";
    node.append(make("small", "", item.done ? words.sent : words.sending + share));
  }
  return node;
}
