// What an operator would type: the page itself changes nothing.

import { el } from "./dom.js";

export function commandsFor(version, others) {
  const other = others.find((one) => one.version !== version.version);
  const [model, label] = version.id.split("@");
  const url = `--url ${location.origin}`;
  const commands = [["another artifact, same label", `embedserve swap ${version.id} --to VERSION ${url}`]];
  if (version.share < 1) {
    commands.push(["all traffic to it", `embedserve promote ${version.id} ${url}`]);
    commands.push(["5 % of the traffic", `embedserve route ${model} ${other ? `${other.version}=95 ` : ""}${label}=5 ${url}`]);
    commands.push(["copies of 5 %, never answered from", `embedserve route ${model} --shadow ${label}=5 ${url}`]);
  }
  commands.push(["undo the model's last change", `embedserve rollback ${model} ${url}`]);
  if (version.share === 0) commands.push(["serve it no longer", `embedserve remove ${version.id} ${url}`]);
  return commands;
}

export function commandList(version, others) {
  return el(
    "details",
    { class: "commands", "data-version": version.id },
    el("summary", {}, "Commands"),
    el("ul", {}, ...commandsFor(version, others).map(([what, command]) => el("li", {}, `${what}: `, el("code", {}, command), copyButton(command)))),
  );
}

export function copyButton(text) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it"; // a page without TLS on another host has no clipboard
    }
  });
  return button;
}
