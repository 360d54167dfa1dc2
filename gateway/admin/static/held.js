// The table of what is held now: asked for again and again, a page of it, as it is filtered and sorted; and its end.
import {Refused, ask, at, cells, count, facts, order, pause, seconds, table, watch} from "./app.js";

const LIMIT = 50, AGAIN = 700;
const FIELDS = {q: "q", route: "route", "held-state": "state", older: "older_than"};
let cursors = [null], next = null, asking = 0, chosen = null, searched = false;

// -- what is asked ---------------------------------------------------------------------------------------------------

function asked() {
  const query = new URLSearchParams({sort: at("sort").value, limit: LIMIT});
  for (const [id, name] of Object.entries(FIELDS)) if (at(id).value) query.set(name, at(id).value);
  if (cursors.at(-1)) query.set("cursor", cursors.at(-1));
  return query;
}

function changed() {
  cursors = [null];
  searched = true;
  refresh();
}

async function refresh() {
  const mine = ++asking;
  try {
    const found = await ask(`./api/held?${asked()}`);
    if (mine !== asking) return;
    next = found.next;
    if (!found.calls.length && cursors.length > 1) { cursors.pop(); return; }  // the last page is gone
    show(found);
    if (searched) say(found.matching === 1 ? "One call matches." : `${count(found.matching)} calls match.`);
    searched = false;
  } catch (error) {
    if (error instanceof Refused && mine === asking) say(error.message);  // else the stream tells that it is gone
  }
}

async function live() {
  for (;;) {
    const began = performance.now();
    if (!document.hidden) await refresh();
    await pause(Math.max(AGAIN, 5 * (performance.now() - began)));
  }
}

// -- what is shown ---------------------------------------------------------------------------------------------------

const words = (value) => value === null || value === undefined || value === "" ? "-" : String(value);

function show(found) {
  const filtered = found.matching !== found.held;
  at("count").textContent = filtered ? `${count(found.matching)} of ${count(found.held)}` : count(found.held);
  const focused = document.activeElement?.closest?.("#rows tr"), place = focused ? [...at("rows").children].indexOf(focused) : -1;
  const onButton = document.activeElement?.tagName === "BUTTON";
  table(at("rows"), found.calls, (call) => call.id, make, fill);
  if (focused && !focused.isConnected) goOn(place, onButton);
  if (!at("rows").querySelector('tr[tabindex="0"]') && at("rows").firstElementChild) at("rows").firstElementChild.tabIndex = 0;
  at("none").hidden = found.calls.length > 0;
  at("none").textContent = filtered ? "Nothing that is held matches." : "Nothing is held right now.";
  at("held-table").hidden = !found.calls.length;
  at("before").disabled = cursors.length < 2;
  at("after").disabled = !next;
  const from = (cursors.length - 1) * LIMIT;
  at("page").textContent = found.calls.length ? `${count(from + 1)} to ${count(from + found.calls.length)}` : "";
}

function make(row) {
  row.tabIndex = -1;
}

function fill(row, call) {
  row.call = call;
  cells(row, [
    [seconds(call.since), "number"], [seconds(call.ends_in), "number"], [words(call.route), "route"], [words(call.consumer), "text who"],
    [words(call.tenant), call.tenant ? "text" : "text none"], [words(call.peer), "peer"], [words(`${call.method} ${call.path}`), "path"],
  ]);
  ["Held for", "Ends in", "", "", "Tenant", "Peer"].forEach((title, n) => {
    if (title && row.children[n]) row.children[n].dataset.title = title;
  });
  const status = row.children[7] ?? row.appendChild(document.createElement("td"));
  const tag = status.firstElementChild ?? status.appendChild(document.createElement("span"));
  tag.className = "tag";
  tag.dataset.kind = call.state;
  tag.textContent = call.poll ? call.state : `${call.state}, no poll`;
  const endpoint = row.children[8] ?? row.appendChild(document.createElement("td"));
  endpoint.textContent = words(call.endpoint);
  endpoint.dataset.title = "At";
  endpoint.className = "at";
  act(row, call);
}

function act(row, call) {
  const cell = row.children[9] ?? row.appendChild(document.createElement("td"));
  cell.className = "act number";
  if (!cell.firstElementChild) {
    const button = cell.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = "End";
  }
  const button = cell.firstElementChild;
  button.disabled = !call.endable;
  button.title = call.endable ? "" : "Nobody may say no news early here: its dialect has no answer for it, or it is no poll";
  button.setAttribute("aria-label", `End the call of ${words(call.consumer ?? call.peer)} on ${words(call.route)}`);
}

// The focused row is over: the one that took its place goes on from there.
function goOn(place, onButton) {
  const row = at("rows").children[Math.min(place, at("rows").children.length - 1)];
  if (!row) { at("q").focus(); return; }
  pick(row);
  if (onButton && !row.querySelector("button").disabled) row.querySelector("button").focus();
}

function pick(row) {
  for (const other of at("rows").querySelectorAll('tr[tabindex="0"]')) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

const say = (text) => { at("said").textContent = text; };

// -- the end of one --------------------------------------------------------------------------------------------------

function confirm(call) {
  if (!call.endable) { say("This call cannot be ended: nobody may say no news early here."); return; }
  chosen = call;
  facts(at("confirm-facts"), [["Consumer", words(call.consumer)], ["Route", words(call.route)], ["Path", `${call.method} ${call.path}`],
    ["Peer", words(call.peer)], ["Held for", seconds(call.since)], ["Call", call.id]]);
  at("confirm").showModal();
}

async function end() {
  at("confirm").close();
  const {id, consumer, peer, route} = chosen;
  try {
    const {ended} = await order("./api/held/end", {id});
    say(ended ? `Ended the call of ${words(consumer ?? peer)} on ${words(route)}.` : "It was over already.");
  } catch (error) {
    say(`It was not ended: ${error.message}`);
  }
  refresh();
}

at("keep").addEventListener("click", () => at("confirm").close());
at("end").addEventListener("click", end);

// -- hands -----------------------------------------------------------------------------------------------------------

at("filter").addEventListener("submit", (event) => event.preventDefault());
at("filter").addEventListener("input", changed);
at("after").addEventListener("click", () => { if (next) { cursors.push(next); refresh(); } });
at("before").addEventListener("click", () => { if (cursors.length > 1) { cursors.pop(); refresh(); } });
at("rows").addEventListener("click", (event) => {
  if (event.target.closest("button")) confirm(event.target.closest("tr").call);
});
at("rows").addEventListener("keydown", (event) => {
  const row = event.target.closest("tr"), rows = [...at("rows").children], here = rows.indexOf(row);
  const to = {ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1}[event.key];
  if (to !== undefined && rows[to]) { event.preventDefault(); pick(rows[to]); }
  if (event.target === row && (event.key === "Enter" || event.key === "Delete")) { event.preventDefault(); confirm(row.call); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/INPUT|SELECT/.test(event.target.tagName) && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    at("q").focus();
  }
});

for (const title of document.querySelectorAll("th[data-sort]")) {
  const button = document.createElement("button"), name = title.dataset.sort;
  button.type = "button";
  button.textContent = title.textContent;
  title.replaceChildren(button);
  button.addEventListener("click", () => {
    const wish = at("sort").value === name ? `-${name}` : name;
    if (![...at("sort").options].some((one) => one.value === wish)) {
      at("sort").add(new Option(`${title.textContent.toLowerCase()}${wish.startsWith("-") ? ", other way round" : ""}`, wish));
    }
    at("sort").value = wish;
    sorted();
    changed();
  });
}
// "since" counts up from the newest: seconds so far.
function sorted() {
  for (const title of document.querySelectorAll("th[data-sort]")) {
    const way = {[title.dataset.sort]: "ascending", [`-${title.dataset.sort}`]: "descending"}[at("sort").value];
    if (way) title.setAttribute("aria-sort", way); else title.removeAttribute("aria-sort");
  }
}
at("sort").addEventListener("input", sorted);

ask("./api/routes").then(({routes}) => { for (const {name} of routes) at("route").add(new Option(name, name)); }).catch(() => {});
sorted();
live();
watch();
