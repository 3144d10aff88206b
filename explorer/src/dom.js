// Small words for making elements.

export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "circle", "rect", "line", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.setAttribute("class", value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

/** A choice of a few: one button each, the chosen one pressed. */
export function choice(label, options, chosen, onchange, attributes = {}) {
  return el(
    "div",
    { class: "choice", role: "group", "aria-label": label, ...attributes },
    options.map(([value, text]) =>
      button(text, () => onchange(value), { "aria-pressed": String(value === chosen), "data-value": value }),
    ),
  );
}

export function select(label, options, chosen, onchange, attributes = {}) {
  const node = el(
    "select",
    { "aria-label": label, onchange: () => onchange(node.value), ...attributes },
    options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)),
  );
  return node;
}

export function toggle(label, checked, onchange, attributes = {}) {
  const box = el("input", { type: "checkbox", checked, onchange: () => onchange(box.checked), ...attributes });
  return el("label", { class: "toggle" }, box, label);
}

export const clear = (node) => node.replaceChildren();
export const seconds = (value) => `${value.toFixed(2)} s`;
