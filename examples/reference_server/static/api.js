// The v1 contract, as this page uses it. Every failure is an ApiError whose message a person can act on.

import { memoryOfThisTab } from "./memory.js";

const TOKEN = "ttsorch.token";

export class ApiError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  // Whether nobody answered, or somebody said "later": the same request may do better soon.
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

let askForToken = async () => null;
let asking = null;

export function onTokenNeeded(ask) {
  askForToken = ask;
}

// Kept for this tab only: whoever uses the machine next has to know it. What no header can carry is none.
function token() {
  const kept = memoryOfThisTab.recall(TOKEN) ?? "";
  return /^[!-~]+$/.test(kept) ? kept : null;
}

async function signIn(refused) {
  asking ??= askForToken(refused).finally(() => { asking = null; });
  const given = await asking;
  memoryOfThisTab.keep(TOKEN, given);
}

async function send(method, path, { json, headers = {}, keepalive = false } = {}) {
  const used = token();
  const all = { ...headers };
  if (used) all.authorization = `Bearer ${used}`;
  if (json !== undefined) all["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers: all, body: json && JSON.stringify(json), keepalive });
  } catch {
    throw new ApiError("The server can't be reached. Check that it is running, and your connection.");
  }
  if (response.status === 401) {
    if (token() === used) await signIn(Boolean(used));
    return send(method, path, { json, headers, keepalive });
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  const message = typeof body.detail === "string" ? body.detail : `The server answered ${response.status}.`;
  return new ApiError(message, { status: response.status, code: body.code, retryAfter });
}

async function call(method, path, options) {
  return (await send(method, path, options)).json();
}

export const languages = () => call("GET", "/api/languages");
export const activeTasks = () => call("GET", "/api/tasks?status=active&limit=50");
export const task = (id) => call("GET", `/api/tasks/${id}`);
export const cancelTask = (id) => call("POST", `/api/tasks/${id}/cancel`);
export const generations = (page) => call("GET", `/api/generations?page=${page}&per_page=20`);
export const deleteGeneration = (id) => call("DELETE", `/api/generations/${id}`);
export const again = (id) => call("POST", `/api/generations/${id}/regenerate`);

// A repeated key gets the first answer again, so a request whose answer was lost can be sent once more.
export const generate = (request, key) =>
  call("POST", "/api/generate", { json: request, headers: { "idempotency-key": key } });

export async function allVoices() {
  const found = [];
  for (let page = 1; ; page += 1) {
    const { voices, pagination } = await call("GET", `/api/voices?page=${page}&per_page=100`);
    found.push(...voices);
    if (page >= pagination.pages) return found;
  }
}

// Neither an audio element nor a link can send a token, but the signed URL that this leads to needs none.
export async function signedUrl(audioPath, { download = false } = {}) {
  return (await send("HEAD", download ? `${audioPath}?download=1` : audioPath)).url;
}
