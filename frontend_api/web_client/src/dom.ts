/** Helpers around the DOM API. */

/** Return the element that matches the selector. Throws if the page has none of this type. */
export function find<Kind extends Element>(root: ParentNode, selector: string, kind: new () => Kind): Kind {
  const element = root.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`The page has no ${kind.name} for ${selector}.`);
  return element;
}

export function byId<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  return find(document, `#${id}`, kind);
}

export function create<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = "",
  text = "",
): HTMLElementTagNameMap[Tag] {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** Set the text only if it differs, so that screen readers and selections are not disturbed. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Set one list item per text, and hide an empty list. */
export function setItems(list: HTMLElement, texts: readonly string[]): void {
  list.hidden = texts.length === 0;
  const shown = Array.from(list.children, (item) => item.textContent);
  if (shown.length === texts.length && shown.every((text, index) => text === texts[index])) return;
  list.replaceChildren(...texts.map((text) => create("li", "", text)));
}

export function setAttribute(element: Element, name: string, value: string | number | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Whether a dialog is open that may contain work of the user. */
export function isWorkOpen(): boolean {
  return document.querySelector("dialog[open]:not(#viewer)") !== null;
}

/** Save bytes as a download with this file name. */
export function save(bytes: Blob, name: string): void {
  const url = URL.createObjectURL(bytes);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  // By then the download holds its own reference.
  setTimeout(() => { URL.revokeObjectURL(url); }, 10_000);
}
