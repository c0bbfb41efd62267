// The recording that a voice is to be made from: what of a file can be sent as it is, and what has to be converted.

import { catalog } from "./catalog.js";
import * as formats from "./formats.js";
import { toWav } from "./wav.js";
import { words } from "./words.js";

const EVERY_FORMAT = ["wav", "mp3", "m4a", "ogg", "flac", "aac"];
const DEFAULT_MOST_BYTES = 10 * 1024 * 1024;
// Decoding holds all samples in memory.
const MOST_DECODED_BYTES = 200 * 1024 * 1024;

// Why this file won't do; its message is for the person who chose it.
export class UnusableClip extends Error {}

export const mostBytes = () => catalog.can.max_clip_bytes ?? DEFAULT_MOST_BYTES;

// {blob, facts}: what is sent, and its name and size in words.
export async function clipOf(file) {
  const taken = catalog.can.clip_formats?.length ? catalog.can.clip_formats : EVERY_FORMAT;
  const asItIs = taken.includes(extensionOf(file)) && file.size <= mostBytes();
  if (asItIs) return checked(file, [file.name]);
  if (file.size > MOST_DECODED_BYTES) throw tooLarge(file);
  if (taken.includes(extensionOf(file))) throw tooLarge(file);
  return checked(await converted(file), [file.name, words.clone.converted]);
}

export function recordedClip(wav) {
  return checked(wav, [words.clone.recorded]);
}

function checked(blob, names) {
  if (blob.size > mostBytes()) throw tooLarge(blob);
  return { blob, facts: [...names, formats.size(blob.size)] };
}

async function converted(file) {
  try {
    return await toWav(file);
  } catch {
    throw new UnusableClip(words.clone.unreadable);
  }
}

const tooLarge = (blob) => new UnusableClip(words.clone.tooLarge(formats.size(blob.size), formats.size(mostBytes())));
const extensionOf = (file) => file.name.split(".").pop().toLowerCase();
