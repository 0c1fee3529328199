// Requests to the service that serves this page. The API key lives in this module alone and goes with the page.

let key = "";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function useKey(value) {
  key = value.trim();
}

// What this page may do: { required, scopes }. A page that needs a key and has none asks for nothing.
export async function permissions() {
  if (!key && document.body.classList.contains("asks-for-key")) throw new ApiError(401, "type it above");
  return (await ask("console/key")).json();
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const text = await answer.text();
  let message = text.slice(0, 300);
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // HAProxy's own pages are no JSON
  }
  throw new ApiError(answer.status, message || `status ${answer.status}`);
}

// The versions, and the names that stand for several towers: those take texts and pictures alike.
export async function models() {
  const listed = (await (await ask("v1/models")).json()).data;
  return { versions: listed.filter((one) => one.id.includes("@")), towers: listed.filter((one) => one.towers) };
}

export async function exposition() {
  return (await ask("metrics")).text();
}

function embedding(answer, document, began) {
  const vectors = document.data.map((row) => decode(row.embedding));
  return {
    vectors,
    model: answer.headers.get("x-model"),
    hash: answer.headers.get("x-model-hash"),
    numerics: answer.headers.get("x-model-numerics"),
    synthetic: answer.headers.get("x-model-weights") === "synthetic",
    milliseconds: performance.now() - began,
  };
}

function decode(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

export async function embedTexts(model, input) {
  const began = performance.now();
  const body = JSON.stringify({ model, input, encoding_format: "base64", modality: "text" });
  const headers = { "content-type": "application/json" };
  const answer = await ask("v1/embeddings", { method: "POST", headers, body });
  return embedding(answer, await answer.json(), began);
}

export async function embedPicture(model, file) {
  const began = performance.now();
  const path = `v1/embeddings/image?model=${encodeURIComponent(model)}&encoding_format=base64`;
  const headers = { "content-type": file.type || "application/octet-stream" };
  const answer = await ask(path, { method: "POST", headers, body: file });
  return embedding(answer, await answer.json(), began);
}
