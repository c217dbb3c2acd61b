// Keeps a list's elements in step with rows of data: an element for each key, touched only when its row changed.

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class Rows {
  /** `fill(element, row)` writes a row into its (emptied) <li>; `print(row)` is a text that changes when that must. */
  constructor(list, print, fill) {
    this.list = list;
    this.print = print;
    this.fill = fill;
    this.shown = new Map();
  }

  /** Show `rows`, an array of [key, row] in order; returns the keys that are new. */
  show(rows) {
    const keys = new Set(rows.map(([key]) => key));
    for (const [key, { node }] of this.shown) {
      if (!keys.has(key)) {
        node.remove();
        this.shown.delete(key);
      }
    }
    const fresh = [];
    rows.forEach(([key, row], i) => {
      let entry = this.shown.get(key);
      if (!entry) {
        entry = { node: element("li"), print: null };
        this.shown.set(key, entry);
        fresh.push(key);
      }
      const print = this.print(row);
      if (entry.print !== print) {
        entry.print = print;
        entry.node.replaceChildren();
        this.fill(entry.node, row);
      }
      if (this.list.children[i] !== entry.node) this.list.insertBefore(entry.node, this.list.children[i] ?? null);
    });
    return fresh;
  }
}
