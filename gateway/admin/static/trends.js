// Trends: what the call log says of a period and of the one before it, asked for when somebody wants to know.
import {Refused, ask, at, cells, count, figures, number, numbers, seconds, share, table, watch} from "./app.js";

const TIMES = new Map([["hour", 3600], ["day", 86400]]);  // seconds
const MOST = 50;  // names that are asked for
const percent = (now, before) => before ? `${now >= before ? "+" : ""}${Math.round((now / before - 1) * 100)} %` : null;

function compared(now, before, say = count) {
  if (now === null || now === undefined || before === null || before === undefined) return "none before";
  const change = percent(now, before);
  return change === null ? `${say(before)} before` : `${change}, ${say(before)} before`;
}

function points(now, before) {
  return now === null || before === null ? "none before" : `${((now - before) * 100).toFixed(1)} points, ${share(before)} before`;
}

function totals({total, before}) {
  const of = (name, say) => [say(total[name]), compared(total[name], before[name], say)];
  numbers(at("totals"), [
    ["Calls", ...of("calls", count)], ["Polls", ...of("polls", count)],
    ["No news", share(total.empty_share), points(total.empty_share, before.empty_share)],
    ["News latency p50", ...of("news_p50", seconds)], ["News latency p95", ...of("news_p95", seconds)], ["News latency p99", ...of("news_p99", seconds)],
    ["Held in all", ...of("held_seconds", seconds)], ["Evicted", ...of("evictions", count)],
    ["Refused", ...of("refusals", count)], ["Errors", ...of("errors", count), total.errors ? "bad" : ""],
  ]);
}

function named(key, by) {
  if (key === null) return by === "route" ? "(no route)" : `(no ${by})`;
  if (!TIMES.has(by)) return key;
  const when = new Date(key);
  return by === "day" ? when.toLocaleDateString(undefined, {timeZone: "UTC"})
    : when.toLocaleString(undefined, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
}

// Short, for the axis of a plot.
function mark(key, by, many) {
  if (!TIMES.has(by)) return named(key, by).slice(0, 14);
  const when = new Date(key), two = (n) => String(n).padStart(2, "0"), hour = `${two(when.getHours())}:${two(when.getMinutes())}`;
  if (by === "day") return `${when.getUTCMonth() + 1}/${when.getUTCDate()}`;
  return many ? `${when.getMonth() + 1}/${when.getDate()} ${two(when.getHours())}h` : hour;
}

function rows({rows: all, by}) {
  at("rows-title").textContent = `By ${by}${!TIMES.has(by) && all.length >= MOST ? `, the ${MOST} with the most calls` : ""}`;
  at("key-title").textContent = by[0].toUpperCase() + by.slice(1);
  const ordered = TIMES.has(by) ? all.toReversed() : all;
  at("trend-rows").replaceChildren();
  table(at("trend-rows"), ordered, (row) => String(row.key), () => {}, (row, {key, now, before}) => cells(row, [
    [named(key, by), TIMES.has(by) ? "nowrap" : ""], number(count(now.calls)), number(before ? count(before.calls) : "-"), number(count(now.polls)),
    number(share(now.empty_share)), number(seconds(now.news_p50)), number(seconds(now.news_p95)), number(seconds(now.news_p99)),
    number(seconds(now.held_seconds)), number(count(now.evictions)), number(count(now.refusals)),
    now.errors ? [count(now.errors), "number bad"] : number("0"),
  ]));
}

function wanted({rows: all, by}) {
  const shown = TIMES.has(by) ? all : all.slice(0, 12), labels = shown.map((row) => mark(row.key, by, shown.length > 36));
  const of = (name) => shown.map((row) => row.now[name]), was = (name) => shown.map((row) => row.before?.[name] ?? null);
  const each = (values) => values.map((value) => value === null ? null : value / TIMES.get(by));
  const others = shown.map(({now}) => Math.max(0, now.calls - now.news - now.empty - now.errors - now.refusals));
  return {figures: [
    {kind: "bars", title: `Calls by ${by}`, labels, unit: "count",
      series: [["news", of("news")], ["no news", of("empty")], ["errors", of("errors")], ["other", others], ["refused", of("refusals")]]},
    TIMES.has(by)
      ? {kind: "lines", title: "Polls held at once, on average", labels, unit: "count",
        series: [["now", each(of("held_seconds"))], ["period before", each(was("held_seconds"))]]}
      : {kind: "bars", title: `Seconds held by ${by}`, labels, unit: "count", series: [["now", of("held_seconds")]]},
    ...(TIMES.has(by) ? [
      {kind: "lines", title: "News latency", labels, unit: "seconds", series: [["p50", of("news_p50")], ["p95", of("news_p95")], ["p99", of("news_p99")]]},
      {kind: "lines", title: "Share of polls without news", labels, unit: "share", series: [["now", of("empty_share")], ["period before", was("empty_share")]]},
    ] : []),
  ]};
}

async function draw(found, mine) {
  const plots = await figures("./api/draw", wanted(found));
  if (mine !== asking) return;
  at("plots").replaceChildren(...plots.map((figure) => {
    const panel = document.createElement("section");
    panel.className = "panel half";
    panel.append(figure);
    return panel;
  }));
}

function tell(text) {
  at("why").hidden = !text;
  if (at("why").textContent !== text) at("why").textContent = text;
}

const NO_LOG = 'No file has the calls of this gateway; write log.calls = "file:PATH" and start it again.';

let asking = 0;
async function refresh() {
  if (document.documentElement.dataset.log === "no") { tell(NO_LOG); return; }
  const mine = ++asking, query = new URLSearchParams({since: at("since").value, by: at("by").value, limit: MOST});
  at("period").textContent = "asking the call log ..";
  try {
    const found = await ask(`./api/trends?${query}`);
    if (mine !== asking) return;
    const local = (text) => new Date(text).toLocaleString(undefined, {dateStyle: "medium", timeStyle: "short", hourCycle: "h23"});
    at("period").textContent = `${local(found.since)} to ${local(found.until)}, compared with the time of the same length before`;
    tell([...(found.total.calls ? [] : ["No call of this period is in the log."]), ...found.notes].join(" "));
    at("found").hidden = false;
    totals(found);
    rows(found);
    await draw(found, mine);
  } catch (error) {
    if (mine !== asking) return;
    at("period").textContent = "";
    at("found").hidden = true;
    tell(error instanceof Refused ? error.message[0].toUpperCase() + error.message.slice(1) + "." : "The gateway cannot be reached.");
  }
}

at("asked").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
at("asked").addEventListener("change", refresh);
refresh();
watch();
