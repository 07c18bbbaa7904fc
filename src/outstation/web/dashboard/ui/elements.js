// Returns a new element with properties and children. A text becomes text, whatever stands in it.
export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
