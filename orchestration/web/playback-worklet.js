// The way to the ear: the agent's streams one after the other, the other callers under them, receipts for what was played.

import { AGENT, RATE, readHeader } from "./wire.js";
import { Resampler } from "./resampler.js";
import { Track } from "./track.js";

const LEAST = 0.04; // seconds held back before a stream starts
const MOST = 0.3;
const GROW = 0.02; // on running dry
const SHRINK = 0.005; // after CALM seconds of sound without running dry
const CALM = 10;
const RECEIPT_EVERY = 0.1;
const FADE = 0.002;
const PEER_HOLD = 0.06;
const PEER_MOST = 0.24;
const PEER_FORGET = 30;
const PEER_GAIN = 0.8;
const REMEMBERED = 64;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate);
    this.streams = new Map(); // the agent's, in the order in which they came
    this.over = new Map(); // stream -> samples played
    this.peers = new Map();
    this.cleared = false; // the first stream is to fall silent
    this.prebuffer = LEAST;
    this.underruns = 0;
    this.calm = 0;
    this.fadeIn = 0; // output samples still to be faded in
    this.reported = { stream: -1, samples: -1, at: 0 };
    this.link = null;
    this.port.onmessage = ({ data }) => {
      this.link = data.link;
      this.link.onmessage = (event) => this.#take(event.data);
    };
  }

  #take(message) {
    if (message instanceof ArrayBuffer) this.#sound(message);
    else if (message.clear !== undefined) this.#clear(message.clear);
    else if (message.finish !== undefined) this.#finish(message.finish, message.samples);
    else if (message.reset) this.#reset();
  }

  #sound(message) {
    const { kind, stream, position } = readHeader(message);
    if (kind === AGENT) {
      if (!this.over.has(stream)) this.#stream(stream).take(position, message, currentTime);
      return;
    }
    const peer = this.peers.get(stream) ?? new Track(this.resampler, currentTime);
    this.peers.set(stream, peer);
    // Other callers' frames are numbered, not placed: a lost one is skipped, not waited for.
    peer.take(peer.end, message, currentTime);
    peer.last = currentTime;
    if (peer.held > PEER_MOST * RATE) peer.skipTo(PEER_HOLD * RATE);
  }

  #stream(stream) {
    if (!this.streams.has(stream)) this.streams.set(stream, new Track(this.resampler, currentTime));
    return this.streams.get(stream);
  }

  #finish(stream, samples) {
    if (!this.over.has(stream)) this.#stream(stream).finish(samples);
  }

  #clear(stream) {
    const track = this.streams.get(stream);
    if (track && this.#first() === stream && !track.waiting) {
      this.cleared = true; // answered when the fade has been played
      return;
    }
    const samples = track ? (track.at ?? 0) : (this.over.get(stream) ?? 0);
    this.#close(stream, samples, true);
  }

  #reset() {
    this.streams.clear();
    this.over.clear();
    this.peers.clear();
    this.cleared = false;
    this.reported = { stream: -1, samples: -1, at: 0 };
  }

  #first() {
    return this.streams.keys().next().value;
  }

  #close(stream, samples, flushed) {
    this.streams.delete(stream);
    this.over.set(stream, samples);
    while (this.over.size > REMEMBERED) this.over.delete(this.over.keys().next().value);
    this.#receipt(stream, samples, flushed);
  }

  #receipt(stream, samples, flushed) {
    this.reported = { stream, samples, at: currentTime };
    this.link?.postMessage({ played: stream, samples, flushed });
  }

  process(_, [[out]]) {
    let from = 0;
    while (this.streams.size && from < out.length) {
      const next = this.#agent(out, from);
      if (next === null) break;
      from = next;
    }
    for (const [number, peer] of this.peers) this.#peer(out, number, peer);
    for (let i = 0; i < out.length; i += 1) out[i] = Math.max(-1, Math.min(1, out[i]));
    return true;
  }

  /** Play of the first stream into `out` from `from` on. Where it stopped, or null: nothing more to play now. */
  #agent(out, from) {
    const stream = this.#first();
    const track = this.streams.get(stream);
    if (this.cleared) return this.#fadeAway(out, from, stream, track);
    if (track.waiting && !this.#start(track)) return null;
    const to = track.play(out, from, () => this.#gain());
    this.calm += (to - from) / sampleRate;
    if (this.calm >= CALM) this.#hold(this.prebuffer - SHRINK);
    if (track.done) {
      this.#close(stream, Math.min(track.at, track.end), false);
      return to;
    }
    if (to < out.length) {
      this.#ranDry(out, from, to, track);
      return null;
    }
    if (this.reported.stream !== stream || currentTime - this.reported.at >= RECEIPT_EVERY) {
      this.#receipt(stream, track.at, false);
    }
    return to;
  }

  /** Whether a waiting stream may begin (or go on): enough is there, or it was waited long enough. */
  #start(track) {
    if (track.at === null) return false;
    const enough = track.held >= this.prebuffer * RATE || track.total !== null;
    const late = currentTime - track.born >= this.prebuffer && track.held > this.resampler.reach;
    if (!enough && !late) {
      // A stream that nobody ended and that has run dry gives way to the one after it.
      if (this.streams.size > 1 && track.held <= this.resampler.reach) this.#close(this.#first(), track.at, false);
      return false;
    }
    track.waiting = false;
    this.fadeIn = FADE * sampleRate;
    return true;
  }

  #gain() {
    if (this.fadeIn <= 0) return 1;
    this.fadeIn -= 1;
    return 1 - this.fadeIn / (FADE * sampleRate);
  }

  #fadeAway(out, from, stream, track) {
    const length = Math.min(FADE * sampleRate, out.length - from);
    const to = Math.min(out.length, track.play(out.subarray(0, from + length), from, (i) => 1 - (i - from + 1) / length));
    this.cleared = false;
    this.#close(stream, track.at, true);
    return to;
  }

  #ranDry(out, from, to, track) {
    const length = Math.min(FADE * sampleRate, to - from);
    for (let i = to - length; i < to; i += 1) out[i] *= (to - i) / (length + 1);
    track.waiting = true;
    track.born = currentTime;
    this.underruns += 1;
    this.#hold(this.prebuffer + GROW);
  }

  #hold(prebuffer) {
    this.calm = 0;
    this.prebuffer = Math.max(LEAST, Math.min(MOST, prebuffer));
    this.link?.postMessage({ prebuffer: this.prebuffer, underruns: this.underruns });
  }

  #peer(out, number, peer) {
    if (currentTime - peer.last > PEER_FORGET) this.peers.delete(number);
    if (peer.waiting && peer.held < PEER_HOLD * RATE) return;
    peer.waiting = peer.play(out, 0, () => PEER_GAIN) < out.length;
  }
}

registerProcessor("playback", Playback);
