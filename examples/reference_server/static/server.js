// The server, as this page uses it: who is asking, one request, and the v1 contract row by row.

import { memory, memoryOfThisTab } from "./browser.js";
import { byId } from "./elements.js";
import { words } from "./words.js";

// Who is asking. The token is kept for this tab only: whoever uses the machine next has to know it.

const TOKEN = "ttsorch.token";
const GIVEN = "given";

class Session extends EventTarget {
  asking = null;
  // Whether this server wants tokens: it says so in the page itself, so that nothing has to be refused first.
  wanted = document.querySelector("meta[name=sign-in]")?.content === "token";

  // What no header can carry is none.
  token() {
    const kept = memoryOfThisTab.recall(TOKEN) ?? "";
    return /^[!-~]+$/.test(kept) ? kept : null;
  }

  // Returns when there is another token than `refused`, the one that a request was refused with. Requests that are
  // refused at once wait for the same dialog.
  async renew(refused) {
    if (this.token() !== refused) return;
    this.asking ??= ask(refused !== null).finally(() => { this.asking = null; });
    const given = await this.asking;
    if (this.token() === given) return;
    memoryOfThisTab.keep(TOKEN, given);
    this.dispatchEvent(new CustomEvent("signed-in", { detail: { before: refused } }));
  }

  // Nothing of one person is left to the next.
  end() {
    this.dispatchEvent(new Event("ending"));
    memoryOfThisTab.forget();
    memory.forget();
    location.replace("/");
  }
}

export const session = new Session();

function ask(refused) {
  const dialog = byId("sign-in");
  byId("sign-in-why").textContent = refused ? words.messages.tokenRefused : words.page.signInWhy;
  byId("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", function closed() {
      // Browsers close a dialog at the second Escape, whatever its cancel event was told.
      if (dialog.returnValue !== GIVEN) {
        dialog.showModal();
        return;
      }
      dialog.removeEventListener("close", closed);
      resolve(byId("token").value.trim());
    });
  });
}

// A token has to be given; there is nothing behind the dialog without one.
byId("sign-in").addEventListener("cancel", (event) => event.preventDefault());

// One request. Whatever goes wrong is an ApiError that messages.js can put into words.

const PATIENCE_MS = 30_000;

// `kind`: unreachable (nobody answered), late, aborted (by us), unreadable (no JSON where there must be some),
// refused (an answer with a status). `retryAfter` is in seconds.
export class ApiError extends Error {
  constructor(kind, { status = 0, code = "", detail = "", retryAfter = null, requestId = "" } = {}) {
    super(detail || kind);
    Object.assign(this, { kind, status, code, detail, retryAfter, requestId });
  }

  // Whether the same request may do better soon, without anybody changing anything.
  get passing() {
    return this.kind === "unreachable" || this.kind === "late" || [429, 502, 503, 504].includes(this.status) || this.status === 500;
  }

  // Whether the server may have acted on the request all the same.
  get open() {
    return this.kind === "unreachable" || this.kind === "late" || this.kind === "unreadable" || this.status >= 500;
  }
}

// `open`: whether nobody has to be signed in for it.
export async function send(method, path, { open = false, ...options } = {}) {
  if (session.wanted && !open && session.token() === null) await session.renew(null);
  for (;;) {
    const used = session.token();
    const response = await attempt(method, path, used, options);
    if (response.status === 401) {
      await session.renew(used);
      continue;
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

export async function call(method, path, options) {
  return readJson(await send(method, path, options));
}

async function attempt(method, path, token, { json, form, headers = {}, keepalive = false, signal, patience = PATIENCE_MS }) {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  if (json !== undefined) all["content-type"] = "application/json";
  const clock = AbortSignal.timeout(patience);
  try {
    return await fetch(path, {
      method,
      headers: all,
      body: json === undefined ? form : JSON.stringify(json),
      keepalive,
      signal: signal ? either(signal, clock) : clock,
    });
  } catch (error) {
    if (signal?.aborted) throw new ApiError("aborted");
    throw new ApiError(error.name === "TimeoutError" ? "late" : "unreachable");
  }
}

// AbortSignal.any, which browsers before 2024 don't have.
function either(one, other) {
  if (AbortSignal.any) return AbortSignal.any([one, other]);
  const both = new AbortController();
  for (const each of [one, other]) each.addEventListener("abort", () => both.abort(each.reason), { once: true });
  if (one.aborted) both.abort(one.reason);
  return both.signal;
}

async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new ApiError(error.name === "TimeoutError" ? "late" : "unreadable", { status: response.status });
  }
}

export async function refusal(response) {
  const body = await response.json().catch(() => null);
  const seconds = Number(response.headers.get("retry-after")) || Number(body?.retry_after_seconds) || null;
  return new ApiError("refused", {
    status: response.status,
    code: typeof body?.code === "string" ? body.code : "",
    detail: typeof body?.detail === "string" ? body.detail : "",
    retryAfter: seconds,
    requestId: response.headers.get("x-request-id") ?? "",
  });
}

// The contract.

const HISTORY_PAGE = 20;
const VOICES_PAGE = 100;
const TASKS_PAGE = 50;
// Making a voice waits for the provider.
const MAKING_MS = 180_000;
const SENDING_MS = 60_000;

export const languages = () => call("GET", "/api/languages", { open: true });
export const task = (id) => call("GET", `/api/tasks/${id}`);
export const cancelTask = (id) => call("POST", `/api/tasks/${id}/cancel`);
export const again = (id) => call("POST", `/api/generations/${id}/regenerate`);
export const deleteGeneration = (id, keepalive) => call("DELETE", `/api/generations/${id}`, { keepalive });
export const deleteVoice = (id, keepalive) => call("DELETE", `/api/voices/${id}`, { keepalive });

// A repeated key gets the first answer again, so a request whose answer was lost can be sent once more.
const keyed = (key) => ({ "idempotency-key": key });

export const generate = (request, key) =>
  call("POST", "/api/generate", { json: request, headers: keyed(key), patience: SENDING_MS });

export const previewDesign = (request, key) =>
  call("POST", "/api/voices/design/preview", { json: request, headers: keyed(key), patience: SENDING_MS });

export async function saveDesign(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return call("POST", "/api/voices/design", { form, patience: MAKING_MS });
}

export const uploadLink = (fields) => call("POST", "/api/clone/upload-url", { json: fields });
export const finishClone = (fields) => call("POST", "/api/clone/finalize", { json: fields, patience: MAKING_MS });

export async function activeTasks() {
  const found = [];
  for (let before = ""; ;) {
    const query = new URLSearchParams({ status: "active", limit: TASKS_PAGE, ...(before && { before }) });
    const { tasks, next_before: next } = await call("GET", `/api/tasks?${query}`);
    found.push(...tasks);
    if (!next) return found;
    before = next;
  }
}

export function generations({ page, search, status }, signal) {
  const query = new URLSearchParams({ page, per_page: HISTORY_PAGE, search, status });
  return call("GET", `/api/generations?${query}`, { signal });
}

// The second page is asked for unseen: most have no third one, and one that is empty costs nothing.
export async function allVoices() {
  const [first, second] = await Promise.all([voicesPage(1), voicesPage(2)]);
  const others = Array.from({ length: Math.max(0, first.pagination.pages - 2) }, (_, index) => voicesPage(index + 3));
  const found = [first, second, ...await Promise.all(others)].flatMap((page) => page.voices);
  return [...new Map(found.map((voice) => [voice.id, voice])).values()];
}

const voicesPage = (page) => call("GET", `/api/voices?page=${page}&per_page=${VOICES_PAGE}`);

// Neither an audio element nor a link can send a token, but the signed URL that this leads to needs none.
export const audioLink = async (path) => (await send("HEAD", path)).url;
export const voicePreviewPath = (id) => `/api/voices/${id}/preview`;
export const downloadPath = (audioPath) => `${audioPath}?download=1`;

// XMLHttpRequest, because fetch doesn't say how much of a body has left. The link carries its own permission.
export function upload(link, blob, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", link);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new ApiError("unreachable")));
    request.addEventListener("load", async () => {
      const answer = new Response(request.responseText, { status: request.status, headers: { "retry-after": request.getResponseHeader("retry-after") ?? "" } });
      if (answer.ok) resolve();
      else reject(await refusal(answer));
    });
    request.send(blob);
  });
}

// randomUUID only exists on https and localhost.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Every visit begins with these questions. They leave as soon as this module is here, while the rest of the page is still
// on its way; whoever asks first gets that answer.
const early = new Map([languages, allVoices, activeTasks].map((ask) => [ask, ask()]));
for (const answer of early.values()) answer.catch(() => {});

export function begun(ask) {
  const answer = early.get(ask);
  early.delete(ask);
  return answer ?? ask();
}
