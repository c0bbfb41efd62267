// How loud a sound is, from its beginning to its end: what a waveform is drawn from.

// Decoding holds all samples in memory, here at a low rate: some hundred megabytes at most.
const MOST_BYTES = 24 * 1024 * 1024;
const RATE = 8000;
const PEAKS = 800;

// {peaks, length} of a blob or of what is at a URL; null where that would cost too much. Throws what the browser throws
// when it can't, or when `signal` is aborted.
export async function peaksOf(source, signal) {
  const bytes = source instanceof Blob ? await source.arrayBuffer() : await fetched(source, signal);
  if (bytes === null || bytes.byteLength > MOST_BYTES) return null;
  const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
  return { peaks: loudest(decoded.getChannelData(0)), length: decoded.duration };
}

async function fetched(url, signal) {
  if (navigator.connection?.saveData) return null;
  const response = await fetch(url, { signal });
  if (response.ok && Number(response.headers.get("content-length")) <= MOST_BYTES) return response.arrayBuffer();
  await response.body?.cancel();
  return null;
}

function loudest(samples) {
  const size = Math.max(1, samples.length / PEAKS);
  const peaks = [];
  for (let from = 0; from < samples.length; from += size) {
    let most = 0;
    const to = Math.min(samples.length, from + size);
    for (let at = Math.floor(from); at < to; at += 1) most = Math.max(most, Math.abs(samples[at]));
    peaks.push(most);
  }
  return peaks;
}
