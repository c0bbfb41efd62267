// Any audio that this browser can decode, as a WAV of 16 bits, mono, 24 kHz: what every provider takes.

const RATE = 24_000;
const HEADER_BYTES = 44;
const BYTES_PER_SAMPLE = 2;

export const BYTES_PER_SECOND = RATE * BYTES_PER_SAMPLE;

export async function toWav(blob) {
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
