// Small line charts, each with its last value in words.

import { el } from "./dom.js";

const WIDTH = 180;
const HEIGHT = 42;

export function chart(title, values, format) {
  const known = values.filter((value) => value !== null);
  const last = values.at(-1);
  const said = last === null || last === undefined ? "–" : format(last);
  const most = Math.max(...known, 1e-9);
  const step = WIDTH / Math.max(values.length - 1, 1);
  const points = values
    .map((value, i) => (value === null ? null : `${(i * step).toFixed(1)},${(HEIGHT - 3 - (value / most) * (HEIGHT - 6)).toFixed(1)}`))
    .filter((point) => point !== null);
  return el(
    "figure",
    { class: "chart" },
    el("figcaption", {}, el("span", {}, title), el("strong", {}, said)),
    el(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${said}, at most ${known.length ? format(most) : "–"}` },
      el("line", { x1: 0, y1: HEIGHT - 2, x2: WIDTH, y2: HEIGHT - 2, class: "axis" }),
      el("polyline", { points: points.join(" "), class: "line" }),
    ),
  );
}
