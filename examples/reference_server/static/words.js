// What people read.

const PHASES = {
  provider_queued: "Waiting for its turn",
  provider_submitting: "Handing the text over",
  provider_synthesizing: "Speaking",
  provider_downloading: "Fetching the audio",
  provider_persisting: "Storing the audio",
  finalizing: "Fetching the audio again",
  status_error: "The provider doesn't answer; still trying",
  unknown: "Finding out whether the provider got the text",
};

const number = new Intl.NumberFormat();
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

// Providers have their own words; what they mean by them is nobody's guess.
export const phase = (word) => PHASES[word] ?? "Working on it";

export const count = (value) => number.format(value);

export function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

export function moment(iso) {
  const then = new Date(iso);
  return then.toDateString() === new Date().toDateString() ? hour.format(then) : day.format(then);
}

export const outcome = {
  processing: "in progress",
  completed: "",
  failed: "failed",
  cancelled: "cancelled",
};
