// The stats page, live: it fetches itself every two seconds, takes over what has changed, and draws what came so far.
// Without it the page shows the same figures, and reloads itself.
"use strict";

const EVERY = 2000;
const KEPT = 450; // samples: a quarter of an hour
const COLOURS = ["#3a78c3", "#c46a1d", "#2c8a57", "#a0459a", "#b33a3a", "#6b7a12", "#1b8c96", "#7a5cc2"];

const charts = new Map();
const history = { times: [], series: new Map() };
let before = null;

function figures(root) {
  return JSON.parse(root.querySelector("#figures").textContent);
}

/* ---- charts ---- */

// By chart: how a service's figure comes from two documents that are `seconds` apart.
const CHARTS = {
  "chart-rate": (now, then, seconds) => (now.flows_total - then.flows_total) / seconds,
  "chart-flows": (now) => now.flows_active,
  "chart-bytes": (now, then, seconds) =>
    (8 * (now.bytes_in + now.bytes_out - then.bytes_in - then.bytes_out)) / seconds,
  "chart-checks": (now) => Math.max(0, ...now.backends.map((backend) => backend.check.duration_ms)),
};

function remember(document_) {
  const now = Date.now() / 1000;
  if (before !== null) {
    const seconds = now - before.at;
    const earlier = new Map(before.document.services.map((service) => [service.name, service]));
    history.times.push(now);
    for (const service of document_.services.slice(0, COLOURS.length)) {
      const then = earlier.get(service.name) ?? service;
      for (const [chart, figure] of Object.entries(CHARTS)) {
        const key = `${chart}/${service.name}`;
        if (!history.series.has(key)) {
          history.series.set(key, new Array(history.times.length - 1).fill(null));
        }
        history.series.get(key).push(Math.max(0, figure(service, then, seconds)));
      }
    }
    for (const values of history.series.values()) {
      if (values.length < history.times.length) values.push(null);
    }
    while (history.times.length > KEPT) {
      history.times.shift();
      for (const values of history.series.values()) values.shift();
    }
  }
  before = { at: now, document: document_ };
}

function draw(document_) {
  const names = document_.services.slice(0, COLOURS.length).map((service) => service.name);
  const style = getComputedStyle(document.documentElement);
  const [soft, line] = ["--soft", "--line"].map((name) => style.getPropertyValue(name));
  const look = names.join("/") + soft;
  for (const id of Object.keys(CHARTS)) {
    const place = document.getElementById(id);
    const data = [history.times, ...names.map((name) => history.series.get(`${id}/${name}`) ?? [])];
    const drawn = charts.get(id);
    if (drawn?.look === look) {
      drawn.plot.setData(data);
      continue;
    }
    drawn?.plot.destroy();
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const clock = (seconds) => (seconds === null ? "–" : new Date(seconds * 1000).toLocaleTimeString("en-GB"));
    const short = (value) => Intl.NumberFormat("en", { notation: "compact" }).format(value);
    const plot = new uPlot(
      {
        width: place.clientWidth,
        height: 170,
        cursor: { y: false },
        scales: { y: { range: (_, least, most) => [0, Math.max(most * 1.1, 1)] } },
        axes: [{ ...axis, space: 80, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 48, values: (_, ticks) => ticks.map(short) }],
        series: [
          { label: "Time", value: (_, seconds) => clock(seconds) },
          ...names.map((label, index) => ({
            label,
            stroke: COLOURS[index],
            width: 1.5,
            spanGaps: true,
            value: (_, value) => (value === null ? "–" : short(value)),
          })),
        ],
      },
      data,
      place,
    );
    charts.set(id, { plot, look });
  }
}

addEventListener("resize", () => {
  for (const [id, { plot }] of charts) {
    plot.setSize({ width: document.getElementById(id).clientWidth, height: 170 });
  }
});

/* ---- filters and sorting ---- */

const order = { column: null, down: false };

function arrange() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll(".backends tbody tr")) {
    const text = (row.closest("section").dataset.service + " " + row.textContent).toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  for (const section of document.querySelectorAll("section[data-service]")) {
    section.hidden = !section.querySelector("tbody tr:not([hidden])");
  }
  if (order.column === null) return;
  for (const body of document.querySelectorAll(".backends tbody")) {
    const value = (row) => {
      const cell = row.cells[order.column];
      return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
    };
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      return (a < b ? -1 : a > b ? 1 : 0) * (order.down ? -1 : 1);
    });
    body.append(...rows);
  }
}

document.addEventListener("click", (event) => {
  const heading = event.target.closest(".backends thead th");
  if (heading === null) return;
  order.down = order.column === heading.cellIndex && !order.down;
  order.column = heading.cellIndex;
  arrange();
});

/* ---- what is asked before it is done ---- */

document.addEventListener("submit", (event) => {
  const form = event.target;
  const what = event.submitter?.value;
  if (form.dataset.backend === undefined) return;
  if (confirm(`${what === "weight" ? "Change the weight of" : `Set to ${what}:`} ${form.dataset.backend}?`)) {
    form.elements.confirmed.value = "yes";
  } else {
    event.preventDefault();
  }
});

/* ---- theme ---- */

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

document.getElementById("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  paint(next);
  draw(figures(document));
});

/* ---- life ---- */

// Whoever fills a form in must not lose it, and whoever opened something wants it open.
function isBusy(part) {
  return part.querySelector("details[open]") !== null || part.contains(document.activeElement);
}

async function refresh() {
  const told = document.getElementById("told");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (other !== null && !isBusy(part)) part.innerHTML = other.innerHTML;
    }
    if (fresh.querySelectorAll("[data-live]").length !== document.querySelectorAll("[data-live]").length) {
      location.reload();
    }
    document.title = fresh.title;
    const document_ = figures(fresh);
    remember(document_);
    draw(document_);
    arrange();
    document.documentElement.dataset.updates = Number(document.documentElement.dataset.updates ?? 0) + 1;
    told.textContent = "live";
  } catch (error) {
    told.textContent = `no answer: ${error.message}`;
  }
  setTimeout(refresh, EVERY);
}

const dark = matchMedia("(prefers-color-scheme: dark)").matches;
paint(localStorage.getItem("theme") ?? (dark ? "dark" : "light"));
document.getElementById("tools").hidden = false;
document.getElementById("charts").hidden = false;
document.getElementById("filter").addEventListener("input", arrange);
remember(figures(document));
setTimeout(refresh, 1000);
