// Numbers, lengths, times and sizes, in the browser's own language.

const number = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const dayOfThisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const EXCERPT = 40;

export const count = (value) => number.format(value);

// 0:03, 12:40, 1:02:03
export function clock(seconds) {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours ? String(minutes).padStart(2, "0") : minutes}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

// 0.8 s, 6 s, 1 min 20 s, 14 min
export function span(seconds) {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  if (rest === 60) return `${minutes + 1} min`;
  return minutes < 10 && rest ? `${minutes} min ${rest} s` : `${minutes} min`;
}

export function moment(iso) {
  const [then, now] = [new Date(iso), new Date()];
  if (then.toDateString() === now.toDateString()) return hour.format(then);
  return (then.getFullYear() === now.getFullYear() ? dayOfThisYear : day).format(then);
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${Number((bytes / 1024 / 1024).toFixed(1))} MB`;
}

// The first words of a text on one line, for names of buttons; never half of a character.
export function excerpt(text) {
  return [...text.replace(/\s+/g, " ").trim()].slice(0, EXCERPT).join("");
}
