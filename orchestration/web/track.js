// One stream of sound from the room, held until it is due: positions are samples at 16 kHz, counted exactly.

import { HEADER } from "./wire.js";

const RING = 131072; // 8 s: a room sends little ahead of the ear, but a stalled network catches up at once

export class Track {
  constructor(resampler, now) {
    this.resampler = resampler;
    this.ring = new Float32Array(RING);
    this.born = now; // when waiting began, seconds
    this.at = null; // the next sample to play: all before it have been
    this.end = 0; // one past the last sample that came
    this.phase = 0;
    this.total = null; // how long the stream is, once known
    this.waiting = true; // for enough to play on
    this.dropped = 0;
  }

  /** Take in a message's samples, which start at `position`. What was there already is not taken twice. */
  take(position, message, now) {
    const samples = new Int16Array(message, HEADER);
    if (this.at === null) {
      this.at = this.end = position;
      this.born = now;
    }
    const to = position + samples.length;
    if (to - this.at > RING - 2 * this.resampler.reach) {
      this.dropped += samples.length;
      return;
    }
    while (this.end < position) this.ring[this.end++ & (RING - 1)] = 0;
    for (; this.end < to; this.end += 1) this.ring[this.end & (RING - 1)] = samples[this.end - position] / 32768;
  }

  finish(total) {
    this.total = total;
    if (this.at === null) this.at = this.end = 0;
    // Beyond the end the filter reads silence.
    for (let i = 0; i < this.resampler.reach; i += 1) this.ring[(this.end + i) & (RING - 1)] = 0;
  }

  /** Samples that wait to be played. */
  get held() {
    return this.at === null ? 0 : this.end - this.at;
  }

  /** All that there is has been played, and nothing more will come. */
  get done() {
    return this.total !== null && this.at !== null && this.at >= this.end;
  }

  /** Add to `out` from index `from` on until it is full or nothing is left to play; returns where it stopped. */
  play(out, from, gain) {
    const limit = this.total === null ? this.end - this.resampler.reach : this.end;
    let i = from;
    for (; i < out.length && this.at < limit; i += 1) {
      out[i] += gain(i) * this.resampler.sample(this.ring, this.at, this.phase);
      this.phase += this.resampler.step;
      this.at += Math.floor(this.phase / this.resampler.phases);
      this.phase %= this.resampler.phases;
    }
    return i;
  }

  /** Leave out what is older than `keep` samples before the end. */
  skipTo(keep) {
    this.at = Math.max(this.at, this.end - keep);
  }
}
