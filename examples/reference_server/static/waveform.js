// A waveform behind a slider, drawn by wavesurfer.js: an ornament, and so everything that fails here leaves the plain
// slider as it is.

// The server's policy names the hash of the library's style sheet, which has this height in it.
const HEIGHT = 40;

export class Waveform {
  constructor(place, audio) {
    Object.assign(this, { place, audio });
    this.drawn = null;
    this.work = new AbortController();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawn?.setOptions(this.colours()));
  }

  async draw(source) {
    this.clear();
    const { signal } = this.work;
    try {
      const [{ default: WaveSurfer }, sound] = await Promise.all([import("./wavesurfer.js"), peaksOf(source, signal)]);
      if (WaveSurfer && sound && !signal.aborted) this.show(WaveSurfer, sound);
    } catch {
      // Aborted, unreadable, or too old a browser.
    }
  }

  show(WaveSurfer, { peaks, length }) {
    this.drawn = WaveSurfer.create({
      container: this.place,
      media: this.audio,
      peaks: [peaks],
      duration: length,
      height: HEIGHT,
      barWidth: 2,
      barGap: 1,
      barRadius: 1,
      normalize: true,
      interact: false,
      hideScrollbar: true,
      cursorWidth: 0,
      ...this.colours(),
    });
    this.place.parentElement.classList.add("drawn");
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return { waveColor: style.getPropertyValue("--wave"), progressColor: style.getPropertyValue("--accent") };
  }

  clear() {
    this.work.abort();
    this.work = new AbortController();
    this.place.parentElement.classList.remove("drawn");
    this.drawn?.destroy();
    this.drawn = null;
  }
}

// How loud a sound is, from its beginning to its end.
// Decoding holds all samples in memory, here at a low rate: some hundred megabytes at most.
const MOST_BYTES = 24 * 1024 * 1024;
const RATE = 8000;
const PEAKS = 800;

// {peaks, length} of a blob or of what is at a URL; null where that would cost too much. Throws what the browser throws
// when it can't, or when `signal` is aborted.
async function peaksOf(source, signal) {
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

