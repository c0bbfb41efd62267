// From what went wrong to what a person is told: what happened, and what to do about it. One table, here.

import { words } from "./words.js";

const said = words.failures;

// Of a failure that has no sentence of its own, by its kind or status.
const TABLE = [
  { is: (error) => error.kind === "unreachable" && navigator.onLine === false, what: said.unreachable, advice: said.offline },
  { is: (error) => error.kind === "unreachable", what: said.unreachable, advice: said.checkConnection },
  { is: (error) => error.kind === "late", what: said.late, advice: said.tryLater },
  { is: (error) => error.kind === "unreadable", what: said.unreadable, advice: said.unreadableAdvice },
  { is: (error) => error.kind === "aborted", what: said.aborted, advice: "" },
  { is: (error) => error.status === 401, what: said.signIn, advice: "" },
  { is: (error) => error.status === 404, what: said.missing, advice: "" },
  { is: (error) => error.status === 409, what: said.conflict, advice: said.tryLater },
  { is: (error) => error.status === 413, what: said.tooLarge, advice: said.shorten },
  { is: (error) => error.status === 429, what: said.tooMany, advice: "" },
  { is: (error) => error.status >= 500, what: said.trouble, advice: said.tryLater },
  { is: () => true, what: said.refused, advice: "" },
];

// One or more sentences. The server's own come first: they are written for people.
// `wait`: whether to say when it is worth trying again, where the server knows.
export function explain(error, { wait = true } = {}) {
  if (!("kind" in error)) return words.messages.unexpected;
  const known = TABLE.find((row) => row.is(error));
  const what = sentence(error.detail) || known.what;
  const later = wait && error.retryAfter ? words.messages.again(error.retryAfter) : null;
  const advice = later ?? said.advice[error.code] ?? known.advice;
  const quoted = error.status >= 500 && error.requestId ? said.quote(error.requestId) : "";
  return [what, repeats(what, advice) ? "" : advice, quoted].filter(Boolean).join(" ");
}

// Some of the contract's sentences have no full stop.
function sentence(detail) {
  const trimmed = detail?.trim() ?? "";
  return trimmed && !/[.!?…。]$/.test(trimmed) ? `${trimmed}.` : trimmed;
}

const repeats = (what, advice) => advice === said.tryLater && /try again/i.test(what);
