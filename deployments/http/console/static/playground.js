// Small experiments with the vectors of this service.

import { embedPicture, embedTexts } from "./api.js";
import { el, show, table } from "./dom.js";
import { cosine, neighbours, overlap, similarities } from "./vectors.js";

const MOST_LINES = 50;
const NEAREST = 3;
let pictures = []; // { file, address, vector, synthetic }
let finder = null; // the name by which a sentence finds a picture

// Who asks a version that sleeps waits until it has woken.
export function answers(version) {
  return version.state === "ready" || version.state === "asleep";
}

export function offerModels(versions, towers) {
  const there = versions.filter(answers);
  for (const select of document.querySelectorAll("select[data-modality]")) {
    const names = there.filter((version) => version.modality === select.dataset.modality).map((version) => version.id);
    if (names.join() === [...select.options].map((option) => option.value).join()) continue;
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    if (names.includes(chosen)) select.value = chosen;
    else if (select.name === "other" && names.length > 1) select.value = names[1];
  }
  finder = towers.find((one) => one.towers.image && one.towers.text) ?? null;
  const note = document.getElementById("search-note");
  note.textContent = finder
    ? `By ${finder.id}: sentences by ${finder.towers.text}, pictures by ${finder.towers.image}. Pictures stay in this page. The first sentence may take some seconds: its model starts when it is asked.`
    : "It needs a name for a picture model and the text model of the same checkpoint: towers in the gateway's user_config.";
}

function linesOf(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (lines.length < 2) throw new Error("at least two lines are needed");
  if (lines.length > MOST_LINES) throw new Error(`${lines.length} lines; at most ${MOST_LINES} fit`);
  return lines;
}

function madeBy(answer) {
  const random = answer.synthetic ? ", with random weights: likeness means nothing" : "";
  return el("p", { class: "note" }, `${answer.model}, ${answer.hash?.slice(0, 12)}, ${answer.numerics}, ${answer.milliseconds.toFixed(0)} ms${random}`);
}

async function pair(form) {
  const answer = await embedTexts(form.model.value, [form.first.value, form.second.value]);
  const value = cosine(...answer.vectors);
  const meter = el("meter", { min: 0, max: 1, value: Math.max(value, 0), "aria-label": "cosine" });
  return [el("p", { class: "result" }, "cosine ", el("strong", {}, value.toFixed(4)), " ", meter), madeBy(answer)];
}

function map(lines, matrix) {
  const rows = lines.map((line, i) => [
    `${i + 1}. ${line}`,
    ...matrix[i].map((value) => {
      const cell = el("td", { class: "heat", title: value.toFixed(4) }, value.toFixed(2));
      cell.style.setProperty("--heat", Math.max(value, 0));
      return cell;
    }),
  ]);
  return table("Cosines", ["line", ...lines.map((_, i) => String(i + 1))], rows);
}

function nearest(lines, found) {
  const rows = lines.map((line, i) => [line, found[i].map(({ index, value }) => `${lines[index]} (${value.toFixed(3)})`).join("; ")]);
  return table("Nearest lines", ["line", "nearest"], rows);
}

async function lines(form) {
  const wanted = linesOf(form.lines.value);
  const answer = await embedTexts(form.model.value, wanted);
  const matrix = similarities(answer.vectors);
  return [map(wanted, matrix), nearest(wanted, neighbours(matrix, NEAREST)), madeBy(answer)];
}

async function versus(form) {
  const wanted = linesOf(form.lines.value);
  const answers = await Promise.all([form.one.value, form.other.value].map((model) => embedTexts(model, wanted)));
  const found = answers.map((answer) => neighbours(similarities(answer.vectors), NEAREST));
  const alike = answers[0].vectors[0].length === answers[1].vectors[0].length;
  const rows = wanted.map((line, i) => [
    line,
    ...found.map((one) => one[i].map(({ index }) => index + 1).join(", ")),
    alike ? cosine(answers[0].vectors[i], answers[1].vectors[i]).toFixed(5) : "other dimensions",
  ]);
  const head = ["line", `nearest by ${form.one.value}`, `nearest by ${form.other.value}`, "cosine of both"];
  const share = overlap(...found);
  return [
    el("p", { class: "result" }, "nearest lines that both agree on: ", el("strong", {}, `${Math.round(share * 100)} %`)),
    table("Two versions", head, rows),
    ...answers.map(madeBy),
  ];
}

export async function addPictures(files) {
  if (!finder) throw new Error("no name stands for a picture model and a text model of the same checkpoint");
  for (const file of files) {
    const answer = await embedPicture(finder.id, file);
    pictures.push({ file, address: URL.createObjectURL(file), vector: answer.vectors[0], synthetic: answer.synthetic });
  }
}

function drawPictures(sentence) {
  const scored = pictures.map((picture) => ({ ...picture, value: sentence ? cosine(picture.vector, sentence.vectors[0]) : null }));
  if (sentence) scored.sort((a, b) => b.value - a.value);
  return el(
    "ol",
    { class: "pictures", "aria-label": sentence ? "Pictures, best first" : "Pictures" },
    ...scored.map(({ file, address, value, synthetic }) =>
      el(
        "li",
        {},
        el("img", { src: address, alt: file.name, width: 160 }),
        el("span", {}, file.name, value === null ? null : ` ${value.toFixed(4)}`),
        synthetic ? el("span", { class: "badge" }, "random weights") : null,
      ),
    ),
  );
}

async function search(form) {
  if (!pictures.length) throw new Error("drop a picture first");
  const answer = await embedTexts(finder.id, form.sentence.value);
  return [drawPictures(answer), madeBy(answer)];
}

function answering(id, work) {
  const form = document.getElementById(id);
  const output = form.querySelector("output");
  const run = async (what) => {
    form.setAttribute("aria-busy", "true");
    try {
      show(output, ...(await what()));
    } catch (error) {
      show(output, el("p", { class: "warning" }, error.message));
    } finally {
      form.removeAttribute("aria-busy");
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(() => work(form));
  });
  return run;
}

export function start() {
  answering("pair", pair);
  answering("lines", lines);
  answering("versus", versus);
  const run = answering("search", search);
  const form = document.getElementById("search");
  const drop = document.getElementById("drop");
  const take = (files) =>
    run(async () => {
      await addPictures(files);
      return [drawPictures(null)];
    });
  form.pictures.addEventListener("change", () => take([...form.pictures.files]));
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}
