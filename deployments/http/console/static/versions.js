// Which versions are served, in which state, and how traffic is split.

import { commandList, copyButton } from "./commands.js";
import { el } from "./dom.js";

export function drawModels(place, listed, shadows) {
  const opened = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.version));
  const models = Map.groupBy ? Map.groupBy(listed, modelOf) : grouped(listed);
  place.replaceChildren(...[...models].map(([model, versions]) => drawModel(model, versions, shadows)));
  for (const one of place.querySelectorAll("details")) one.open = opened.has(one.dataset.version);
}

function modelOf(version) {
  return version.id.split("@")[0];
}

function grouped(listed) {
  const models = new Map();
  for (const version of listed) models.set(modelOf(version), [...(models.get(modelOf(version)) ?? []), version]);
  return models;
}

function drawModel(model, versions, shadows) {
  return el(
    "article",
    { class: "card" },
    el("h3", {}, model),
    split(model, versions),
    ...versions.map((version) => drawVersion(version, versions, shadows.get(version.id))),
  );
}

function split(model, versions) {
  const shares = versions.filter((version) => version.share > 0);
  const said = shares.map((version) => `${version.version} ${percent(version.share)}`).join(", ") || "no traffic";
  const bar = el("div", { class: "split", role: "img", "aria-label": `Traffic of ${model}: ${said}` });
  shares.forEach((version, i) => {
    const part = el("span", { class: `share share-${i % 4}` }, `${version.version} ${percent(version.share)}`);
    part.style.flexGrow = version.share;
    bar.append(part);
  });
  return bar;
}

function drawVersion(version, versions, shadow) {
  const facts = [
    ["state", el("span", { class: `state ${version.state}` }, version.state)],
    ["model", version.name ?? "–"],
    ["hash", version.hash ? el("span", {}, el("code", {}, version.hash.slice(0, 12)), copyButton(version.hash)) : "–"],
    ["precision", version.precision ?? "–"],
    ["computed by", version.numerics ? el("code", {}, version.numerics) : (version.provider ?? "–")],
    ["replicas", String(version.replicas)],
    ["dimensions", version.dimensions ? String(version.dimensions) : "–"],
  ];
  if (version.shadow) facts.push(["shadow", percent(version.shadow / 100)]);
  if (shadow?.cosine) facts.push(["shadow cosine", shadow.cosine.toFixed(5)]);
  for (const [other, { inputs, same }] of Object.entries(shadow?.shared ?? {})) {
    if (inputs) facts.push([`shares with ${other}`, `${percent(same / inputs)} of ten neighbours, ${inputs} inputs`]);
  }
  return el(
    "section",
    { class: "version", "aria-label": version.id },
    el("h4", {}, version.id, version.weights === "synthetic" ? el("span", { class: "badge" }, "random weights") : null),
    version.reason ? el("p", { class: "warning" }, version.reason) : null,
    version.swap_error ? el("p", { class: "warning" }, `The last swap was refused: ${version.swap_error}`) : null,
    ...(version.warnings ?? []).map((warning) => el("p", { class: "warning" }, warning)),
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    commandList(version, versions),
  );
}

export function percent(share) {
  return `${Math.round(share * 1000) / 10} %`;
}
