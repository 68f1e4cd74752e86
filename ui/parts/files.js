// Files from this machine or camera: chosen, looked at, and sent straight to the UI's own route.
const TYPES = ".jpg,.jpeg,.png,.webp,.heic,.heif,.pdf,.txt,.docx,.xlsx,.mp4,image/*";

function make(tag, kind = "", text = "") {
  const found = document.createElement(tag);
  if (kind) found.className = kind;
  if (text) found.textContent = text;
  return found;
}

const SHAPES = {
  clip: "M16.5 6v11.5a4 4 0 0 1-8 0V5a2.5 2.5 0 0 1 5 0v10.5a1 1 0 0 1-2 0V6H10v9.5a2.5 2.5 0 0 0 5 0V5a4 4 0 0 0-8 0v12.5a5.5 5.5 0 0 0 11 0V6z",
  camera: "M12 17.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM9 3 7.2 5H4a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V7a2 2 0 0 0-2-2h-3.2L15 3z",
  paper: "M6 2a2 2 0 0 0-2 2v16a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V8l-6-6zm7 7V3.5L18.5 9z",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const found = document.createElementNS(space, "svg");
  const shape = document.createElementNS(space, "path");
  found.setAttribute("viewBox", "0 0 24 24");
  found.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", SHAPES[name]);
  found.append(shape);
  return found;
}

function button(kind, text, label, act) {
  const found = make("button", kind, text);
  found.type = "button";
  if (label) {
    found.title = label;
    found.setAttribute("aria-label", label);
  }
  found.onclick = act;
  return found;
}

function sizeWords(bytes, words) {
  if (bytes < 1024 * 1024) return `${Math.max(1, Math.round(bytes / 1024))} ${words.kb}`;
  return `${(bytes / 1024 / 1024).toFixed(1)} ${words.mb}`;
}

// Choosing: a button for files, and a second one for the camera where there is a touch screen.
function chooser(words, take) {
  const row = make("span", "chooser");
  row.append(picker("attach", "clip", words.attach, { multiple: true, accept: TYPES }));
  if (matchMedia("(pointer: coarse)").matches) {
    row.append(picker("camera", "camera", words.camera, { accept: "image/*", capture: "environment" }));
  }
  return row;

  function picker(kind, sign, label, options) {
    const input = Object.assign(make("input"), { type: "file", hidden: true });
    input.multiple = Boolean(options.multiple);
    input.accept = options.accept;
    input.setAttribute("aria-label", label);
    if (options.capture) input.setAttribute("capture", options.capture);
    input.onchange = () => {
      take([...input.files]);
      input.value = "";
    };
    const holder = make("span", kind);
    const opener = button("icon", "", label, () => input.click());
    opener.append(icon(sign));
    holder.append(input, opener);
    return holder;
  }
}

// Dropping anywhere on an element.
function dropZone(element, take) {
  element.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    element.classList.add("dropping");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) element.classList.remove("dropping");
  });
  element.addEventListener("drop", (event) => {
    element.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}

// A chosen file with its picture; `remove` takes it out again.
function preview(file, words, remove) {
  const chip = make("span", "chip");
  if (file.type.startsWith("image/") && !/hei[cf]/.test(file.type)) {
    const picture = make("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    picture.onload = () => URL.revokeObjectURL(picture.src);
    picture.onerror = () => picture.replaceWith(icon("paper"));
    chip.append(picture);
  } else {
    chip.append(icon("paper"));
  }
  const name = make("span", "name", file.name);
  name.append(make("small", "", sizeWords(file.size, words)));
  chip.append(name);
  if (remove) chip.append(button("icon remove", "×", `${words.remove_file}: ${file.name}`, remove));
  return chip;
}

function whyNot(file, data) {
  if (file.size > data.largest) return "file_too_large";
  return file.size ? "" : "file_empty";
}

// Send one file; the answer is {ok} or {code}, a code that `data.words.problems` knows or not.
function sendFile(url, file, fields, progress) {
  return new Promise((resolve) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file, file.name);
    const call = new XMLHttpRequest();
    call.open("POST", new URL(url, document.baseURI));
    call.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    call.onload = () => resolve(call.status < 300 ? { ok: true } : { code: codeOf(call.responseText) });
    call.onerror = () => resolve({ code: "unreachable" });
    call.send(form);
  });
}

function codeOf(text) {
  try {
    return JSON.parse(text).code || "error";
  } catch {
    return "error";
  }
}

function problemWords(code, data) {
  return data.words.problems[code] || data.words.problems.error;
}
