// Returns a new element with properties and children. A text becomes text, whatever stands in it.
export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A text that is as it was is not touched: nothing is laid out anew, and nothing is read aloud twice.
export function setText(place, text) {
  if (place && place.textContent !== text) place.textContent = text;
}
