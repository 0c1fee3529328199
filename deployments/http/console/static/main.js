// Looks at the service every few seconds and draws what it finds.

import { ApiError, exposition, models, permissions, useKey } from "./api.js";
import { answers, offerModels, start } from "./playground.js";
import { drawTraffic, note } from "./traffic.js";
import { drawModels } from "./versions.js";

const EVERY_MS = 5000;
const place = (id) => document.getElementById(id);
const COUNTED = place("traffic-note").textContent;
let shadows = new Map();
let again = 0;

function say(text, state) {
  place("state").textContent = text;
  place("state").className = state;
}

async function lookAtVersions() {
  const { versions, towers } = await models();
  drawModels(place("models"), versions, shadows);
  offerModels(versions, towers);
  const ready = versions.filter(answers).length;
  const asleep = versions.filter((version) => version.state === "asleep").length;
  const naps = asleep ? `, ${asleep} of them asleep until asked` : "";
  say(`${ready} of ${versions.length} versions are ready${naps}`, ready === versions.length ? "good" : "bad");
}

async function lookAtTraffic(may) {
  if (may.required && !may.scopes.includes("admin")) {
    place("traffic-note").textContent = "This key may not read the metrics; one with the scope admin may.";
    place("charts").replaceChildren();
    return;
  }
  try {
    shadows = note(await exposition());
    drawTraffic(place("charts"));
    place("traffic-note").textContent = COUNTED;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    place("traffic-note").textContent = error.message;
  }
}

async function look() {
  clearTimeout(again);
  try {
    const may = await permissions();
    await lookAtVersions();
    await lookAtTraffic(may);
  } catch (error) {
    const asks = error instanceof ApiError && [401, 403].includes(error.status);
    if (asks) document.body.classList.add("asks-for-key");
    say(asks ? `A key is needed: ${error.message}` : `no answer: ${error.message}`, "bad");
  }
  again = setTimeout(look, EVERY_MS);
}

place("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(place("key").value);
  place("key").value = "";
  look();
});
start();
look();
