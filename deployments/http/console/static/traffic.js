// Rates and latencies of the last minutes, from counts that come every five seconds.

import { chart } from "./charts.js";
import { el } from "./dom.js";
import { between, parse } from "./metrics.js";
import { percent } from "./versions.js";

const WINDOW_MS = 20_000;
const POINTS = 60;

const looks = []; // { at, versions }
const history = new Map(); // version → points

const CHARTS = [
  ["requests/s", (point) => point.rate, (value) => value.toFixed(value < 10 ? 1 : 0)],
  ["p50", (point) => point.p50, milliseconds],
  ["p99", (point) => point.p99, milliseconds],
  ["errors/s", (point) => point.errors, (value) => value.toFixed(1)],
  ["refused/s", (point) => point.refused, (value) => value.toFixed(1)],
  ["cached", (point) => point.hits, percent],
  ["waiting inputs", (point) => point.queue, (value) => String(Math.round(value))],
];

function milliseconds(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

// Notes a look at the metrics; returns what each version's shadow copies tell, where there are any.
export function note(text, now = performance.now()) {
  const versions = parse(text);
  looks.push({ at: now, versions });
  while (looks.length > 2 && looks[1].at <= now - WINDOW_MS) looks.shift();
  const first = looks[0];
  if (looks.length > 1) {
    for (const [name, counts] of versions) {
      const points = history.get(name) ?? [];
      points.push(between(counts, first.versions.get(name), (now - first.at) / 1000));
      history.set(name, points.slice(-POINTS));
    }
  }
  return new Map([...versions].map(([name, v]) => [name, { cosine: v.shadow.count ? v.shadow.sum / v.shadow.count : null, shared: v.shared }]));
}

export function drawTraffic(place) {
  const rows = [...history].sort(([a], [b]) => a.localeCompare(b));
  if (!rows.length) return;
  place.replaceChildren(
    ...rows.map(([name, points]) =>
      el(
        "section",
        { class: "card", "aria-label": `Traffic of ${name}` },
        el("h3", {}, name),
        el("div", { class: "charts" }, ...CHARTS.map(([title, of, format]) => chart(title, points.map(of), format))),
      ),
    ),
  );
}
