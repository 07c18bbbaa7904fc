// Makes one tree of elements like another, touching only what is other: focus, selection and what is typed stay.

const OWN = ["open"]; // attributes that belong to the reader

export function patch(old, new_) {
  if (isKept(old) || old.isEqualNode(new_)) return;
  for (const { name } of [...old.attributes]) {
    if (!new_.hasAttribute(name) && !OWN.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of new_.attributes) {
    if (old.getAttribute(name) !== value && !OWN.includes(name)) old.setAttribute(name, value);
  }
  patchChildren(old, [...new_.childNodes]);
}

function patchChildren(old, wanted) {
  const named = new Set(wanted.map(nameOf));
  const isGone = (node) => !named.has(nameOf(node));
  for (const child of [...old.childNodes]) if (keyOf(child) && isGone(child) && !isKept(child)) child.remove();
  // What a script has put beside the others stays where it is.
  const pass = (node) => (node && isKept(node) && isGone(node) ? pass(node.nextSibling) : node);
  let there = pass(old.firstChild);
  for (const child of wanted) there = pass(place(old, child, there).nextSibling);
  while (there) {
    const next = pass(there.nextSibling);
    there.remove();
    there = next;
  }
}

// Puts what is wanted where `there` stands; returns it.
function place(parent, wanted, there) {
  if (!there || !isAlike(there, wanted)) {
    const elsewhere = there && known(wanted, there);
    if (!elsewhere) return parent.insertBefore(document.adoptNode(wanted), there);
    there = parent.insertBefore(elsewhere, there);
  }
  if (there.nodeType === Node.ELEMENT_NODE) patch(there, wanted);
  else if (there.data !== wanted.data) there.data = wanted.data;
  return there;
}

// Returns a later sibling that is of the same thing.
function known(wanted, there) {
  for (let next = there.nextSibling; next; next = next.nextSibling) if (isAlike(next, wanted)) return next;
  return null;
}

function isKept(node) {
  return node.dataset?.keep !== undefined;
}

function isAlike(one, other) {
  return nameOf(one) === nameOf(other);
}

function nameOf(node) {
  return `${node.nodeName} ${keyOf(node)}`;
}

function keyOf(node) {
  const { sensor, output, rule, setting, alert } = node.dataset ?? {};
  return sensor ?? output ?? rule ?? setting ?? alert ?? node.id ?? "";
}
