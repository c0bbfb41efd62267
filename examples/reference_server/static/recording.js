// The recording that a voice is to be made from: a file or the microphone, as something that every provider takes.

import { size } from "./browser.js";
import { catalog } from "./voices.js";
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
  return { blob, facts: [...names, size(blob.size)] };
}

async function converted(file) {
  try {
    return await toWav(file);
  } catch {
    throw new UnusableClip(words.clone.unreadable);
  }
}

const tooLarge = (blob) => new UnusableClip(words.clone.tooLarge(size(blob.size), size(mostBytes())));
const extensionOf = (file) => file.name.split(".").pop().toLowerCase();

// The microphone: from the first press to a WAV, with words for everything that can be in the way.

const REFUSALS = {
  NotAllowedError: words.clone.microphoneRefused,
  SecurityError: words.clone.microphoneRefused,
  NotFoundError: words.clone.noMicrophone,
  OverconstrainedError: words.clone.noMicrophone,
};
const SHORTEST_BYTES = 44 + 4800;

// Why nothing can be recorded; its message is for the person who tried.
export class CannotRecord extends Error {}

export class Recorder {
  recording = null;

  async start() {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new CannotRecord(words.clone.insecure);
    const stream = await this.microphone();
    const recording = new MediaRecorder(stream);
    const parts = [];
    this.recording = recording;
    recording.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.done = new Promise((resolve) => {
      recording.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        resolve(new Blob(parts, { type: recording.mimeType }));
      });
    });
    recording.start();
  }

  async microphone() {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      throw new CannotRecord(REFUSALS[error.name] ?? words.clone.microphoneBusy);
    }
  }

  get running() { return this.recording !== null; }

  // The recording as a WAV.
  async stop() {
    const recorded = await this.discard();
    let wav;
    try {
      wav = await toWav(recorded);
    } catch {
      throw new CannotRecord(words.clone.tooShort);
    }
    if (wav.size < SHORTEST_BYTES) throw new CannotRecord(words.clone.tooShort);
    return wav;
  }

  // Ends it, and lets go of the microphone.
  async discard() {
    if (!this.recording) return null;
    if (this.recording.state !== "inactive") this.recording.stop();
    const recorded = await this.done;
    this.recording = null;
    return recorded;
  }
}

// Any audio that this browser can decode, as a WAV of 16 bits, mono, 24 kHz: what every provider takes.

const RATE = 24_000;
const HEADER_BYTES = 44;
const BYTES_PER_SAMPLE = 2;

export const BYTES_PER_SECOND = RATE * BYTES_PER_SAMPLE;

async function toWav(blob) {
  return encode(await resampled(await blob.arrayBuffer()));
}

// The samples, in one channel at our rate. Throws when the browser can't decode the bytes.
async function resampled(bytes) {
  // The context's rate is the one that the browser decodes to.
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(bytes);
  if (decoded.numberOfChannels === 1) return decoded.getChannelData(0);
  const mixing = new OfflineAudioContext(1, Math.max(1, decoded.length), RATE);
  const source = mixing.createBufferSource();
  source.buffer = decoded;
  source.connect(mixing.destination);
  source.start();
  return (await mixing.startRendering()).getChannelData(0);
}

function encode(samples) {
  const size = samples.length * BYTES_PER_SAMPLE;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + size));
  const ascii = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  ascii(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + size, true);
  ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, BYTES_PER_SECOND, true);
  view.setUint16(32, BYTES_PER_SAMPLE, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  ascii(36, "data");
  view.setUint32(40, size, true);
  samples.forEach((sample, index) => {
    const kept = Math.max(-1, Math.min(1, sample));
    view.setInt16(HEADER_BYTES + index * BYTES_PER_SAMPLE, kept * (kept < 0 ? 0x8000 : 0x7fff), true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}

