// The overview: everything the stream tells, once a second, and the plots when there are new ones.
import {at, bytes, cells, count, facts, figures, number, numbers, rate, seconds, share, table, watch} from "./app.js";

const QUIET = new Set(["empty", "blank", "overrun"]);
const FAILED = new Set(["overrun", "upstream_error", "upstream_refused", "upstream_reset", "upstream_timeout", "upstream_bad",
  "truncated", "overloaded", "internal_error"]);
const REFUSED = new Set(["rate_limited", "capped", "conflict", "unauthenticated", "forbidden", "bad_request", "too_large",
  "no_route", "method_not_allowed"]);
const sum = (rates, kinds, only = () => true) => rates.reduce((all, one) =>
  all + ((!kinds || kinds.has(one.outcome)) && only(one) ? one.per_second : 0), 0);
const total = (counts, kinds) => Object.entries(counts ?? {}).reduce((all, [name, n]) => all + (!kinds || kinds.has(name) ? n : 0), 0);

function head(seen) {
  const {rates, held, connections, lag} = seen;
  const quiet = sum(rates, QUIET), news = sum(rates, new Set(["news"])), failed = sum(rates, FAILED), refused = sum(rates, REFUSED);
  const slow = Math.max(0, ...Object.values(seen.news).map((one) => one.p99 ?? 0));
  numbers(at("figures"), [
    ["Held now", count(held.total), `${count(held.total - held.waiting)} parked, ${count(held.waiting)} waiting`],
    ["Connections", count(connections.open), `of ${count(connections.limit)}`],
    ["Endings", `${rate(sum(rates))} /s`, "all calls, last 10 s"],
    ["News", `${rate(news)} /s`, quiet + news ? `no news: ${share(quiet / (quiet + news))}` : "no poll was told"],
    ["News latency", seconds(slow || null), "p99, slowest route"],
    ["Failed", `${rate(failed)} /s`, "upstream, gateway", failed ? "bad" : ""],
    ["Refused", `${rate(refused)} /s`, "limits, tokens, routes"],
    ["Loop lag", seconds(lag.recent), `${seconds(lag.most)} at most`, lag.recent > 0.1 ? "warn" : ""],
  ]);
}

function told(seen) {
  const {reload, connections, dropped} = seen, shed = total(connections.shed);
  const at_ = reload.at ? new Date(reload.at * 1000).toLocaleString() : "none so far";
  facts(at("facts"), [
    ["Readiness", seen.ready ? "ready" : seen.detail, seen.ready ? "good" : "warn"],
    ["Drain", seen.draining ? "draining: polls are being ended" : "no", seen.draining ? "warn" : ""],
    ["Last reload", at_],
    ["Reloads", `${count(reload.ok)} ok, ${count(reload.failed)} failed`, reload.failure ? "bad" : ""],
    ...(reload.failure ? [["Why it failed", reload.failure, "bad"]] : []),
    ["Turned away", shed ? Object.entries(connections.shed).filter(([, n]) => n).map(([why, n]) => `${count(n)} ${why}`).join(", ") : "0",
      shed ? "warn" : ""],
    ["Longest GC pause", seconds(seen.lag.gc)],
    ["Log lines lost", count(dropped.log_lines), dropped.log_lines ? "bad" : ""],
    ["Spans lost", count(dropped.spans), dropped.spans ? "warn" : ""],
  ]);
}

function routes(seen) {
  at("routes-more").textContent = seen.held.more_routes ? `the busiest; ${count(seen.held.more_routes)} more in /metrics` : "";
  table(at("routes"), seen.held.routes, (one) => one.route, () => {}, (row, {route, parked, waiting}) => {
    const totals = seen.totals[route] ?? {polls: {}, calls: {}}, hold = seen.hold[route] ?? {}, news = seen.news[route] ?? {};
    const polls = sum(seen.rates, null, (one) => one.route === route && one.poll);
    const calls = sum(seen.rates, null, (one) => one.route === route && !one.poll), failed = total(totals.polls, FAILED) + total(totals.calls, FAILED);
    cells(row, [
      [route || "(no route)"], number(count(parked)), number(count(waiting)), number(rate(polls)),
      number(rate(calls)), number(share(seen.empty_share[route])), number(seconds(hold.p50)),
      number(seconds(hold.p99)), number(seconds(news.p50)), number(seconds(news.p99)), number(count(totals.evictions)),
      failed ? [count(failed), "number bad"] : number("0"),
    ]);
  });
}

function endpoints(seen) {
  table(at("endpoints"), seen.held.endpoints, (one) => JSON.stringify([one.upstream, one.endpoint]), () => {}, (row, one) => cells(row, [
    [one.upstream], [one.endpoint, "text"], number(count(one.held)), number(count(one.calls)),
    one.failed ? [count(one.failed), "number bad"] : number("0"), one.overruns ? [count(one.overruns), "number warn"] : number("0"),
    one.state === "out" ? [`out: ${one.why.join(", ")}`, "bad"] : ["in"],
  ]));
}

function limits(seen) {
  at("no-limits").hidden = seen.limits.length > 0;
  table(at("limits"), seen.limits, (one) => JSON.stringify([one.limit, one.key]), () => {}, (row, one) => {
    const place = row.children[4]?.querySelector(".meter");
    cells(row, [[one.limit], [one.key || "-", "text"], number(count(one.used)), number(count(one.max))]);
    if (!place) {
      const meter = document.createElement("span");
      meter.className = "meter";
      meter.append(document.createElement("i"));
      const cell = row.appendChild(document.createElement("td"));
      cell.className = "nowrap";
      cell.append(meter, document.createElement("span"));
    }
    const [meter, text] = row.children[4].children;
    meter.style.setProperty("--share", Math.min(one.share, 1));
    meter.dataset.kind = one.share >= 0.9 ? "bad" : "";
    text.textContent = `${Math.round(one.share * 100)} %`;
    const waiting = row.children[5] ?? row.appendChild(document.createElement("td"));
    [waiting.textContent, waiting.className] = number(count(one.waiting));
  });
}

function consumers(seen) {
  at("no-consumers").hidden = seen.consumers.length > 0;
  table(at("consumers"), seen.consumers, (one) => one.consumer, () => {}, (row, one) => cells(row, [
    [one.consumer], number(count(one.held)), number(count(one.calls)), number(seconds(one.held_seconds)),
  ]));
}

// Where several serve. What a worker takes of a processor is told by its seconds between two looks.
let looked = {now: null, cpu: new Map()};
function workers(seen) {
  at("workers-panel").hidden = !seen.workers;
  if (!seen.workers) return;
  const {now, cpu} = looked, passed = seen.now - now;
  looked = {now: seen.now, cpu: new Map(seen.workers.map((one) => [one.pid, one.cpu]))};
  table(at("workers"), seen.workers, (one) => String(one.worker), () => {}, (row, one) => {
    const before = cpu.get(one.pid), busy = one.cpu !== null && before !== undefined && passed > 0 ? (one.cpu - before) / passed : null;
    cells(row, [
      [String(one.worker)], [one.state + (one.detail && one.detail !== "serving" ? `: ${one.detail}` : ""), one.state === "ready" ? "text" : "text warn"],
      number(count(one.held)), number(count(one.connections)), number(share(busy)), number(bytes(one.memory)), number(seconds(one.since)),
      one.restarts ? [count(one.restarts), "number warn"] : number("0"), number(one.pid === null ? "-" : String(one.pid)),
    ]);
  });
}

function advice(seen) {
  at("advice-panel").hidden = !seen.advice.length;
  const text = JSON.stringify(seen.advice);
  if (at("advice").dataset.text === text) return;
  at("advice").dataset.text = text;
  at("advice").replaceChildren(...seen.advice.map((one) => {
    const item = document.createElement("li"), what = document.createElement("strong"), doing = document.createElement("p");
    what.textContent = one.text;
    doing.textContent = one.do;
    doing.className = "soft";
    item.append(what, doing);
    return item;
  }));
}

let drawn = null, drawing = false;
async function plots(seen) {
  if (!seen.plots || seen.plots === drawn || drawing) return;
  drawing = true;
  try {
    const found = await figures("./api/plots");
    drawn = seen.plots;
    found.forEach((figure, n) => at(`plot-${n}`)?.replaceChildren(figure));
  } catch { /* the stream says when the gateway is gone; the next plot comes in seconds */ } finally {
    drawing = false;
  }
}

watch((seen) => {
  if (seen.error) return;
  [head, told, workers, routes, endpoints, limits, consumers, advice].forEach((show) => show(seen));
  plots(seen);
});
