// The microphone's way out: whatever rate the sound card runs at in, messages of 20 ms at 16 kHz out.

import { FRAME, HEADER, RATE, voiceMessage } from "./wire.js";
import { Resampler } from "./resampler.js";

const RING = 8192;
const LEVEL_EVERY = 0.1; // seconds

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.ring = new Float32Array(RING);
    this.written = 0;
    this.at = 0;
    this.phase = 0;
    this.frame = new Float32Array(FRAME);
    this.filled = 0;
    this.peak = 0;
    this.told = 0;
    this.link = null;
    this.port.onmessage = ({ data }) => {
      this.link = data.link;
    };
  }

  process([[channel]]) {
    // Without a microphone (unplugged, being changed) silence goes out: the room's time goes on.
    for (let i = 0; i < 128; i += 1) {
      const value = channel ? channel[i] : 0;
      this.ring[this.written & (RING - 1)] = value;
      this.written += 1;
      this.peak = Math.max(this.peak, Math.abs(value));
    }
    while (this.at + this.resampler.reach < this.written) this.#emit();
    if (currentTime - this.told >= LEVEL_EVERY) {
      this.port.postMessage({ level: this.peak });
      this.told = currentTime;
      this.peak = 0;
    }
    return true;
  }

  #emit() {
    this.frame[this.filled] = this.resampler.sample(this.ring, this.at, this.phase);
    this.filled += 1;
    this.phase += this.resampler.step;
    this.at += Math.floor(this.phase / this.resampler.phases);
    this.phase %= this.resampler.phases;
    if (this.filled < FRAME) return;
    this.filled = 0;
    if (!this.link) return;
    const message = voiceMessage(FRAME);
    const samples = new Int16Array(message, HEADER);
    for (let i = 0; i < FRAME; i += 1) samples[i] = Math.round(32767 * Math.max(-1, Math.min(1, this.frame[i])));
    this.link.postMessage(message, [message]);
  }
}

registerProcessor("capture", Capture);
