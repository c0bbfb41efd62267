// One request to our own server. Whatever goes wrong is an ApiError that failures.js can put into words.

import { session } from "./session.js";

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

export async function send(method, path, options = {}) {
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
