// The wire to the room, as voice/transports/wire.py has it: 12 bytes of header and 16-bit mono PCM at 16 kHz.

export const PROTOCOL = 1;
export const RATE = 16000;
export const FRAME = 320;
export const HEADER = 12;
export const VOICE = 1;
export const AGENT = 2;
export const PEER = 3;

/** Reasons to close after which joining again by itself would be wrong; the server's other codes mean "come back". */
export const FINAL = new Set([1000, 1009, 4400, 4403, 4409, 4429]);

/** The room is open at another server, which the message before named. */
export const MOVED = 4307;

/** A message for `samples` samples of the caller's voice; the number of the frame is written when it leaves. */
export function voiceMessage(samples) {
  const buffer = new ArrayBuffer(HEADER + 2 * samples);
  new DataView(buffer).setUint8(0, VOICE);
  return buffer;
}

export function number(message, sequence) {
  new DataView(message).setUint32(8, sequence, true);
  return message;
}

/** What kind of sound a message from the room is, of which stream, from which position on. */
export function readHeader(message) {
  const view = new DataView(message);
  return { kind: view.getUint8(0), stream: view.getUint32(4, true), position: view.getUint32(8, true) };
}

/** Seconds on a clock that a page and its workers share. */
export function clock() {
  return (performance.timeOrigin + performance.now()) / 1000;
}
