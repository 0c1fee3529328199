// Looks at the service every few seconds and draws what it finds.

import { ApiError, exposition, models, useKey } from "./api.js";
import { answers, offerModels, start } from "./playground.js";
import { drawTraffic, note } from "./traffic.js";
import { drawModels } from "./versions.js";

const EVERY_MS = 5000;
const place = (id) => document.getElementById(id);
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

async function lookAtTraffic() {
  try {
    shadows = note(await exposition());
    drawTraffic(place("charts"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const why = error.status === 403 ? "This key may not read the metrics; one with the scope admin may." : error.message;
    place("traffic-note").textContent = why;
  }
}

async function look() {
  clearTimeout(again);
  try {
    await lookAtVersions();
    await lookAtTraffic();
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
