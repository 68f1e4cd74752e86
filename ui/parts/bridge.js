// What only the browser can do for the pages: call the cookie route, remember the language, hear other tabs.
const done = new Set();
const tabs = new BroadcastChannel("crm-session");

export default function ({ data, setTriggerValue }) {
  tabs.onmessage = () => setTriggerValue("ended", Date.now());

  document.documentElement.lang = data.language;
  if (data.chosen) {
    document.cookie = `crm_language=${data.chosen}; path=/; max-age=31536000; samesite=strict`;
  }

  const call = data.call;
  if (!call || done.has(call.id)) return;
  done.add(call.id);
  fetch("session", { method: call.method, body: call.code, credentials: "same-origin" })
    .then((answer) => answer.ok, () => false)
    .then((ok) => {
      if (call.method === "DELETE") tabs.postMessage("ended");
      setTriggerValue("answered", { id: call.id, ok });
    });
}
