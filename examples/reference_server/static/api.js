// The v1 contract, as this page uses it, row by row.

import { ApiError, call, refusal, send } from "./http.js";

const HISTORY_PAGE = 20;
const VOICES_PAGE = 100;
const TASKS_PAGE = 50;
// Making a voice waits for the provider.
const MAKING_MS = 180_000;
const SENDING_MS = 60_000;

export const languages = () => call("GET", "/api/languages");
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

export async function allVoices() {
  const found = new Map();
  for (let page = 1; ; page += 1) {
    const { voices, pagination } = await call("GET", `/api/voices?page=${page}&per_page=${VOICES_PAGE}`);
    for (const voice of voices) found.set(voice.id, voice);
    if (page >= pagination.pages) return [...found.values()];
  }
}

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
