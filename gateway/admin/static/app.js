// What all pages share: the token, asking the gateway, watching its stream, and putting values into tables. Every text
// is set as text; nothing here turns text into HTML, and the page's policy would not let it.

const TOKEN = "gateway-admin-token", PATIENCE = 5000, SHORTEST = 1000, LONGEST = 15000;

export const at = (id) => document.getElementById(id);
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// -- the token: in this tab's storage. A cookie would be sent to every port of this host, also to services behind us.

const stored = () => sessionStorage.getItem(TOKEN);
// A header is bytes: those of the token in UTF-8.
const bearer = () => `Bearer ${String.fromCharCode(...new TextEncoder().encode(stored()))}`;
let signing = null;

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

function signIn(why = "") {
  signing ??= new Promise((done) => {
    const dialog = at("sign-in"), form = dialog.querySelector("form");
    at("sign-in-error").textContent = why;
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, at("token").value.trim());
      at("token").value = "";
      signing = null;
      dialog.close();
      at("sign-out").hidden = false;
      done();
    };
    dialog.onclose = () => { if (signing) dialog.showModal(); };  // there is nothing behind it to go back to
    dialog.showModal();
  });
  return signing;
}

at("sign-out").hidden = stored() === null;
at("sign-out").addEventListener("click", () => { sessionStorage.removeItem(TOKEN); location.reload(); });

export async function send(path, options = {}) {
  for (let why = ""; ;) {
    if (document.documentElement.dataset.token === "needed" && (why || stored() === null)) await signIn(why);
    const token = stored();
    const headers = {...options.headers, ...(token !== null && {Authorization: bearer()})};
    const response = await fetch(path, {...options, headers, cache: "no-store", redirect: "error"});
    if (response.status !== 401) return response;
    why = "This is not the token. Try again.";
    if (stored() === token) sessionStorage.removeItem(TOKEN);
    else why = "";  // another request asked for it meanwhile
  }
}

export async function ask(path, options) {
  const response = await send(path, options);
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Refused(response.status, said.problems?.join("; ") ?? said.error ?? `the gateway answered ${response.status}`);
}

export const order = (path, body) => ask(path, {
  method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json", "Gateway-Admin": "1"}});

// A fragment of HTML of the gateway's own drawing, as elements. XMLHttpRequest parses it into a document without scripts.
export function figures(path, body) {
  return new Promise((done, failed) => {
    const asked = new XMLHttpRequest();
    asked.open(body ? "POST" : "GET", path);
    asked.responseType = "document";
    if (stored() !== null) asked.setRequestHeader("Authorization", bearer());
    if (body) { asked.setRequestHeader("Gateway-Admin", "1"); asked.setRequestHeader("Content-Type", "application/json"); }
    asked.onload = () => asked.status === 200 && asked.response
      ? done([...asked.response.querySelectorAll("figure")].map((one) => document.importNode(one, true)))
      : failed(new Refused(asked.status, "the plots could not be drawn"));
    asked.onerror = () => failed(new Error("the gateway cannot be reached"));
    asked.send(body ? JSON.stringify(body) : null);
  });
}

// -- the stream -----------------------------------------------------------------------------------------------------

function state(kind, text) {
  if (at("state").textContent !== text) at("state").textContent = text;
  at("state").dataset.kind = kind;
}

function shown(overview) {
  if (overview.error) state("bad", overview.error);
  else if (overview.draining) state("warn", "draining");
  else if (overview.reload.failure) state("warn", "serving; last reload failed");
  else if (overview.workers) state(...machine(overview.workers));
  else state("good", overview.detail);
}

function machine(workers) {
  const ready = workers.filter((one) => one.state === "ready").length;
  return [ready === workers.length ? "good" : ready ? "warn" : "bad", `serving; ${ready} of ${workers.length} workers ready`];
}

let since = null;
function lost(why) {
  since ??= new Date();
  const text = `Connection lost since ${since.toLocaleTimeString()}: ${why}. What you see is of then; trying again.`;
  if (at("lost").textContent !== text) at("lost").textContent = text;
  at("lost").hidden = false;
  state("bad", "connection lost");
  document.body.dataset.stale = "yes";
}

function found() {
  since = null;
  at("lost").hidden = true;
  at("lost").textContent = "";
  delete document.body.dataset.stale;
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

const visible = () => document.hidden
  ? new Promise((done) => document.addEventListener("visibilitychange", done, {once: true})).then(visible) : null;

async function listen(onOverview) {
  const control = new AbortController();
  let timer = setTimeout(() => control.abort(), 2 * PATIENCE);
  const left = () => { if (document.hidden) control.abort(); };
  document.addEventListener("visibilitychange", left);
  try {
    const response = await send("./api/stream", {signal: control.signal});
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `it answered ${response.status}`);
    for await (const overview of events(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), PATIENCE);
      found();
      shown(overview);
      onOverview(overview);
    }
    throw new Error("the gateway ended it");
  } finally {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", left);
    control.abort();
  }
}

// Watches for as long as the page is open; not while nobody can see it.
export async function watch(onOverview = () => {}) {
  for (let wait = SHORTEST; ; wait = Math.min(wait * 1.6, LONGEST)) {
    await visible();
    try {
      await listen((overview) => { wait = SHORTEST; onOverview(overview); });
    } catch (error) {
      if (document.hidden) continue;
      lost(error.name === "AbortError" ? "nothing was heard for some seconds"
        : error instanceof TypeError ? "the gateway cannot be reached" : error.message);
      await pause(wait * (0.75 + Math.random() / 2));
    }
  }
}

// -- values ---------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
export const count = (n) => n === null || n === undefined ? "-" : whole.format(n);
export const rate = (n) => n >= 100 ? whole.format(n) : n > 0 && n < 0.1 ? n.toFixed(2) : (n ?? 0).toFixed(1);
export const share = (n) => n === null || n === undefined ? "-" : `${(n * 100).toFixed(1)} %`;
export const bytes = (n) => n === null || n === undefined ? "-" : `${whole.format(n / 2 ** 20)} MiB`;
export function seconds(n) {
  if (n === null || n === undefined) return "-";
  if (n === 0) return "0 s";
  if (n < 0.001) return `${(n * 1e6).toFixed(0)} µs`;
  if (n < 1) return `${(n * 1e3).toFixed(n < 0.01 ? 2 : n < 0.1 ? 1 : 0)} ms`;
  if (n < 60) return `${n.toFixed(1)} s`;
  if (n < 3600) return `${Math.floor(n / 60)} min ${String(Math.floor(n % 60)).padStart(2, "0")} s`;
  return `${whole.format(n / 3600)} h ${String(Math.floor(n / 60) % 60).padStart(2, "0")} min`;
}

// One row an item, found again by its key: what has the focus keeps it. `make` fills a new row, `fill` every one.
export function table(body, items, key, make, fill) {
  const rows = new Map([...body.children].map((row) => [row.dataset.key, row])), names = new Set(items.map(key));
  for (const [name, row] of rows) if (!names.has(name)) { row.remove(); rows.delete(name); }  // first: who is moved loses the focus
  let place = body.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let row = rows.get(name);
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = name;
      make(row, item);
    }
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
    fill(row, item);
  }
}

// Cells of a row by description: [text, class]; the first is the row's title.
export function cells(row, values) {
  values.forEach(([text, kind = ""], place) => {
    const cell = row.children[place] ?? row.appendChild(document.createElement(place ? "td" : "th"));
    if (!place) cell.scope = "row";
    if (cell.className !== kind) cell.className = kind;
    if (cell.textContent !== text) cell.textContent = text;
  });
}

export const number = (text) => [text, text === "0" || text === "0.0" || text === "-" ? "number zero" : "number"];

// Pairs of a word and its value, in a list that stays the same from one call to the next.
export function facts(list, pairs) {
  pairs.forEach(([word, value, kind = ""], place) => {
    const term = list.children[2 * place] ?? list.appendChild(document.createElement("dt"));
    const told = list.children[2 * place + 1] ?? list.appendChild(document.createElement("dd"));
    if (term.textContent !== word) term.textContent = word;
    if (told.textContent !== value) told.textContent = value;
    if (told.className !== kind) told.className = kind;
  });
  while (list.children.length > 2 * pairs.length) list.lastElementChild.remove();
}

// The big numbers: [word, value, note, kind].
export function numbers(list, values) {
  values.forEach(([word, value, note = "", kind = ""], place) => {
    let box = list.children[place];
    if (!box) {
      box = list.appendChild(document.createElement("div"));
      box.append(document.createElement("dt"), document.createElement("dd"), document.createElement("dd"));
      box.children[2].className = "note";
    }
    [word, value, note].forEach((text, n) => { if (box.children[n].textContent !== text) box.children[n].textContent = text; });
    if (box.children[1].className !== kind) box.children[1].className = kind;
  });
}
