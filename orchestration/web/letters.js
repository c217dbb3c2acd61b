// How much of a text fits: widths are measured once.

const LEGIBLE = 7; // letters of a cut text that still say something
const widths = new Map();

/** How wide a text is, in pixels. */
export function measure(g, text) {
  const key = `${g.font}|${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > 4000) widths.clear();
    width = g.measureText(text).width;
    widths.set(key, width);
  }
  return width;
}

/** `text` cut to `room` pixels; nothing if too little would be left to read. */
export function fit(g, text, room) {
  const width = measure(g, text);
  if (width <= room) return text;
  let length = Math.floor((text.length * room) / width);
  while (length >= LEGIBLE && measure(g, `${text.slice(0, length).trimEnd()}…`) > room) length -= 1;
  return length < LEGIBLE ? "" : `${text.slice(0, length).trimEnd()}…`;
}
