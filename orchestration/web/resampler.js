// Resampling between 16 kHz and whatever the sound card runs at: a polyphase filter (windowed sinc, Kaiser, beta 8:
// about 80 dB down), exact for rates with a common divisor, as all real ones have.

const CROSSINGS = 16;
const PASS = 0.92; // of the lower rate's half: 7.4 kHz of 8
const BETA = 8;
const MAX_PHASES = 640;

function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}

export class Resampler {
  /** Reads at `from` Hz, writes at `to` Hz. One output sample is `step` / `phases` input samples after the last. */
  constructor(from, to) {
    const common = divisor(Math.round(from), Math.round(to));
    this.step = Math.round(from) / common;
    this.phases = Math.round(to) / common;
    this.same = this.step === this.phases;
    const cutoff = Math.min(1, to / from) * PASS;
    /** Input samples needed on either side of an output sample. */
    this.reach = this.same ? 0 : Math.ceil(CROSSINGS / cutoff);
    this.rows = this.same ? [] : this.#filters(cutoff);
  }

  #filters(cutoff) {
    const count = Math.min(this.phases, MAX_PHASES);
    return Array.from({ length: count }, (_, row) => {
      const offset = row / count;
      const taps = new Float32Array(2 * this.reach);
      let sum = 0;
      for (let i = 0; i < taps.length; i += 1) {
        const x = i - this.reach + 1 - offset;
        const edge = 1 - (x / this.reach) ** 2;
        const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
        taps[i] = edge <= 0 ? 0 : (sinc * bessel(BETA * Math.sqrt(edge))) / bessel(BETA);
        sum += taps[i];
      }
      return taps.map((tap) => tap / sum);
    });
  }

  /** The value `phase` / phases after sample `at` of `ring` (a power of two long). */
  sample(ring, at, phase) {
    const mask = ring.length - 1;
    if (this.same) return ring[at & mask];
    const taps = this.rows[Math.floor((phase * this.rows.length) / this.phases)];
    let sum = 0;
    for (let i = 0, from = at - this.reach + 1; i < taps.length; i += 1) sum += taps[i] * ring[(from + i) & mask];
    return sum;
  }
}
